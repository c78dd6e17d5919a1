"""The command line on a terminal: messages are shown above the line that is being typed.

Without `prompt_toolkit` there is no such line: input is read as from a pipe.

Invariants:
- What a peer has sent is escaped before it reaches the terminal.
- If the standard error output is not a terminal, notes and errors go there.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from .input import Input
from .output import Output, standard_error, standard_output
from .prompt import IS_INSTALLED, Prompt
from .text import format_message, make_harmless, make_line, paint

INCOMING = "< "
# The history file is shortened if it has more bytes than this.
_MAX_HISTORY = 2**18


class Terminal:
    """A terminal.

    Args:
        color: whether to use colours.
        history: whether to keep the typed lines in a file.
    """

    def __init__(self, color: bool, history: bool) -> None:
        self._color = color
        self._output = standard_output()
        self._errors = standard_error()
        self._prompt: Prompt | None = None
        if IS_INSTALLED:
            kept = open_history(self._errors) if history else None
            self._prompt = Prompt(kept, self._output)
        else:
            self.note("(pip install faye_ws[cli] for a line that can be edited)")

    def lines(self) -> Iterator[str]:
        """Iterate over the lines that are typed, until Ctrl-D, Ctrl-C, or `stop`."""
        if self._prompt is None:
            yield from Input().lines()
            return
        while (line := self._prompt.read()) is not None:
            yield line

    def has_input(self) -> bool:
        """Return False: a user who types is not waited for."""
        return False

    def show(self, message: str | bytes) -> None:
        """Show a message, on as many lines as it has.

        Raises:
            OSError: the terminal is gone.
        """
        text = make_harmless(format_message(message)).replace("\n", "\n" + " " * len(INCOMING))
        self._print(INCOMING + text, "incoming")

    def note(self, text: str) -> None:
        """Show a remark."""
        self._say(text, "note")

    def error(self, text: str) -> None:
        """Show an error."""
        self._say(text, "error")

    def _say(self, text: str, style: str) -> None:
        if not self._errors.is_terminal:
            self._errors.say(text)
            return
        with suppress(OSError):
            self._print(make_line(text), style)

    def _print(self, text: str, style: str) -> None:
        line = paint(text, style, self._color) + "\n"
        if self._prompt is None:
            self._output.write(line)
        else:
            self._prompt.print(line)

    def stop(self) -> None:
        """End the line that is being typed, and restore the terminal."""
        if self._prompt is not None:
            self._prompt.stop()

    def restore(self) -> None:
        """Restore the terminal without waiting for anything."""
        if self._prompt is not None:
            self._prompt.restore()


def open_history(errors: Output) -> Path | None:
    """Return the history file, readable by its owner only and shortened; None if impossible."""
    try:
        base = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
        path = Path(base) / "faye_ws" / "history"
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.touch(mode=0o600)
        data = path.read_bytes()
        if len(data) > _MAX_HISTORY:
            # Each entry begins with an empty line and its time.
            path.write_bytes(data[data.find(b"\n# ", -_MAX_HISTORY // 2) :])
    except (OSError, RuntimeError) as error:
        # RuntimeError: there is no home directory.
        errors.say(f"no history: {error}")
        return None
    return path
