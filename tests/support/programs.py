"""Outside programs that tests need: where they are, and how one runs beside a test.

A test whose program is missing is skipped. Where the environment variable CI is set it
fails: there, everything has to be tested.
"""

from __future__ import annotations

import os
import queue
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import NoReturn

import pytest

ROOT = Path(__file__).parent.parent.parent

# Programs that go by other names elsewhere.
_NAMES = {"chromium": ("chromium", "chromium-browser", "google-chrome")}
# Servers live where the PATH of most users does not lead.
_FOLDERS = os.pathsep.join(
    (os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin", "/sbin")
)


def require(name: str) -> str:
    """Return the path of a program; without it, skip the test, or fail it on CI."""
    paths = (shutil.which(alias, path=_FOLDERS) for alias in _NAMES.get(name, (name,)))
    path = next(filter(None, paths), None)
    if path is None:
        miss(f"{name} is not installed")
    return path


def require_node_module(name: str, folder: Path) -> None:
    """Make sure that a script in `folder` can load a module of Node.js, as `require` does."""
    if not (folder / "node_modules" / name).is_dir():
        miss(f"run npm install in {folder.relative_to(ROOT)}: {name} is not there")


def miss(what: str) -> NoReturn:
    """Skip the test because something is missing, or fail it on CI."""
    if os.environ.get("CI"):
        pytest.fail(f"{what}, and CI demands it", pytrace=False)
    pytest.skip(what)


def find_port() -> int:
    """Return a port that nobody listens on, for a program that can't take any and tell which."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return int(sock.getsockname()[1])


class Program:
    """A program that runs beside the test, as a context manager that ends it.

    Args:
        command: the program and its arguments.
        env: environment variables to set besides those of the test.
    """

    def __init__(self, command: Sequence[str | Path], env: Mapping[str, str] | None = None) -> None:
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._seen: list[str] = []
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115
        self._command = [str(word) for word in command]
        self.process = subprocess.Popen(
            self._command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env={**os.environ, **(env or {})},
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def wait_for_line(self, pattern: str, timeout: float = 15.0) -> re.Match[str]:
        """Return the match of the next line of the standard output that has one.

        The lines before it are passed over. Fails if there is none after `timeout` seconds.
        """
        deadline = time.monotonic() + timeout
        while True:
            try:
                line = self._lines.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                self._fail(f"printed no line with {pattern!r} in {timeout} s")
            if line is None:
                self._lines.put(None)
                self._fail(f"ended without a line with {pattern!r}")
            self._seen.append(line)
            match = re.search(pattern, line)
            if match:
                return match

    def errors(self) -> str:
        """Return what has been written to the standard error output so far."""
        # Not read(): the position in the file is the program's as well as ours.
        descriptor = self._errors.fileno()
        return os.pread(descriptor, os.fstat(descriptor).st_size, 0).decode(errors="replace")

    def wait_for_error(self, pattern: str, timeout: float = 15.0) -> re.Match[str]:
        """Return the first match in all that has been written to the standard error output."""
        deadline = time.monotonic() + timeout
        while not (match := re.search(pattern, self.errors())):
            if time.monotonic() > deadline:
                self._fail(f"wrote nothing with {pattern!r} in {timeout} s")
            time.sleep(0.02)
        return match

    def wait_for_gunicorn(self, timeout: float = 15.0) -> int:
        """Return the port of a gunicorn, once its worker has begun."""
        listening = r"Listening at: https?://127\.0\.0\.1:(\d+)[\s\S]*Booting worker"
        return int(self.wait_for_error(listening, timeout)[1])

    def stop(self, signum: int = signal.SIGTERM, timeout: float = 15.0) -> int:
        """End the program with a signal, and return its exit code."""
        self.process.send_signal(signum)
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self._fail(f"still runs {timeout} s after {signal.Signals(signum).name}")

    def __enter__(self) -> Program:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.process.kill()
        self.process.wait()
        self._reader.join()
        self._errors.close()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as output:
            for line in output:
                self._lines.put(line.decode(errors="replace").rstrip("\n"))
        self._lines.put(None)

    def _fail(self, problem: str) -> NoReturn:
        printed = "\n".join((*self._seen, self.errors()))
        pytest.fail(f"{' '.join(self._command)} {problem}; it printed:\n{printed}")


def python(script: Path, *arguments: str) -> Program:
    """Run one of our own scripts on the interpreter of the tests; its warnings are errors."""
    return Program([sys.executable, "-u", "-W", "error", str(script), *arguments])
