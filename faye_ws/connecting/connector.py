"""Making a client's connection: names, TCP, TLS, each step waiting in its greenlet only.

Invariants: after each read the hub has its turn, also if there is more to read, so that a
peer which never pauses holds up nobody and every timeout ends what it is set for. What is
read at once is bounded.
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
from .socks import SocksTunnel
from .tls import TLSSettings, TLSSocket
from .tunnel import Tunnel

_T = TypeVar("_T")
_READ_SIZE = 2**12


def connect_tcp(host: str, port: int, source_address: tuple[str, int] | None) -> Any:
    """Connect to a host, trying its addresses one after the other.

    Raises:
        OSError: none of them can be reached; the last reason.
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
    """Return an address of a host, of IPv4 if it has one, which every proxy can reach.

    Raises:
        OSError: it has none.
    """
    found = sorted(_look_up(host, 0), key=lambda info: info[0] != _socket.AF_INET)
    return str(found[0][4][0])


def _look_up(host: str, port: int) -> list[Any]:
    """Return what `getaddrinfo` says of a host.

    gevent's resolver asks in a pool of (by default ten) threads. Whoever waits for it can
    give up, but its thread is not free before the system's resolver has given up, too. So
    that pool is for names alone: an address takes no thread, whatever waits there.
    """
    try:
        return _socket.getaddrinfo(host, port, 0, _socket.SOCK_STREAM, 0, _socket.AI_NUMERICHOST)
    except _socket.gaierror:
        return gevent.socket.getaddrinfo(host, port, 0, _socket.SOCK_STREAM)


def connect_unix(path: str) -> Any:
    """Connect to a UNIX socket.

    Raises:
        OSError: it can't be reached.
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
        ssl.SSLError: the server has no right to its name, or the like.
    """
    # The dot at the end of a full name is not part of the name (RFC 6066, 3).
    tls = TLSSocket(sock, settings.context, settings.server_hostname or host.rstrip("."))
    _cooperate(tls, tls.do_handshake)
    return tls


def open_tunnel(sock: Any, tunnel: Tunnel | SocksTunnel) -> None:
    """Ask the proxy at the other end of a socket for a tunnel, and wait for it.

    Raises:
        HandshakeError: it refuses.
        OSError: the connection to it fails.
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
    # Whoever reads in a loop need not wait in it: a peer may always have more.
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
    """Do a step as soon as it can be done; `wait` is how to wait for a plain socket."""
    while True:
        try:
            return step()
        except BlockingIOError:
            wait(sock.fileno())
        except ssl.SSLWantReadError:
            if isinstance(sock, TLSSocket) and sock.unsent:
                # What the peer is to answer may not be on its way yet.
                gevent.socket.wait_readwrite(sock.fileno())
            else:
                gevent.socket.wait_read(sock.fileno())
        except ssl.SSLWantWriteError:
            gevent.socket.wait_write(sock.fileno())
