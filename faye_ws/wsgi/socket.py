"""Taking the socket of a request from the WSGI server that has accepted it.

Where a server keeps it:

    gevent's pywsgi      environ["wsgi.input"] is a buffered reader over it
    gunicorn, any worker environ["gunicorn.socket"]
    Werkzeug             environ["werkzeug.socket"]

A gevent socket without TLS is detached: its descriptor becomes ours, and in the server's
hands stays a socket that is dead. So the response can end at once, and the server frees
its greenlet, its buffers and the environ, while nothing that it still reads or writes can
reach the connection. Any other socket the server would close too early, or it is a part of
the TLS connection: there the response lasts as long as the connection.

The law of this file: the attributes of servers that no documentation promises are used
here and nowhere else.
"""

from __future__ import annotations

import _socket
import errno
from typing import Any, NamedTuple, NoReturn

import gevent.socket

from ..errors import UnsupportedServer
from .request import Environ


class TakenSocket(NamedTuple):
    """A socket, the bytes of it that the server had read already, and whether it is ours
    alone, because the server's socket object was detached from it."""

    socket: Any
    early: bytes
    detached: bool


def take_socket(environ: Environ) -> TakenSocket:
    """Take the socket of a request from its server.

    Raises:
        UnsupportedServer: it is where it can't be reached.
    """
    if "gunicorn.socket" in environ:
        sock = environ["gunicorn.socket"]
        early = _drain_gunicorn(environ["wsgi.input"])
        may_detach = True
    elif "werkzeug.socket" in environ:
        sock = environ["werkzeug.socket"]
        early = _drain_reader(environ["wsgi.input"], sock)
        # It looks at the descriptor again when the response has ended.
        may_detach = False
    else:
        # pywsgi wraps its reader, unless it sees that the request asks for an upgrade.
        reader = environ.get("wsgi.input")
        reader = getattr(reader, "rfile", reader)
        sock = getattr(getattr(reader, "raw", None), "_sock", None)
        if sock is None:
            _refuse(environ)
        early = _drain_reader(reader, sock)
        may_detach = True
    if may_detach and type(sock) is gevent.socket.socket:
        return TakenSocket(_detach(sock), early, True)
    return TakenSocket(sock, early, False)


def _refuse(environ: Environ) -> NoReturn:
    server = environ.get("SERVER_SOFTWARE") or "an unknown WSGI server"
    raise UnsupportedServer(
        f"{server} keeps its sockets where they can't be reached, so it can't serve "
        "WebSockets: run the application on gevent's pywsgi, on gunicorn with its gevent or "
        "gthread worker, or on Werkzeug's development server"
    )


def _drain_reader(reader: Any, sock: Any) -> bytes:
    # With nothing buffered, peek() reads from the socket, and must not wait for it.
    sock.settimeout(0.0)
    peek = getattr(reader, "peek", None)
    try:
        return bytes(peek()) if peek is not None else b""
    except OSError:
        return b""


def _drain_gunicorn(body: Any) -> bytes:
    unreader = getattr(getattr(body, "reader", None), "unreader", None)
    return unreader.buf.getvalue() if unreader is not None else b""


def _detach(sock: Any) -> Any:
    family, kind, proto = sock.family, sock.type, sock.proto
    ours = _socket.socket(family, kind, proto, fileno=sock.detach())
    sock._sock = _DeadSocket(family, kind, proto)
    return ours


class _DeadSocket:
    """What a server holds instead of a socket: as if the client had hung up."""

    __slots__ = ("family", "proto", "type")

    def __init__(self, family: int, kind: int, proto: int) -> None:
        self.family = family
        self.type = kind
        self.proto = proto

    def recv(self, *args: Any) -> bytes:
        return b""

    def recv_into(self, *args: Any) -> int:
        return 0

    def fileno(self) -> int:
        return -1

    def close(self) -> None:
        """There is nothing to close."""

    def detach(self) -> int:
        return -1

    def __getattr__(self, name: str) -> Any:
        return _broken_pipe


def _broken_pipe(*args: Any) -> NoReturn:
    raise BrokenPipeError(errno.EPIPE, "the socket was taken for a WebSocket")
