"""The command line between other programs: lines in, lines out.

Invariants: what blocks, blocks a thread of gevent's pool, so pings are answered while a reader
dozes; and nothing is read that has not been sent.
"""

from __future__ import annotations

from collections.abc import Iterator

from .input import Input
from .output import standard_error, standard_output
from .text import format_message


class Pipe:
    """The standard streams of a filter; each may be a terminal all the same."""

    def __init__(self) -> None:
        self._input = Input()
        self._output = standard_output()
        self._errors = standard_error()

    def lines(self) -> Iterator[str]:
        """Iterate over the lines of the input, as `Input.lines` does."""
        return self._input.lines()

    def has_input(self) -> bool:
        """Tell whether `lines` need not wait."""
        return self._input.has_come()

    def show(self, message: str | bytes) -> None:
        """Write a message down.

        Raises:
            OSError: it can't be written.
        """
        self._output.show(format_message(message))

    def note(self, text: str) -> None:
        """Say something that is no message."""
        self._errors.say(text)

    def error(self, text: str) -> None:
        """Say what has gone wrong."""
        self._errors.say(text)

    def stop(self) -> None:
        """There is nothing to stop: what is being read is left unread."""

    def restore(self) -> None:
        """There is nothing to restore."""
