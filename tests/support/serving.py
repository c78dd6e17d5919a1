"""A server in the test's own hub, and peers that speak to it in bytes.

Test modules get the fixture with `connect = serving.connect`. When a test has ended, all
its peers hang up; then every connection and its descriptor has to be gone, and nothing may
have been raised that nobody has caught.
"""

from __future__ import annotations

import gc
import itertools
import os
import socket as constants
import struct
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import gevent
import pytest
from gevent import socket
from gevent.pywsgi import WSGIServer
from gevent.queue import Queue
from greenlet import greenlet

import faye_ws
from faye_ws import WebSocket
from faye_ws.runtime.reactor import current_reactor
from faye_ws.websocket.phase import LIMITS, Phase
from support import wire
from support.reading import Reader

# Seconds after which a test has waited long enough.
DEADLINE = 30.0
# How a file of ours begins in a traceback, whatever the folder that the tests are in is called.
PACKAGE = str(Path(faye_ws.__file__).parent) + os.sep
# The kernel's buffers are kept small, so that a peer that does not read is noticed soon.
KERNEL_BUFFER = 2**16

# First bytes of frames that are whole.
TEXT, BINARY = wire.WHOLE_TEXT, wire.WHOLE_BINARY
CLOSE, PING, PONG = wire.CLOSE, wire.PING, wire.PONG

Accept = Callable[[WebSocket], object]
Application = Callable[..., Any]


def wait_for(condition: Callable[..., object], what: object = "it is so") -> None:
    """Wait until a condition is met, or fail at the deadline."""
    deadline = time.monotonic() + DEADLINE
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"not after {DEADLINE} s: {what}")
        gevent.sleep(0.005)


def count_descriptors() -> int:
    """Return how many descriptors this process has open."""
    return len(os.listdir("/proc/self/fd"))


def count_objects(kind: type) -> int:
    """Return how many objects of a class there are."""
    # Not isinstance: a dead proxy would raise.
    return sum(issubclass(type(thing), kind) for thing in gc.get_objects())


@pytest.fixture
def fresh_heap() -> Iterator[None]:
    """Leave what there was before the test out of all counts and collections.

    They would take the longer the more tests have run in the process, and the loop would get
    the fewer turns between them.
    """
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


def take_stock() -> Counter[str]:
    """Return what there is of everything that a connection may leave behind."""
    gc.collect()
    reactor = current_reactor()
    stock = Counter(
        f"objects of {type(thing).__qualname__}"
        for thing in gc.get_objects()
        if str(type(thing).__module__).partition(".")[0] == "faye_ws"
    )
    # Workers at rest are there for the next connection.
    stock["greenlets"] = count_objects(greenlet) - len(reactor.workers._idle)
    stock["watchers"] = reactor.loop.activecnt
    stock["descriptors"] = count_descriptors()
    stock["connections"] = len(reactor.members)
    stock["deadlines"] = len(reactor.heartbeat._order)
    return stock


def wait_until_nothing_is_left(before: Counter[str]) -> None:
    """Wait until there is no more of anything than there was."""
    left: Counter[str] = Counter()

    def is_nothing_left() -> bool:
        left.clear()
        left.update(take_stock() - before)
        return not left

    wait_for(is_nothing_left, left)


def frame(first: int, payload: bytes = b"", key: bytes = wire.KEY) -> bytes:
    """Return a client's frame; with an empty key it is not masked, as a server's."""
    return wire.frame(first, payload, key)


def text(message: str) -> bytes:
    """Return a client's frame of a text message."""
    return frame(TEXT, message.encode())


def close(code: int = 1000, reason: str = "") -> bytes:
    """Return a client's close frame."""
    return frame(CLOSE, code.to_bytes(2, "big") + reason.encode())


def handshake(path: str = "/", headers: Mapping[str, str] | None = None) -> bytes:
    """Return a request for WebSocket."""
    fields = {
        "Host": "localhost",
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version": "13",
        **(headers or {}),
    }
    lines = [f"GET {path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
    return "\r\n".join((*lines, "", "")).encode()


def _small_socket() -> Any:
    sock = socket.socket()
    for option in (constants.SO_RCVBUF, constants.SO_SNDBUF):
        sock.setsockopt(constants.SOL_SOCKET, option, KERNEL_BUFFER)
    return sock


class Peer(Reader):
    """The other end of a connection: a client that knows nothing but bytes."""

    def __init__(self, port: int) -> None:
        super().__init__(_small_socket())
        self.socket.settimeout(DEADLINE)
        self.socket.connect(("127.0.0.1", port))
        self.head = b""

    def open(self, request: bytes | None = None, early: bytes = b"") -> None:
        """Send the opening handshake, and frames right behind it, and read the response."""
        self.send((handshake() if request is None else request) + early)
        self.head = self.read_head()

    def send(self, data: bytes) -> None:
        """Send bytes."""
        self.socket.sendall(data)

    def read_frames(self, count: int) -> list[tuple[int, bytes]]:
        """Return the next frames."""
        return [self.read_frame() for _ in range(count)]

    def read_text(self) -> str:
        """Return the next frame, which is a whole text message."""
        first, payload = self.read_frame()
        assert first == TEXT, (first, payload)
        return payload.decode()

    def read_close(self) -> tuple[int, str]:
        """Return the code and reason of the next frame, which is a close."""
        first, payload = self.read_frame()
        assert first == CLOSE, (first, payload[:100])
        if not payload:
            return 1005, ""
        return int.from_bytes(payload[:2], "big"), payload[2:].decode()

    def echoes(self, message: str) -> bool:
        """Tell whether a message comes back as it was."""
        self.send(text(message))
        return self.read_text() == message

    def finish(self) -> None:
        """Say that no more will be sent, and go on reading."""
        self.socket.shutdown(constants.SHUT_WR)

    def hang_up(self) -> None:
        """Close the socket without another word."""
        self.socket.close()

    def reset(self) -> None:
        """Reset the connection (RST), as a host does that has forgotten it."""
        linger = struct.pack("ii", 1, 0)
        self.socket.setsockopt(constants.SOL_SOCKET, constants.SO_LINGER, linger)
        self.socket.close()


class ErrorLog:
    """What gevent and the server have to say about exceptions that nobody has caught."""

    def __init__(self) -> None:
        self.text = ""

    def write(self, text: str) -> None:
        """Write."""
        self.text += text

    def flush(self) -> None:
        """Do nothing."""


class _Expected(NamedTuple):
    accept: Accept | None
    app: Application | None
    environ: Mapping[str, object]
    options: Mapping[str, Any]
    accepted: Queue[WebSocket]


class Serving:
    """A server, and the peers that have come to it. Calling it makes a connection."""

    def __init__(self) -> None:
        listener = _small_socket()
        listener.bind(("127.0.0.1", 0))
        listener.listen(1024)
        self.port: int = listener.getsockname()[1]
        self.errors = ErrorLog()
        server: Any = WSGIServer
        self._server = server(listener, self._answer, log=None, error_log=self.errors)
        self._peers: list[Peer] = []
        self._expected: dict[str, _Expected] = {}
        self._paths = (f"/{number}" for number in itertools.count())
        self._server.start()

    def __call__(
        self, accept: Accept | None = None, *, early: bytes = b"", **options: Any
    ) -> tuple[WebSocket, Peer]:
        """Open a connection, and return both ends of it; the arguments are those of `expect`."""
        path = self.expect(accept, **options)
        peer = self.dial()
        peer.open(handshake(path), early)
        return self.accepted(path), peer

    def expect(
        self,
        accept: Accept | None = None,
        *,
        app: Application | None = None,
        environ: Mapping[str, object] | None = None,
        **options: Any,
    ) -> str:
        """Say what is to become of a request, and return the path to ask for.

        Args:
            accept: called with the connection before it opens.
            app: a WSGI application that gets the request instead.
            environ: what to put into the environ.
            options: those of `WebSocket`.
        """
        path = next(self._paths)
        self._expected[path] = _Expected(accept, app, environ or {}, options, Queue())
        return path

    def dial(self) -> Peer:
        """Return a peer that has said nothing yet."""
        peer = Peer(self.port)
        self._peers.append(peer)
        return peer

    def accepted(self, path: str) -> WebSocket:
        """Return our end of the connection that asked for a path."""
        return self._expected[path].accepted.get(timeout=DEADLINE)

    def _answer(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        expected = self._expected[environ["PATH_INFO"]]
        environ.update(expected.environ)
        if expected.app is not None:
            return expected.app(environ, start_response)
        ws = WebSocket(environ, **expected.options)
        if expected.accept is not None:
            expected.accept(ws)
        expected.accepted.put(ws)
        return ws(environ, start_response)

    def forget(self) -> None:
        """Hang up, and forget what was expected."""
        for peer in self._peers:
            peer.hang_up()
        self._peers.clear()
        self._expected.clear()

    def is_idle(self) -> bool:
        """Tell whether no connection is left."""
        return not current_reactor().members

    def stop(self) -> None:
        """Hang up, and stop the server."""
        self.forget()
        self._server.stop()


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch) -> Iterator[Serving]:
    """Open connections to a server in the test's own hub."""
    hub: Any = gevent.get_hub()
    # What lives as long as the hub must not count as left behind.
    gevent.sleep(0)
    before = count_descriptors()
    serving = Serving()
    hub.exception_stream = serving.errors
    try:
        yield serving
        # The test is over, so nobody is going to answer anything any more.
        monkeypatch.setitem(LIMITS, Phase.ENDING, 0.0)
        serving.stop()
        wait_for(serving.is_idle, current_reactor().members)
        wait_for(lambda: current_reactor().heartbeat._order == [], "no deadline is left")
        assert serving.errors.text == ""
        wait_for(lambda: count_descriptors() <= before, "all descriptors are closed")
    finally:
        del hub.exception_stream
