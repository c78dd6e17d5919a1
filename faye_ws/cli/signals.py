"""The signals that end the command line."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

import gevent

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Signals:
    """Ends the program in good order at the first signal, and at once at the second.

    The second needs nothing of the hub, which a peer could be keeping busy.

    Args:
        end: begins to end it, in a greenlet.
        give_up: called before it ends at once.
    """

    def __init__(self, end: Callable[[], object], give_up: Callable[[], object]) -> None:
        self._end = end
        self._give_up = give_up
        self._loop = gevent.get_hub().loop
        # The exit status that tells of the signal, when there has been one.
        self.status: int | None = None
        for signum in _ENDING:
            # A shell has a program in the background ignore SIGINT, and nohup SIGHUP.
            if signal.getsignal(signum) is not signal.SIG_IGN:
                signal.signal(signum, self._receive)

    def _receive(self, signum: int, frame: object) -> None:
        if self.status is not None:
            self._give_up()
            os._exit(self.status)
        self.status = 128 + signum
        self._loop.run_callback_threadsafe(gevent.spawn, self._end)
