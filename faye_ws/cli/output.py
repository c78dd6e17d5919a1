"""The standard output and the standard error output.

Invariants: nothing drives a terminal that a peer has sent; what goes to a file or a pipe is what
has come, in UTF-8. Which of the two it is, is asked of each descriptor by itself.
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
        stream: Python's file for it, or None if it was closed when the program began.
    """

    def __init__(self, descriptor: int, stream: TextIO | None) -> None:
        self._descriptor = descriptor
        self._is_open = stream is not None
        self.is_terminal = self._is_open and os.isatty(descriptor)
        self.encoding = stream.encoding if stream is not None and self.is_terminal else "utf-8"

    def show(self, text: str) -> None:
        """Write a message, which may have several lines.

        Raises:
            OSError: it can't be written.
        """
        self.write((make_harmless(text) if self.is_terminal else text) + "\n")

    def say(self, text: str) -> None:
        """Write a sentence, if that is possible."""
        with suppress(OSError):
            self.write((make_line(text) if self.is_terminal else text) + "\n")

    def write(self, text: str) -> None:
        """Write a text as it is."""
        in_thread(self.write_here, text)

    def write_here(self, text: str) -> None:
        """Write a text as it is, in this very thread."""
        if not self._is_open:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        # A terminal need not have every character.
        data = memoryview(text.encode(self.encoding, "backslashreplace"))
        while data:
            try:
                data = data[os.write(self._descriptor, data) :]
            except BlockingIOError:
                # Who shares it with us has made it so.
                select.select([], [self._descriptor], [])


def standard_output() -> Output:
    """Return the standard output."""
    return Output(1, sys.stdout)


def standard_error() -> Output:
    """Return the standard error output."""
    return Output(2, sys.stderr)


def occupy_closed_descriptors() -> None:
    """Make sure that no socket gets the number of a standard stream that is closed.

    Messages would be written to it, or the input be read from it.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            # The lowest number that is free.
            os.open(os.devnull, os.O_RDWR)


def flush_output() -> None:
    """Write out what Python has kept back of the standard output.

    Raises:
        OSError: it can't be written. It is dropped; otherwise Python would try again at its
            exit, and complain.
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
