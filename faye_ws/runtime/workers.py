"""A pool of greenlets that run listeners.

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

# How many idle workers are kept. Each has a stack, so no more than a burst is likely to use.
_MAX_IDLE = 64


class Workers:
    """The workers of one hub."""

    __slots__ = ("_hub", "_idle")

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._idle: list[greenlet] = []

    def run(self, job: Job) -> None:
        """Run a job until it is done or blocks. Only for the hub."""
        if not self._idle:
            # A greenlet keeps its first arguments alive, so it starts without a job.
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
                # A signal handler has raised it: it is for the main greenlet.
                self._hub.handle_system_error(type(error), error)
            except BaseException:
                # Jobs catch what listeners raise, so this is a bug of the library.
                logger.exception("a job raised")
            job = None
