"""The line that is typed on a terminal, and what is printed above it.

`prompt_toolkit` reads the keys and draws the line, in a thread of gevent's pool.

Invariants: a text that is printed is shown, whether a line is being typed, about to be, or done;
what waits to be shown has a bound; the terminal is given back as it was.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import signal
import sys
import termios
import threading
import time
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path

import gevent

from .output import Output, flush_output
from .threads import in_thread

try:
    from prompt_toolkit import PromptSession
    from prompt_toolkit.application import get_app_or_none, in_terminal, run_in_terminal
    from prompt_toolkit.history import FileHistory, InMemoryHistory
    from prompt_toolkit.input.vt100 import Vt100Input
    from prompt_toolkit.key_binding import KeyBindings
except ImportError:
    PromptSession = None  # type: ignore[assignment, misc]
    Vt100Input = object  # type: ignore[assignment, misc]
    FileHistory = object  # type: ignore[assignment, misc]

IS_INSTALLED = PromptSession is not None
PROMPT = "> "
# Characters that may wait to be shown; then whoever prints more has to wait.
_MAX_UNSHOWN = 2**16


class _Keys(Vt100Input):
    """The keys of the terminal, of which none is lost while something is printed."""

    def cooked_mode(self) -> AbstractContextManager[None]:
        return nullcontext()


class _History(FileHistory):
    """The lines that were typed, as far as there is a place to keep them."""

    def store_string(self, string: str) -> None:
        with suppress(OSError):
            super().store_string(string)


class Prompt:
    """The line that is typed.

    Args:
        history: the file of the lines that were typed before, or None.
        output: the terminal.
    """

    def __init__(self, history: Path | None, output: Output) -> None:
        kept = InMemoryHistory() if history is None else _History(str(history))
        self._session: PromptSession[str] = PromptSession(
            history=kept, input=_Keys(sys.stdin), key_bindings=self._bind_keys()
        )
        self._output = output
        # Shared with the thread that reads. The lock keeps a line from beginning while
        # something is printed without regard to it.
        self._lock = threading.Lock()
        self._is_reading = False
        self._is_stopped = False
        self._unshown: list[str] = []
        self._unshown_length = 0
        self._printer: gevent.Greenlet[[], None] | None = None
        self._failure: OSError | None = None
        self._modes = termios.tcgetattr(sys.stdin)
        self._keep_unread_keys()

    def _keep_unread_keys(self) -> None:
        """While nobody reads keys let them wait, each for itself and not shown.

        A terminal that collects lines would swallow a Ctrl-D. Ctrl-C still is a signal.
        """
        modes = termios.tcgetattr(sys.stdin)
        modes[0] &= ~termios.ICRNL
        modes[3] &= ~(termios.ECHO | termios.ICANON | termios.IEXTEN)
        termios.tcsetattr(sys.stdin, termios.TCSANOW, modes)

    def _bind_keys(self) -> KeyBindings:
        bindings = KeyBindings()

        @bindings.add("c-z")
        def stop(event: object) -> None:
            run_in_terminal(self._stop_process)

        return bindings

    def _stop_process(self) -> None:
        """Stop, as Ctrl-Z does elsewhere, and let the shell have the terminal meanwhile."""
        modes = termios.tcgetattr(sys.stdin)
        self.restore()
        # To this very thread: it must not go on before the process stops.
        signal.pthread_kill(threading.get_ident(), signal.SIGTSTP)
        termios.tcsetattr(sys.stdin, termios.TCSANOW, modes)

    # The line

    def read(self) -> str | None:
        """Return the next line that is typed, or None at the end.

        Raises:
            OSError: the terminal is gone.
        """
        return in_thread(self._read)

    def _read(self) -> str | None:
        with self._lock:
            self._is_reading = True
        try:
            if self._is_stopped:
                return None
            # Signals are the main thread's.
            line = self._session.prompt(PROMPT, handle_sigint=False)
        except (EOFError, KeyboardInterrupt):
            return None
        finally:
            self._is_reading = False
        # What the terminal's encoding has not is given as surrogates.
        return line.encode("utf-8", "surrogateescape").decode(errors="replace")

    # Above it

    def print(self, text: str) -> None:
        """Show a text above the line, in its turn.

        Raises:
            OSError: the terminal is gone.
        """
        if self._failure is not None:
            raise self._failure
        self._unshown.append(text)
        self._unshown_length += len(text)
        if self._printer is None:
            self._printer = gevent.spawn(self._print)
        if self._unshown_length > _MAX_UNSHOWN:
            self._printer.join()

    def _print(self) -> None:
        try:
            while self._unshown:
                text = "".join(self._unshown)
                self._unshown.clear()
                self._unshown_length = 0
                in_thread(self._print_here, text)
        except OSError as error:
            self._failure = error
        finally:
            self._printer = None

    def _print_here(self, text: str) -> None:
        while not self._print_above(text):
            with self._lock:
                if not self._is_reading:
                    self._output.write_here(text)
                    return
            # A line is about to begin, or to end.
            time.sleep(0.005)

    def _print_above(self, text: str) -> bool:
        """Print a text above the line that is being typed, if there is one. In a thread."""
        app = get_app_or_none()
        loop = app.loop if app is not None else None
        if app is None or loop is None:
            return False
        shown = False

        async def show() -> None:
            nonlocal shown
            async with in_terminal():
                self._output.write_here(text)
                shown = True

        printing = show()
        try:
            future = asyncio.run_coroutine_threadsafe(printing, loop)
            while not loop.is_closed():
                with suppress(concurrent.futures.TimeoutError):
                    future.result(0.05)
                    break
        except (RuntimeError, concurrent.futures.CancelledError):
            """The line has ended meanwhile."""
        return shown

    # The end

    def stop(self) -> None:
        """End the line that is being typed, show what is to be shown, and restore."""
        self._is_stopped = True
        while self._is_reading:
            self._leave()
            gevent.sleep(0.01)
        if self._printer is not None:
            self._printer.join()
        self.restore()
        with suppress(OSError):
            flush_output()

    def _leave(self) -> None:
        app = get_app_or_none()
        loop = app.loop if app is not None else None
        if app is None or loop is None:
            return

        def leave() -> None:
            if app.future is not None and not app.future.done():
                app.erase_when_done = True
                app.exit()

        with suppress(RuntimeError):
            loop.call_soon_threadsafe(leave)

    def restore(self) -> None:
        """Give the terminal back as it was, if it is still there."""
        with suppress(OSError, termios.error):
            termios.tcsetattr(sys.stdin, termios.TCSANOW, self._modes)
