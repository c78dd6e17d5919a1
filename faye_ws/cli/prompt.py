"""The line that is typed on a terminal, and the texts that are printed above it.

`prompt_toolkit` reads the keys and draws the line, in a thread of gevent's pool.

Invariants:
- A text is shown, whether a line is being typed, about to begin, or finished.
- The texts that wait to be shown are bounded.
- At the end the terminal is as it was before.
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
# With more characters waiting than this, `print` waits until they are shown.
_MAX_UNSHOWN = 2**16


class _Keys(Vt100Input):
    """The keys of the terminal. None is lost while a text is printed."""

    def cooked_mode(self) -> AbstractContextManager[None]:
        return nullcontext()


class _History(FileHistory):
    """The lines that were typed, in a file; errors in writing it are ignored."""

    def store_string(self, string: str) -> None:
        with suppress(OSError):
            super().store_string(string)


class Prompt:
    """The line that is typed.

    Args:
        history: the file with the lines typed before, or None.
        output: the terminal.
    """

    def __init__(self, history: Path | None, output: Output) -> None:
        kept = InMemoryHistory() if history is None else _History(str(history))
        self._session: PromptSession[str] = PromptSession(
            history=kept, input=_Keys(sys.stdin), key_bindings=self._bind_keys()
        )
        self._output = output
        # Shared with the thread that reads. The lock keeps a line from beginning while a text
        # is printed directly.
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
        """Let the terminal keep unread keys, without showing them.

        In canonical mode a Ctrl-D that is typed meanwhile would be lost. Ctrl-C stays a signal.
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
        """Stop the process, as Ctrl-Z usually does, with the terminal restored meanwhile."""
        modes = termios.tcgetattr(sys.stdin)
        self.restore()
        # To this thread, so that it does not go on before the process stops.
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
            # Only the main thread may handle signals.
            line = self._session.prompt(PROMPT, handle_sigint=False)
        except (EOFError, KeyboardInterrupt):
            return None
        finally:
            self._is_reading = False
        # Bytes that the terminal's encoding can't decode come as surrogates.
        return line.encode("utf-8", "surrogateescape").decode(errors="replace")

    # Texts above the line

    def print(self, text: str) -> None:
        """Show a text above the line, after the texts before it.

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
            # A line is just beginning or ending.
            time.sleep(0.005)

    def _print_above(self, text: str) -> bool:
        """Print a text above the line being typed, if there is one. In a pool thread."""
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
            pass  # The line has ended meanwhile.
        return shown

    # The end

    def stop(self) -> None:
        """End the line that is being typed, show the texts that wait, and restore."""
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
        """Restore the modes of the terminal, if it still exists."""
        with suppress(OSError, termios.error):
            termios.tcsetattr(sys.stdin, termios.TCSANOW, self._modes)
