"""Making a client's connection: names, TCP, TLS, each step waiting in its greenlet only."""

from __future__ import annotations

import _socket
import ssl
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import gevent
import gevent.socket

from ..constants import ReadyState
from ..driver.base import Driver
from ..driver.proxy import Tunnel
from .proxies import Proxy, make_socks
from .tls import TLSSettings, TLSSocket

_T = TypeVar("_T")
_READ_SIZE = 2**12

def connect_tcp(host: str, port: int, source_address: tuple[str, int] | None) -> Any:
    """Connect to a host, trying its addresses one after the other.

    Raises:
        OSError: none of them can be reached; the last reason.
    """
    return _take(gevent.socket.create_connection((host, port), source_address=source_address))


def connect_socks(
    proxy: Proxy, host: str, port: int, source_address: tuple[str, int] | None, timeout: float
) -> Any:
    """Connect to a host through a SOCKS5 proxy (RFC 1928), in a thread of gevent's pool.

    Raises:
        OSError, python_socks.ProxyError: that can't be done.
    """
    is_given_up = False

    def connect() -> Any:
        # Taken here: in a monkey-patched program it belongs to the hub of this thread.
        sock = _take(make_socks(proxy).connect(host, port, timeout, local_addr=source_address))
        if is_given_up:
            sock.close()
        return sock

    try:
        return gevent.get_hub().threadpool.apply(connect)
    except BaseException:
        is_given_up = True
        raise


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
    return _take(sock)


def _take(sock: Any) -> Any:
    family, kind, proto = sock.family, sock.type, sock.proto
    plain = _socket.socket(family, kind, proto, fileno=sock.detach())
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


def open_tunnel(sock: Any, tunnel: Tunnel) -> None:
    """Ask the proxy at the other end of a socket for a tunnel, and wait for it.

    Raises:
        HandshakeError: it refuses.
        OSError: the connection to it fails.
    """
    _send_all(sock, tunnel.request)
    while not tunnel.is_open:
        tunnel.receive_data(_cooperate(sock, lambda: sock.recv(_READ_SIZE)))


def shake_hands(sock: Any, driver: Driver) -> None:
    """Do the opening handshake of a driver over a connected socket.

    Raises:
        OSError: the connection fails.
    """
    driver.start()
    _send_all(sock, driver.data_to_send())
    while driver.ready_state is ReadyState.CONNECTING:
        data = _cooperate(sock, lambda: sock.recv(_READ_SIZE))
        if data:
            driver.receive_data(data)
        else:
            driver.receive_eof()


def _send_all(sock: Any, data: bytes) -> None:
    while data:
        sent: int = _cooperate(sock, partial(sock.send, data))
        data = data[sent:]


def _cooperate(sock: Any, step: Callable[[], _T]) -> _T:
    while True:
        try:
            return step()
        except (ssl.SSLWantReadError, BlockingIOError):
            gevent.socket.wait_read(sock.fileno())
        except ssl.SSLWantWriteError:
            gevent.socket.wait_write(sock.fileno())
