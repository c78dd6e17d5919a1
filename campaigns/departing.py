"""Peers that wait for the end of their connections, and record when and how it comes."""

from __future__ import annotations

import selectors
import ssl
import struct
import time
from collections.abc import Callable, Sequence

from .wire import CLOSE, Address, Peer, close, stream_request

# Where the WebSockets of a stop go, in turns: idle, fed, in a blocking view, fed by a thread.
PATHS = ("/echo", "/ticks", "/loop", "/echo", "/ticks", "/loop", "/echo", "/ticks", "/loop", "/fed")
STREAM_PATHS = ("/ticks", "/idle")
# How often the process is looked at, in seconds.
GLANCE = 0.01
# How long to wait for what is on its way from a process that has ended.
LAST_BYTES = 1.0


class Departure:
    """A connection that will be ended by the server.

    Attributes:
        told: seconds until the close frame came, on a WebSocket; None if none has come.
        code: the code in the close frame.
        ended: seconds until the end of the bytes, or of the body of an event stream.
        how: how they ended: "clean" as WebSocket or HTTP would have it, "cut off" without the
            last chunk of a chunked body, or "reset"; "never" until then.
    """

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        self.told: float | None = None
        self.code: int | None = None
        self.ended: float | None = None
        self.how = "never"
        self._tail = peer.take(len(peer._buffer))
        peer.socket.setblocking(False)

    def read(self, seconds: float) -> bool:
        """Read what is there; return whether the connection goes on."""
        try:
            while data := self.peer.socket.recv(2**16):
                if self.ended is None:
                    self.heard(data, seconds)
        except (BlockingIOError, ssl.SSLWantReadError):
            return True
        except OSError:
            self.hung_up(seconds, "reset")
        else:
            self.hung_up(seconds, "clean")
        return False

    def hung_up(self, seconds: float, how: str) -> None:
        if self.ended is None:
            self.ended, self.how = seconds, how

    def heard(self, data: bytes, seconds: float) -> None:
        raise NotImplementedError


class StreamPeer(Departure):
    """An event stream. Where its body is chunked, a chunk of no bytes is its end."""

    def __init__(self, peer: Peer) -> None:
        super().__init__(peer)
        self._is_chunked = b"transfer-encoding: chunked" in peer.head.lower()

    def heard(self, data: bytes, seconds: float) -> None:
        self._tail = (self._tail + data)[-7:]
        if self._is_chunked and self._tail == b"\r\n0\r\n\r\n":
            self.ended, self.how = seconds, "clean"

    def hung_up(self, seconds: float, how: str) -> None:
        super().hung_up(seconds, "cut off" if self._is_chunked and how == "clean" else how)


class WebSocketPeer(Departure):
    """A WebSocket. It answers the close frame at once, unless it is deaf."""

    def __init__(self, peer: Peer, is_deaf: bool) -> None:
        super().__init__(peer)
        self.is_deaf = is_deaf

    def heard(self, data: bytes, seconds: float) -> None:
        self._tail += data
        while len(self._tail) >= 2 and self.told is None:
            # The application sends nothing long.
            first, size = self._tail[:2]
            payload = self._tail[2 : 2 + size]
            if len(payload) < size:
                return
            self._tail = self._tail[2 + size :]
            if first & 0x0F == CLOSE:
                self.told = seconds
                self.code = struct.unpack("!H", payload[:2])[0] if payload else 1005
                if not self.is_deaf:
                    self._answer(seconds)

    def _answer(self, seconds: float) -> None:
        try:
            self.peer.socket.send(close(self.code if self.code != 1005 else None))
        except OSError:
            self.hung_up(seconds, "reset")


def open_websockets(address: Address, count: int, deaf: int) -> list[WebSocketPeer]:
    """Connect so many WebSockets, the last of them deaf, and see that each is served."""
    peers = []
    for number in range(count):
        peer = Peer(address)
        path = PATHS[number % len(PATHS)]
        peer.open(path)
        if path in ("/ticks", "/fed"):
            assert peer.read_message() == b"tick"
        peers.append(WebSocketPeer(peer, is_deaf=number >= count - deaf))
    return peers


def open_streams(address: Address, count: int) -> list[Departure]:
    """Connect so many event streams, and see that each has begun."""
    peers: list[Departure] = []
    for number in range(count):
        peer = Peer(address)
        status = peer.ask(stream_request(STREAM_PATHS[number % len(STREAM_PATHS)]))
        assert " 200 " in status, status
        peers.append(StreamPeer(peer))
    return peers


class Watcher:
    """Watches connections until they end, as a context manager that closes what is left."""

    def __init__(self, peers: Sequence[Departure]) -> None:
        self._peers = peers
        self._selector = selectors.DefaultSelector()
        self._left = len(peers)
        self._start = time.monotonic()
        for peer in peers:
            self._selector.register(peer.peer.socket, selectors.EVENT_READ, peer)

    def __enter__(self) -> Watcher:
        return self

    def __exit__(self, *_: object) -> None:
        self._selector.close()
        for peer in self._peers:
            peer.peer.socket.close()

    def settle(self) -> None:
        """Read what is there; nobody may leave before the signal."""
        for _ in range(50):
            self._look()
        assert self._left == len(self._peers), "connections have ended before the signal"

    def start(self) -> None:
        """Count the seconds from now."""
        self._start = time.monotonic()

    def run_until(self, has_ended: Callable[[], bool], limit: float) -> float | None:
        """Watch until a process has ended, and return after how many seconds it has."""
        while time.monotonic() - self._start < limit:
            self._look()
            if has_ended():
                return time.monotonic() - self._start
        return None

    def drain(self) -> None:
        """Read what is still on its way."""
        deadline = time.monotonic() + LAST_BYTES
        while self._left and time.monotonic() < deadline:
            self._look()

    def _look(self) -> None:
        for key, _ in self._selector.select(GLANCE):
            peer: Departure = key.data
            if not peer.read(time.monotonic() - self._start):
                self._selector.unregister(peer.peer.socket)
                self._left -= 1
                if not isinstance(peer, WebSocketPeer) or not peer.is_deaf:
                    # The server may wait for our end as well.
                    peer.peer.socket.close()
