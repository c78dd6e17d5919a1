"""Greenlets that run listeners, and are used again.

The law of this file: jobs are handed out by the hub only. The hub goes on when the job is
done or blocks, whichever comes first; a job that blocks keeps its worker, and the next job
gets another.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gevent.hub import Hub
from greenlet import getcurrent, greenlet

from ..events import logger

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
        while self._idle:
            worker = self._idle.pop()
            if not worker.dead:
                worker.switch(job)
                return
        greenlet(self._work, self._hub).switch(job)

    def _work(self, job: Job | None) -> Any:
        while job is not None:
            try:
                job()
            except BaseException:
                # Jobs contain what listeners raise: this is a fault of the library.
                logger.exception("a job raised")
            job = None
            if len(self._idle) >= _MAX_IDLE:
                return
            self._idle.append(getcurrent())
            job = self._hub.switch()
