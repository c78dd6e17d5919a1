"""The signals that end the command line."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

import gevent

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Signals:
    """Ends the program cleanly at the first signal, and immediately at the second.

    The second does not need the hub, which may be busy.

    Args:
        end: called in a greenlet at the first signal.
        give_up: called at the second, before the process exits.
    """

    def __init__(self, end: Callable[[], object], give_up: Callable[[], object]) -> None:
        self._end = end
        self._give_up = give_up
        self._loop = gevent.get_hub().loop
        # The exit status for the signal that was received, or None.
        self.status: int | None = None
        for signum in _ENDING:
            # Keep what a shell sets for background programs (SIGINT), and nohup (SIGHUP).
            if signal.getsignal(signum) is not signal.SIG_IGN:
                signal.signal(signum, self._receive)

    def _receive(self, signum: int, frame: object) -> None:
        if self.status is not None:
            self._give_up()
            os._exit(self.status)
        self.status = 128 + signum
        self._loop.run_callback_threadsafe(gevent.spawn, self._end)
