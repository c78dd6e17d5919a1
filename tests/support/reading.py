"""What a peer reads from its socket: heads, frames, and whatever else comes as bytes."""

from __future__ import annotations

from typing import Any

from support import wire


class Reader:
    """The reading side of a peer, which knows nothing but bytes.

    Args:
        sock: the socket, of the standard library or of gevent, whose timeout is the deadline;
            None if there is none yet.
    """

    def __init__(self, sock: Any) -> None:
        self.socket = sock
        self._buffer = b""

    def take(self, length: int) -> bytes:
        """Return the next bytes."""
        while len(self._buffer) < length:
            self._read()
        data, self._buffer = self._buffer[:length], self._buffer[length:]
        return data

    def take_until(self, end: bytes) -> bytes:
        """Return what comes before the next `end`, which is passed over."""
        while end not in self._buffer:
            self._read()
        data, _, self._buffer = self._buffer.partition(end)
        return data

    def read_head(self) -> bytes:
        """Return the head of a request or response, without the empty line."""
        return self.take_until(b"\r\n\r\n")

    def read_frame(self) -> tuple[int, bytes]:
        """Return the first byte and the unmasked payload of the next frame."""
        first, second = self.take(2)
        length = second & 0x7F
        if length >= 126:
            length = int.from_bytes(self.take(2 if length == 126 else 8), "big")
        if not second & 0x80:
            return first, self.take(length)
        key = self.take(4)
        return first, wire.xor(key, self.take(length))

    def read_to_end(self) -> bytes:
        """Return all bytes that come before the other end says that it sends no more."""
        while True:
            try:
                self._read()
            except EOFError:
                data, self._buffer = self._buffer, b""
                return data

    def _read(self) -> None:
        data = self.socket.recv(2**16)
        if not data:
            raise EOFError(f"the other end has hung up after {self._buffer[-1000:]!r}")
        self._buffer += data
