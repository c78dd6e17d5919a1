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

from support import programs, wire
from support.reading import Reader
from support.wire import CLOSE, PING, PONG
from support.wire import WHOLE_TEXT as TEXT

__all__ = ["CLOSE", "PING", "TEXT", "ScriptPeer", "run"]

DEADLINE = 15.0


class ScriptPeer(Reader):
    """The server that a script connects to, one connection at a time."""

    def __init__(self) -> None:
        super().__init__(None)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(DEADLINE)
        self.url = f"ws://127.0.0.1:{self._listener.getsockname()[1]}/"

    def accept(self) -> ScriptPeer:
        """Take the next connection, and do the opening handshake."""
        sock, _ = self._listener.accept()
        sock.settimeout(DEADLINE)
        self.socket, self._buffer = sock, b""
        key = wire.fields_of(self.read_head())[b"sec-websocket-key"]
        sock.sendall(wire.response(key.decode()))
        return self

    def send(self, first: int, payload: bytes = b"") -> None:
        """Send a frame."""
        self.socket.sendall(wire.frame(first, payload))

    def is_alive(self) -> bool:
        """Tell whether a ping is answered."""
        self.send(PING, b"there?")
        return self.read_frame() == (PONG, b"there?")

    def __enter__(self) -> ScriptPeer:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._listener.close()
        if self.socket is not None:
            self.socket.close()


def run(tmp_path: Path, code: str, *arguments: str) -> programs.Program:
    """Run a script; its warnings are errors."""
    path = tmp_path / "script.py"
    path.write_text(textwrap.dedent(code))
    return programs.Program(
        [sys.executable, "-u", "-W", "error", path, *arguments],
        env={"PYTHONPATH": str(programs.ROOT)},
    )
