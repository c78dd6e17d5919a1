"""The command line between other programs: lines in, lines out.

The law of this file: what blocks, blocks a thread of gevent's pool, so pings are answered
while a reader dozes; and nothing is read that has not been sent.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from typing import TypeVar

import gevent

from .text import format_message


def _in_thread(function: Callable[..., _T], *arguments: object) -> _T:
    """Call what may block in a thread; gevent would log what it raises there."""

    def call() -> _T | OSError:
        try:
            return function(*arguments)
        except OSError as error:
            return error

    result = gevent.get_hub().threadpool.apply(call)
    if isinstance(result, OSError):
        raise result
    return result
_READ_SIZE = 2**16
_T = TypeVar("_T")


class Pipe:
    """The standard input and output of a filter."""

    def lines(self) -> Iterator[str]:
        """Iterate over the lines of the input, without their ends.

        Bytes that are no UTF-8 become U+FFFD.
        """
        pending = bytearray()
        searched = 0
        while data := _in_thread(os.read, _INPUT, _READ_SIZE):
            pending += data
            while (end := pending.find(b"\n", searched)) >= 0:
                yield _decode(pending[:end])
                del pending[: end + 1]
                searched = 0
            searched = len(pending)
        if pending:
            yield _decode(pending)

    def show(self, message: str | bytes) -> None:
        """Write a message down."""
        data = memoryview(format_message(message).encode() + b"\n")
        while data:
            data = data[_in_thread(os.write, _OUTPUT, data) :]

    def note(self, text: str) -> None:
        """Say something that is no message."""
        print(text, file=sys.stderr)

    error = note

    def stop(self) -> None:
        """There is nothing to stop: what is being read is left unread."""


def _decode(line: bytearray) -> str:
    return line.removesuffix(b"\r").decode(errors="replace")


_INPUT = 0
_OUTPUT = 1
