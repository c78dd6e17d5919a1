"""Making a client's connection: names, TCP, TLS, each step waiting in its greenlet only."""

from __future__ import annotations

import _socket
import ssl
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeVar

import gevent.socket

from ..driver.proxy import Tunnel
from .tls import TLSSocket

_T = TypeVar("_T")
_READ_SIZE = 2**12

TLSOptions = ssl.SSLContext | Mapping[str, Any]

_TLS_KEYS = frozenset(("ca", "cert", "key", "server_hostname", "verify"))


class TLSSettings:
    """What a client trusts and shows.

    Args:
        tls: an `ssl.SSLContext` to use as it is; or a mapping with any of `ca` (a file or
            folder of certificates to trust instead of the system's), `cert` and `key` (files
            of our own), `server_hostname` (whose certificate it must be) and `verify` (False
            to trust anybody).
        ca: the same as `{"ca": ca}`.

    Raises:
        TypeError, ValueError: an option is unknown, or two contradict each other.
        OSError: a file can't be read.
    """

    __slots__ = ("context", "server_hostname")

    def __init__(self, tls: TLSOptions | None, ca: str | None) -> None:
        self.server_hostname: str | None = None
        if isinstance(tls, ssl.SSLContext):
            if ca is not None:
                raise ValueError("ca belongs into the SSLContext")
            self.context: ssl.SSLContext = tls
            return
        options = dict(tls or {})
        unknown = options.keys() - _TLS_KEYS
        if unknown:
            raise TypeError(f"unknown options of tls: {', '.join(sorted(map(str, unknown)))}")
        if ca is not None and options.setdefault("ca", ca) != ca:
            raise ValueError("two different ca")
        self.server_hostname = options.get("server_hostname")
        self.context = _make_context(options)


def _make_context(options: Mapping[str, Any]) -> ssl.SSLContext:
    context = ssl.create_default_context()
    ca = options.get("ca")
    if ca is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        _load_ca(context, str(ca))
    if options.get("cert") is not None:
        context.load_cert_chain(options["cert"], options.get("key"))
    elif options.get("key") is not None:
        raise ValueError("a key without a cert")
    if options.get("verify") is False:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    # RFC 7301: WebSocket begins as HTTP/1.1, which a server of HTTP/2 must know.
    context.set_alpn_protocols(["http/1.1"])
    return context


def _load_ca(context: ssl.SSLContext, path: str) -> None:
    try:
        context.load_verify_locations(cafile=path)
    except IsADirectoryError:
        context.load_verify_locations(capath=path)


def connect_tcp(host: str, port: int, source_address: tuple[str, int] | None) -> Any:
    """Connect to a host, trying its addresses one after the other.

    Raises:
        OSError: none of them can be reached; the last reason.
    """
    return _take(gevent.socket.create_connection((host, port), source_address=source_address))


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
    tls = TLSSocket(sock, settings.context, settings.server_hostname or host)
    _cooperate(tls, tls.do_handshake)
    return tls


def open_tunnel(sock: Any, tunnel: Tunnel) -> None:
    """Ask the proxy at the other end of a socket for a tunnel, and wait for it.

    Raises:
        HandshakeError: it refuses.
        OSError: the connection to it fails.
    """
    request = tunnel.request
    while request:
        sent: int = _cooperate(sock, partial(sock.send, request))
        request = request[sent:]
    while not tunnel.is_open:
        tunnel.receive_data(_cooperate(sock, lambda: sock.recv(_READ_SIZE)))


def _cooperate(sock: Any, step: Callable[[], _T]) -> _T:
    while True:
        try:
            return step()
        except (ssl.SSLWantReadError, BlockingIOError):
            gevent.socket.wait_read(sock.fileno())
        except ssl.SSLWantWriteError:
            gevent.socket.wait_write(sock.fileno())
