"""Taking the socket of a request from the WSGI server that accepted it.

Where a server keeps the socket:

    gevent's pywsgi       environ["wsgi.input"] is a buffered reader over it
    gunicorn, any worker  environ["gunicorn.socket"]
    Werkzeug              environ["werkzeug.socket"]

Only frames may follow the handshake, so the server is silenced: its writes fail as if the
client had hung up. (It does write: a head for the 101, of which only the line in the access
log is useful, or an error page if the application fails.)

A gevent socket without TLS is also detached: its descriptor is ours alone, the response ends
at once, and the server frees its greenlet, its buffers and the environ. With any other socket
the response lasts as long as the connection: the server would close it too early, or it is
part of the TLS connection.

Invariants:
- Undocumented attributes of servers are used here and in `stopping`, nowhere else.
"""

from __future__ import annotations

import _socket
import errno
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple, NoReturn
from weakref import WeakKeyDictionary

import gevent.socket

from ..errors import UnsupportedServer
from .request import Environ

# Called with the first bytes that a silenced server writes.
OnWrite = Callable[[bytes], None]


class TakenSocket(NamedTuple):
    """The socket of a request.

    `early` are the bytes that the server has already read from it; `detached` tells whether
    the descriptor was detached from the server's socket object, so that it is ours alone.
    """

    socket: Any
    early: bytes
    detached: bool


def take_socket(environ: Environ, on_write: OnWrite) -> TakenSocket:
    """Take the socket of a request from its server.

    Args:
        environ: the environ of the request.
        on_write: called when the server first writes to the socket all the same.

    Raises:
        UnsupportedServer: the server does not expose the socket.
        RuntimeError: it was taken before.
    """
    sock = find_socket(environ)
    if sock is None:
        _refuse(environ)
    if type(sock) in _silenced_classes.values():
        raise RuntimeError("the request is answered by another WebSocket")
    if "gunicorn.socket" in environ:
        early = _drain_gunicorn(environ["wsgi.input"])
    else:
        early = _drain_reader(_reader_of(environ), sock)
    # Werkzeug uses the descriptor once more when the response has ended.
    may_detach = "werkzeug.socket" not in environ
    if may_detach and type(sock) is gevent.socket.socket:
        family, kind, proto = sock.family, sock.type, sock.proto
        ours = _socket.socket(family, kind, proto, fileno=sock.detach())
        _silence(sock, on_write)
        return TakenSocket(ours, early, detached=True)
    live = _LiveSocket(sock)
    _silence(sock, on_write)
    return TakenSocket(live, early, detached=False)


def find_socket(environ: Environ) -> Any:
    """Return the socket of a request without taking it, or None."""
    for name in ("gunicorn.socket", "werkzeug.socket"):
        if name in environ:
            return environ[name]
    return getattr(getattr(_reader_of(environ), "raw", None), "_sock", None)


def _reader_of(environ: Environ) -> Any:
    # pywsgi wraps its reader, except for requests that ask for an upgrade.
    reader = environ.get("wsgi.input")
    return getattr(reader, "rfile", reader)


def _refuse(environ: Environ) -> NoReturn:
    server = environ.get("SERVER_SOFTWARE") or "an unknown WSGI server"
    raise UnsupportedServer(
        f"{server} keeps its sockets where they can't be reached, so it can't serve "
        "WebSockets: run the application on gevent's pywsgi, on gunicorn with its gevent or "
        "gthread worker, or on Werkzeug's development server"
    )


def _drain_reader(reader: Any, sock: Any) -> bytes:
    # If nothing is buffered, peek() reads from the socket: it must not wait.
    sock.settimeout(0.0)
    peek = getattr(reader, "peek", None)
    try:
        return bytes(peek()) if peek is not None else b""
    except OSError:
        return b""


def _drain_gunicorn(body: Any) -> bytes:
    unreader = getattr(getattr(body, "reader", None), "unreader", None)
    return unreader.buf.getvalue() if unreader is not None else b""


# What is done with a socket; `unwrap` have only those with TLS.
_KEPT = (
    *("close", "fileno", "getsockopt", "recv", "send", "setsockopt", "settimeout", "shutdown"),
    "unwrap",
)


class _LiveSocket:
    """The methods of a silenced socket as they were before, for us."""

    __slots__ = ("__dict__",)

    def __init__(self, sock: Any) -> None:
        cls = type(sock)
        for name in _KEPT:
            if hasattr(cls, name):
                self.__dict__[name] = partial(getattr(cls, name), sock)


_on_write: WeakKeyDictionary[Any, OnWrite] = WeakKeyDictionary()


def _silence(sock: Any, on_write: OnWrite) -> None:
    """Make all writes to a socket fail, except those through an earlier `_LiveSocket`."""
    _on_write[sock] = on_write
    # The methods of a socket can't be set on the instance, but its class can be changed.
    sock.__class__ = _silenced_class(type(sock))


_silenced_classes: dict[type, type] = {}


def _silenced_class(cls: type) -> type:
    if cls not in _silenced_classes:
        methods: dict[str, Any] = dict.fromkeys(("send", "sendall", "sendfile", "write"), _swallow)
        # A server that waits for another request sees the end of the client's side.
        methods["recv"] = lambda sock, *args: b""
        methods["recv_into"] = lambda sock, *args: 0
        _silenced_classes[cls] = type(cls.__name__, (cls,), {"__slots__": (), **methods})
    return _silenced_classes[cls]


def _swallow(sock: Any, data: Any, *args: Any, **kwargs: Any) -> NoReturn:
    on_write = _on_write.pop(sock, None)
    if on_write is not None and isinstance(data, (bytes, bytearray, memoryview)):
        on_write(bytes(data[:16]))
    raise BrokenPipeError(errno.EPIPE, "the socket was taken for a WebSocket")
