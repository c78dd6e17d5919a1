"""The command line on a terminal: what comes is shown above the line that is being typed.

`prompt_toolkit` reads the keys, in a thread of gevent's pool, and redraws the line when
something is printed. Without it lines are read as the terminal gives them.

The law of this file: nothing that a peer has sent reaches the terminal as it is.
"""

from __future__ import annotations

import os
import sys
import termios
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from pathlib import Path

import gevent

from .pipe import Pipe
from .text import format_message, make_harmless, paint

try:
    from prompt_toolkit import PromptSession
    from prompt_toolkit.history import FileHistory, InMemoryHistory
    from prompt_toolkit.input.vt100 import Vt100Input
    from prompt_toolkit.patch_stdout import patch_stdout
except ImportError:
    PromptSession = None  # type: ignore[assignment, misc]
    Vt100Input = object  # type: ignore[assignment, misc]

PROMPT = "> "
INCOMING = "< "
# Bytes of history that are kept from one time to the next.
_MAX_HISTORY = 2**18


class _Keys(Vt100Input):
    """The keys of the terminal, of which none is lost while something is printed."""

    def cooked_mode(self) -> AbstractContextManager[None]:
        return nullcontext()


@contextmanager
def _keys_unread_are_kept() -> Iterator[None]:
    """While nobody reads keys let them wait, each for itself and not shown.

    A terminal that collects lines would swallow a Ctrl-D. Ctrl-C still is a signal.
    """
    before = termios.tcgetattr(sys.stdin)
    unread = termios.tcgetattr(sys.stdin)
    unread[0] &= ~termios.ICRNL
    unread[3] &= ~(termios.ECHO | termios.ICANON | termios.IEXTEN)
    termios.tcsetattr(sys.stdin, termios.TCSANOW, unread)
    try:
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSANOW, before)


class Terminal:
    """A terminal.

    Args:
        color: whether to use colours.
        history: whether to remember what is typed from one time to the next.
    """

    def __init__(self, color: bool, history: bool) -> None:
        self._color = color
        self._stack = ExitStack()
        self._session: PromptSession[str] | None = None
        if PromptSession is None:
            self.note("(pip install faye_ws[cli] for a line that can be edited)")
        else:
            kept = FileHistory(str(open_history())) if history else InMemoryHistory()
            self._session = PromptSession(history=kept, input=_Keys(sys.stdin))
            self._stack.enter_context(_keys_unread_are_kept())
            self._stack.enter_context(patch_stdout(raw=True))

    def lines(self) -> Iterator[str]:
        """Iterate over the lines that are typed, until Ctrl-D, Ctrl-C, or `stop`."""
        if self._session is None:
            yield from Pipe().lines()
            return
        pool = gevent.get_hub().threadpool
        while (line := pool.apply(self._prompt)) is not None:
            yield line

    def _prompt(self) -> str | None:
        """Return the next line that is typed, or None at the end. In a thread."""
        assert self._session is not None
        try:
            # Signals are the main thread's.
            return self._session.prompt(PROMPT, handle_sigint=False)
        except (EOFError, KeyboardInterrupt):
            return None

    def show(self, message: str | bytes) -> None:
        """Show a message, on as many lines as it has."""
        text = make_harmless(format_message(message)).replace("\n", "\n" + " " * len(INCOMING))
        print(paint(INCOMING + text, "incoming", self._color), flush=True)

    def note(self, text: str) -> None:
        """Show something that is no message."""
        print(paint(make_harmless(text), "note", self._color), flush=True)

    def error(self, text: str) -> None:
        """Show what has gone wrong."""
        print(paint(make_harmless(text), "error", self._color), flush=True)

    def stop(self) -> None:
        """End the line that is being typed, and give the terminal back."""
        app = self._session.app if self._session is not None else None
        if app is not None and app.is_running and app.loop is not None:
            app.erase_when_done = True
            app.loop.call_soon_threadsafe(app.exit)
            while app.is_running:
                gevent.sleep(0.01)
        self._stack.close()


def open_history() -> Path:
    """Return the file of the history, for our eyes only, and not longer than it may be."""
    base = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    path = Path(base) / "faye_ws" / "history"
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.touch(mode=0o600)
        data = path.read_bytes()
        if len(data) > _MAX_HISTORY:
            # Each entry begins with an empty line and its time.
            path.write_bytes(data[data.find(b"\n# ", -_MAX_HISTORY // 2) :])
    except OSError as error:
        print(f"no history: {error}", file=sys.stderr)
        return Path(os.devnull)
    return path
