"""The standard input, line by line."""

from __future__ import annotations

import os
import select
import sys
from collections.abc import Iterator

from .threads import in_thread

_READ_SIZE = 2**16
_INPUT = 0


class Input:
    """The standard input. It is read in a thread, and only when a line is asked for."""

    def __init__(self) -> None:
        self._is_waiting = False

    def lines(self) -> Iterator[str]:
        """Iterate over the lines, without their ends.

        Bytes that are not UTF-8 become U+FFFD. A closed input has no lines.

        Raises:
            OSError: the input can't be read.
        """
        if sys.stdin is None:
            return
        pending = bytearray()
        searched = 0
        while data := self._wait_for_data():
            pending += data
            while (end := pending.find(b"\n", searched)) >= 0:
                yield _decode(pending[:end])
                del pending[: end + 1]
                searched = 0
            searched = len(pending)
        if pending:
            yield _decode(pending)

    def has_come(self) -> bool:
        """Tell whether the next line, or the end, is there without waiting."""
        return not self._is_waiting or bool(select.select([_INPUT], [], [], 0)[0])

    def _wait_for_data(self) -> bytes:
        self._is_waiting = True
        try:
            return in_thread(_read)
        finally:
            self._is_waiting = False


def _read() -> bytes:
    while True:
        try:
            return os.read(_INPUT, _READ_SIZE)
        except BlockingIOError:
            # A process that shares the descriptor has made it non-blocking.
            select.select([_INPUT], [], [])


def _decode(line: bytearray) -> str:
    return line.removesuffix(b"\r").decode(errors="replace")
