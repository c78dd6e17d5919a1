"""Noticing that the WSGI server is being stopped, while its connections are still open.

A gunicorn worker that is told to stop (TERM, HUP, too many requests) waits for its requests
to end, without telling them. But it sets its attribute `alive` to False. The worker itself is
found through its SIGTERM handler, which is a bound method. Other servers end their process,
which `runtime.process` notices.

Invariants:
- The server is not modified: no signal handler, no worker class, no setting.
"""

from __future__ import annotations

import signal
import time
from typing import Any

from ..runtime.process import cut_off_all, leave_before
from ..runtime.reactor import Reactor
from .request import Environ

# Seconds between two checks.
_INTERVAL = 0.1
# Seconds before the server's deadline at which connections are cut off, so that the worker
# can still end by itself.
_MARGIN = 2.0


class _Watch:
    """Checks regularly, in a hub, whether a worker is being stopped."""

    __slots__ = ("_deadline", "_timer", "_worker")

    def __init__(self, worker: Any, loop: Any) -> None:
        self._worker = worker
        self._deadline: float | None = None
        # With ref=False the timer does not keep the loop running.
        self._timer: Any = loop.timer(_INTERVAL, _INTERVAL, ref=False)
        self._timer.start(self._check)

    def _check(self) -> None:
        now = time.monotonic()
        if self._deadline is None and not self._worker.alive:
            timeout = float(self._worker.cfg.graceful_timeout)
            self._deadline = now + max(timeout - _MARGIN, 0.0)
            leave_before(self._deadline)
        elif self._deadline is not None and now >= self._deadline:
            # Requests that wait for their peers would keep the worker until it is killed.
            self._timer.stop()
            self._timer.close()
            cut_off_all()


# The process IDs of watched workers. After a fork, that of the parent stays in the set.
_watched: set[int] = set()


def watch_for_stop(environ: Environ, reactor: Reactor) -> None:
    """Watch the server of a request, and tell all peers when it is stopped. From any thread."""
    if "gunicorn.socket" not in environ:
        return
    worker = getattr(signal.getsignal(signal.SIGTERM), "__self__", None)
    pid = getattr(worker, "pid", None)
    if pid is None or pid in _watched or not hasattr(worker, "alive"):
        return
    _watched.add(pid)
    reactor.post(_Watch, worker, reactor.loop)
