"""Plain scripts that use the library, run beside a test that is their server.

The peer of a script is a socket of the test's own process, which speaks in bytes. So the
script has nothing of gevent running but what the library runs.
"""

from __future__ import annotations

import socket
import sys
import textwrap
from pathlib import Path
from types import TracebackType

from faye_ws.driver.handshake import compute_accept
from support import programs

DEADLINE = 15.0

TEXT, CLOSE, PING, PONG = 0x81, 0x88, 0x89, 0x8A


class ScriptPeer:
    """The server that a script connects to, one connection at a time."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(DEADLINE)
        self.url = f"ws://127.0.0.1:{self._listener.getsockname()[1]}/"
        self._buffer = b""
        self.socket: socket.socket

    def accept(self) -> ScriptPeer:
        """Take the next connection, and do the opening handshake."""
        self.socket, _ = self._listener.accept()
        self.socket.settimeout(DEADLINE)
        self._buffer = b""
        while b"\r\n\r\n" not in self._buffer:
            self._read()
        head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
        fields = dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:])
        key = compute_accept(fields["Sec-WebSocket-Key"])
        self.socket.sendall(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Accept: {key}\r\n\r\n".encode()
        )
        return self

    def send(self, first: int, payload: bytes = b"") -> None:
        """Send a frame of up to 125 bytes."""
        self.socket.sendall(bytes((first, len(payload))) + payload)

    def read_frame(self) -> tuple[int, bytes]:
        """Return the first byte and the payload of the next frame of up to 125 bytes."""
        first, second = self._take(2)
        key = self._take(4)
        masked = self._take(second & 0x7F)
        return first, bytes(byte ^ key[index % 4] for index, byte in enumerate(masked))

    def is_alive(self) -> bool:
        """Tell whether a ping is answered."""
        self.send(PING, b"there?")
        return self.read_frame() == (PONG, b"there?")

    def _take(self, length: int) -> bytes:
        while len(self._buffer) < length:
            self._read()
        data, self._buffer = self._buffer[:length], self._buffer[length:]
        return data

    def _read(self) -> None:
        data = self.socket.recv(2**16)
        if not data:
            raise EOFError
        self._buffer += data

    def __enter__(self) -> ScriptPeer:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._listener.close()
        if hasattr(self, "socket"):
            self.socket.close()


def run(tmp_path: Path, code: str, *arguments: str) -> programs.Program:
    """Run a script; its warnings are errors."""
    path = tmp_path / "script.py"
    path.write_text(textwrap.dedent(code))
    return programs.Program(
        [sys.executable, "-u", "-W", "error", path, *arguments],
        env={"PYTHONPATH": str(programs.ROOT)},
    )
