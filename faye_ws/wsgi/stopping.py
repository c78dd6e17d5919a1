"""Noticing that the WSGI server is being stopped, while its connections are still there.

A worker of gunicorn that is told to end (TERM, HUP, too many requests) waits for its
requests. Nobody tells them. But it notes that it is not `alive` any more, and its handler of
SIGTERM is a method of it, which is how it is found. Other servers end their process, of which
`runtime.process` hears.

Invariants:
- Nothing of the server's is changed: no signal handler, no class of workers, no settings.
"""

from __future__ import annotations

import signal
import time
from typing import Any

from ..runtime.process import cut_off_all, leave_before
from ..runtime.reactor import Reactor
from .request import Environ

# Seconds between two looks.
_LOOK = 0.1
# Seconds before the server's own deadline, so that what has to be done then is done.
_MARGIN = 2.0


class _Watch:
    """A look at a worker, from time to time, in a hub."""

    __slots__ = ("_deadline", "_timer", "_worker")

    def __init__(self, worker: Any, loop: Any) -> None:
        self._worker = worker
        self._deadline: float | None = None
        # It does not keep the loop from ending.
        self._timer: Any = loop.timer(_LOOK, _LOOK, ref=False)
        self._timer.start(self._look)

    def _look(self) -> None:
        now = time.monotonic()
        if self._deadline is None and not self._worker.alive:
            timeout = float(self._worker.cfg.graceful_timeout)
            self._deadline = now + max(timeout - _MARGIN, 0.0)
            leave_before(self._deadline)
        elif self._deadline is not None and now >= self._deadline:
            # Requests that wait for peers would keep the worker until it is killed.
            self._timer.stop()
            self._timer.close()
            cut_off_all()


# The workers that are watched: one in each process, but for their copies after a fork.
_watched: set[int] = set()


def watch_for_stop(environ: Environ, reactor: Reactor) -> None:
    """See to it that all peers hear when the server is being stopped. For any thread."""
    if "gunicorn.socket" not in environ:
        return
    worker = getattr(signal.getsignal(signal.SIGTERM), "__self__", None)
    pid = getattr(worker, "pid", None)
    if pid is None or pid in _watched or not hasattr(worker, "alive"):
        return
    _watched.add(pid)
    reactor.post(_Watch, worker, reactor.loop)
