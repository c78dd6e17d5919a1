"""Listeners that run beside whoever makes the events.

The law of this file: an event is announced without a switch, and its listeners run in a
worker greenlet of the hub, one at a time and in order; what they raise is logged.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from contextvars import Context
from typing import TypeVar

from gevent import GreenletExit
from greenlet import getcurrent, greenlet

from ..events import Event, EventTarget, logger
from .reactor import Reactor, current_reactor
from .waiting import WaitQueue

_T = TypeVar("_T")


class Announcer(EventTarget):
    """An event target with a hub; it belongs to the thread that has made it."""

    __slots__ = (
        "__weakref__",
        "_busy",
        "_context",
        "_notices",
        "_reactor",
        "_waiting",
        "_worker",
    )

    def __init__(self) -> None:
        super().__init__()
        self._reactor: Reactor = current_reactor()
        self._waiting = WaitQueue(self._reactor.hub)
        self._notices: deque[Event] | None = None
        self._context: Context | None = None
        # Whether a worker runs the listeners, or soon will, and which.
        self._busy = False
        self._worker: greenlet | None = None

    def _announce(self, event: Event) -> None:
        """Let the listeners hear of an event, soon."""
        if not self._has_listener(event.type):
            return
        if self._notices is None:
            self._notices = deque()
        self._notices.append(event)
        if not self._busy:
            self._busy = True
            self._reactor.loop.run_callback(self._reactor.workers.run, self._work)

    def _work(self) -> None:
        if self._context is None:
            # An empty one: nothing leaks in from the view, or from one target to the next.
            self._context = Context()
        self._worker = getcurrent()
        try:
            self._context.run(self._run_listeners)
        finally:
            self._worker = None
            self._busy = False
            self._waiting.notify()

    def _run_listeners(self) -> None:
        while self._notices:
            self.dispatch_event(self._notices.popleft())
        self._notices = None

    def _listener_raised(self, error: BaseException) -> None:
        if isinstance(error, GreenletExit):
            logger.debug("a listener was killed")
            return
        logger.error("a listener raised", exc_info=error)
        if isinstance(error, (KeyboardInterrupt, SystemExit, SystemError)):
            self._reactor.hub.handle_error(self, type(error), error, error.__traceback__)

    def _wait_heard(self, timeout: float) -> None:
        """Wait until the listeners have heard all, if that does not take them too long."""
        self._waiting.wait_until(
            lambda: not self._busy or getcurrent() is self._worker, timeout
        )

    def _is_foreign(self) -> bool:
        return self._reactor.is_foreign()

    def _hand_over(self, function: Callable[[], _T]) -> _T:
        return self._reactor.hand_over(function)
