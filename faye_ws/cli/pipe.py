"""The command line between other programs: lines in, lines out.

Invariants:
- Only threads of gevent's pool block, so pings are answered while a reader is slow.
- A line is read only after the one before has been sent.
"""

from __future__ import annotations

from collections.abc import Iterator

from .input import Input
from .output import standard_error, standard_output
from .text import format_message


class Pipe:
    """The standard streams, where not both input and output are a terminal."""

    def __init__(self) -> None:
        self._input = Input()
        self._output = standard_output()
        self._errors = standard_error()

    def lines(self) -> Iterator[str]:
        """Iterate over the lines of the input, as `Input.lines` does."""
        return self._input.lines()

    def has_input(self) -> bool:
        """Tell whether `lines` has more without waiting."""
        return self._input.has_come()

    def show(self, message: str | bytes) -> None:
        """Write a message as a line of the output.

        Raises:
            OSError: writing fails.
        """
        self._output.show(format_message(message))

    def note(self, text: str) -> None:
        """Write a remark to the standard error output."""
        self._errors.say(text)

    def error(self, text: str) -> None:
        """Write an error to the standard error output."""
        self._errors.say(text)

    def stop(self) -> None:
        """Do nothing: there is nothing to stop."""

    def restore(self) -> None:
        """Do nothing: there is nothing to restore."""
