"""Greenlets that run listeners, and are used again.

Invariants:
- Jobs are handed out by the hub only. It goes on when the job is done or blocks, whichever
  comes first; a job that blocks keeps its worker, and the next job gets another.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gevent.hub import Hub
from greenlet import getcurrent, greenlet

from .log import logger

Job = Callable[[], None]

# A greenlet that waits keeps its stack, so no more are kept than a burst is likely to use.
_MAX_IDLE = 64


class Workers:
    """The workers of one hub."""

    __slots__ = ("_hub", "_idle")

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._idle: list[greenlet] = []

    def run(self, job: Job) -> None:
        """Run a job until it is done or blocks. For the hub only."""
        if not self._idle:
            # It begins without a job, since what a greenlet is begun with, it keeps.
            greenlet(self._work, self._hub).switch()
        worker = self._idle.pop()
        if worker.dead:
            self.run(job)
        else:
            worker.switch(job)

    def _work(self) -> None:
        while len(self._idle) < _MAX_IDLE:
            self._idle.append(getcurrent())
            job: Any = self._hub.switch()
            try:
                job()
            except (KeyboardInterrupt, SystemExit) as error:
                # A signal has come in the middle of it, and is for the main greenlet.
                self._hub.handle_system_error(type(error), error)
            except BaseException:
                # Jobs contain what listeners raise: this is a fault of the library.
                logger.exception("a job raised")
            job = None
