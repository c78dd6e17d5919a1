"""The standard output and the standard error output.

Invariants:
- What a peer has sent can't control a terminal: it is escaped.
- A file or pipe gets exactly what was received, in UTF-8.
- Each descriptor is tested by itself for being a terminal.
"""

from __future__ import annotations

import errno
import os
import select
import sys
from contextlib import suppress
from typing import TextIO

from .text import make_harmless, make_line
from .threads import in_thread


class Output:
    """One of the standard outputs.

    Args:
        descriptor: its number.
        stream: Python's file for it, or None if it was closed when the program started.
    """

    def __init__(self, descriptor: int, stream: TextIO | None) -> None:
        self._descriptor = descriptor
        self._is_open = stream is not None
        self.is_terminal = self._is_open and os.isatty(descriptor)
        self.encoding = stream.encoding if stream is not None and self.is_terminal else "utf-8"

    def show(self, text: str) -> None:
        """Write a message, which may have several lines.

        Raises:
            OSError: writing fails.
        """
        self.write((make_harmless(text) if self.is_terminal else text) + "\n")

    def say(self, text: str) -> None:
        """Write a sentence; ignore errors."""
        with suppress(OSError):
            self.write((make_line(text) if self.is_terminal else text) + "\n")

    def write(self, text: str) -> None:
        """Write a text unchanged, in a thread of gevent's pool."""
        in_thread(self.write_here, text)

    def write_here(self, text: str) -> None:
        """Write a text unchanged, in the calling thread."""
        if not self._is_open:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        # A terminal's encoding may lack characters.
        data = memoryview(text.encode(self.encoding, "backslashreplace"))
        while data:
            try:
                data = data[os.write(self._descriptor, data) :]
            except BlockingIOError:
                # A process that shares the descriptor has made it non-blocking.
                select.select([], [self._descriptor], [])


def standard_output() -> Output:
    """Return the standard output."""
    return Output(1, sys.stdout)


def standard_error() -> Output:
    """Return the standard error output."""
    return Output(2, sys.stderr)


def occupy_closed_descriptors() -> None:
    """Make sure that no socket gets the number of a closed standard stream.

    Otherwise messages would be written to the socket, or read from it as input.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            # open() returns the lowest free number, which is this one.
            os.open(os.devnull, os.O_RDWR)


def flush_output() -> None:
    """Flush Python's buffer of the standard output.

    Raises:
        OSError: writing fails. The buffer is dropped, or else Python would try again when it
            exits, and print an error.
    """
    if sys.stdout is None:
        return
    try:
        sys.stdout.flush()
    except OSError:
        devnull = os.open(os.devnull, os.O_WRONLY)
        os.dup2(devnull, 1)
        os.close(devnull)
        raise
