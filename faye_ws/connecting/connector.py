"""The steps of connecting: names, TCP, tunnels, TLS, the opening handshake.

Invariants:
- A step waits in the calling greenlet only.
- The hub runs before each read, even if there is more to read: a peer that never pauses
  delays nobody else, and timeouts fire.
- The size of a read is bounded.
"""

from __future__ import annotations

import _socket
import os
import ssl
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import gevent
import gevent.socket

from ..constants import ReadyState
from ..driver.base import Driver
from ..runtime.sockets import ClientSocket
from .http_tunnel import HTTPTunnel
from .proxies import Proxy
from .socks import SocksTunnel
from .tls import TLSSettings, TLSSocket

_T = TypeVar("_T")
_READ_SIZE = 2**12


def connect_tcp(host: str, port: int, source_address: tuple[str, int] | None) -> Any:
    """Connect to a host, trying its addresses one after the other.

    Raises:
        OSError: no address can be reached; it is the error of the last.
    """
    failure: OSError | None = None
    for family, kind, proto, _, address in _look_up(host, port):
        sock = ClientSocket(family, kind, proto)
        try:
            sock.settimeout(0.0)
            if source_address is not None:
                sock.bind(source_address)
            _connect(sock, address)
        except OSError as error:
            sock.close()
            failure = error
        except BaseException:
            sock.close()
            raise
        else:
            return sock
    raise failure or OSError("it has no address")


def _connect(sock: Any, address: Any) -> None:
    try:
        sock.connect(address)
    except BlockingIOError:
        gevent.socket.wait_write(sock.fileno())
        code = sock.getsockopt(_socket.SOL_SOCKET, _socket.SO_ERROR)
        if code:
            raise OSError(code, os.strerror(code)) from None


def find_address(host: str) -> str:
    """Return an address of a host. IPv4 is preferred: every proxy can reach that.

    Raises:
        OSError: the host has no address.
    """
    found = sorted(_look_up(host, 0), key=lambda info: info[0] != _socket.AF_INET)
    return str(found[0][4][0])


def _look_up(host: str, port: int) -> list[Any]:
    """Return the `getaddrinfo` entries of a host; an address is parsed without a thread.

    gevent resolves names in a pool of (by default ten) threads, and a greenlet that stops
    waiting does not free its thread. So the pool may be busy, but never for an address.
    """
    try:
        return _socket.getaddrinfo(host, port, 0, _socket.SOCK_STREAM, 0, _socket.AI_NUMERICHOST)
    except _socket.gaierror:
        return gevent.socket.getaddrinfo(host, port, 0, _socket.SOCK_STREAM)


def connect_unix(path: str) -> Any:
    """Connect to a UNIX socket.

    Raises:
        OSError: the path can't be connected to.
    """
    sock = gevent.socket.socket(gevent.socket.AF_UNIX, gevent.socket.SOCK_STREAM)
    try:
        sock.connect(path)
    except BaseException:
        sock.close()
        raise
    plain = ClientSocket(sock.family, sock.type, sock.proto, fileno=sock.detach())
    plain.settimeout(0.0)
    return plain


def start_tls(sock: Any, settings: TLSSettings, host: str) -> TLSSocket:
    """Do the TLS handshake over a connected socket.

    Raises:
        ssl.SSLError: the handshake fails, for instance because of the certificate.
    """
    # The dot at the end of a full name is not part of the name (RFC 6066, 3).
    tls = TLSSocket(sock, settings.context, settings.server_hostname or host.rstrip("."))
    _cooperate(tls, tls.do_handshake)
    return tls


def make_socks_tunnel(proxy: Proxy, host: str, port: int) -> SocksTunnel:
    """Return the request for a tunnel through a SOCKS proxy.

    Raises:
        OSError: the proxy needs an address, and the host has none.
    """
    if proxy.scheme == "socks5":
        host = find_address(host)
    return SocksTunnel(host, port, proxy.username, proxy.password)


def open_tunnel(sock: Any, tunnel: HTTPTunnel | SocksTunnel) -> None:
    """Ask the proxy that a socket is connected to for a tunnel, and wait for it.

    Raises:
        HandshakeError: the proxy refuses.
        OSError: the connection to the proxy fails.
    """
    while not tunnel.is_open:
        _send_all(sock, tunnel.data_to_send())
        tunnel.receive_data(_receive(sock))


def shake_hands(sock: Any, driver: Driver) -> None:
    """Do the opening handshake of a driver over a connected socket.

    Raises:
        OSError: the connection fails.
    """
    driver.start()
    _send_all(sock, driver.data_to_send())
    while driver.ready_state is ReadyState.CONNECTING:
        data = _receive(sock)
        if data:
            driver.receive_data(data)
        else:
            driver.receive_eof()


def _receive(sock: Any) -> bytes:
    # Where there is always more to read, nothing else would let the hub run.
    gevent.sleep(0)
    data: bytes = _cooperate(sock, lambda: sock.recv(_READ_SIZE))
    return data


def _send_all(sock: Any, data: bytes) -> None:
    while data:
        sent: int = _cooperate(sock, partial(sock.send, data), gevent.socket.wait_write)
        data = data[sent:]
    if isinstance(sock, TLSSocket):
        _cooperate(sock, sock.flush)


def _cooperate(
    sock: Any, step: Callable[[], _T], wait: Callable[[int], object] = gevent.socket.wait_read
) -> _T:
    """Repeat a step until it does not block; `wait` waits for a plain socket."""
    while True:
        try:
            return step()
        except BlockingIOError:
            wait(sock.fileno())
        except ssl.SSLWantReadError:
            if isinstance(sock, TLSSocket) and sock.unsent:
                # The peer may be waiting for these bytes before it answers.
                gevent.socket.wait_readwrite(sock.fileno())
            else:
                gevent.socket.wait_read(sock.fileno())
        except ssl.SSLWantWriteError:
            gevent.socket.wait_write(sock.fileno())
