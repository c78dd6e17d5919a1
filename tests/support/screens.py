"""The command line on a terminal, and a terminal that is good enough to read what it shows."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

COMMAND = [sys.executable, "-m", "faye_ws"]
DEADLINE = 20.0
WIDTH = 60


class Screen:
    """The program on a terminal, and a terminal that is good enough to read what it shows."""

    def __init__(
        self, *arguments: str, state: Path, command: list[str] = COMMAND, **env: str
    ) -> None:
        self._terminal, program = pty.openpty()
        fcntl.ioctl(program, termios.TIOCSWINSZ, struct.pack("HHHH", 24, WIDTH, 0, 0))
        self.process = subprocess.Popen(
            [*command, *arguments],
            stdin=program,
            stdout=program,
            stderr=program,
            start_new_session=True,
            env={**os.environ, "TERM": "xterm", "XDG_STATE_HOME": str(state), **env},
        )
        os.close(program)
        self.seen = ""

    def type(self, text: str) -> None:
        os.write(self._terminal, text.encode())

    def modes(self) -> list[object]:
        return termios.tcgetattr(self._terminal)

    def wait_for(self, pattern: str) -> None:
        """Read until the plain text of what is shown has a match."""
        deadline = time.monotonic() + DEADLINE
        while not re.search(pattern, plain(self.seen)):
            assert time.monotonic() < deadline, f"no {pattern!r} in {self.seen!r}"
            if not self.read(0.1) and self.process.poll() is not None:
                assert re.search(pattern, plain(self.seen)), f"no {pattern!r} in {self.seen!r}"

    def read(self, timeout: float) -> bool:
        """Take what is shown next, and tell whether there was anything within so many seconds."""
        if not select.select([self._terminal], [], [], timeout)[0]:
            return False
        try:
            data = os.read(self._terminal, 65536)
        except OSError:
            return False
        # Who draws asks where the cursor is.
        if b"\x1b[6n" in data:
            os.write(self._terminal, b"\x1b[1;1R")
        self.seen += data.decode(errors="replace")
        return bool(data)

    def end(self) -> int:
        deadline = time.monotonic() + DEADLINE
        while self.process.poll() is None:
            assert time.monotonic() < deadline, f"it goes on: {self.seen!r}"
            self.read(0.1)
        while self.read(0.1):
            """What it said last."""
        return self.process.returncode

    def __enter__(self) -> Screen:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._terminal)


def plain(text: str) -> str:
    """Return a text without what moves the cursor or sets colours."""
    return re.sub(r"\x1b(\[[0-9;?]*[A-Za-z]|[=>])", "", text)
