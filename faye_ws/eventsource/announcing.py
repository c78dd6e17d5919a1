"""Listeners that run beside whoever makes the events.

The law of this file: an event is announced without a switch, and its listeners run in a
worker greenlet of the hub, or in the thread that made the target if that has no hub, one at a
time and in order; what they raise is logged.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from contextvars import Context
from typing import TypeVar

from gevent import GreenletExit

from ..constants import NEVER
from ..events import Event, EventTarget
from ..runtime.background import place_of_request
from ..runtime.handing_over import hand_over
from ..runtime.log import logger
from ..runtime.waiting import WaitQueue

_T = TypeVar("_T")


class Announcer(EventTarget):
    """An event target with a hub."""

    __slots__ = (
        "__weakref__",
        "_busy",
        "_context",
        "_notices",
        "_reactor",
        "_thread",
        "_waiting",
    )

    def __init__(self) -> None:
        super().__init__()
        self._reactor, self._thread = place_of_request()
        self._waiting = WaitQueue(self._reactor.hub)
        self._notices: deque[Event] | None = None
        self._context: Context | None = None
        # Whether a worker runs the listeners, or soon will.
        self._busy = False

    def _announce(self, event: Event) -> None:
        """Let the listeners hear of an event, soon."""
        if not self.has_listener(event.type):
            return
        if self._notices is None:
            self._notices = deque()
        self._notices.append(event)
        if not self._busy:
            self._busy = True
            self._reactor.post(self._reactor.workers.run, self._work)

    def _work(self) -> None:
        try:
            while self._notices:
                notice = self._notices.popleft()
                if self._thread is None:
                    self._run_listeners(notice)
                else:
                    self._thread.call(self._reactor, self._run_listeners, notice)
            self._notices = None
        finally:
            self._busy = False
            self._waiting.notify()

    def _run_listeners(self, event: Event) -> None:
        if self._context is None:
            # An empty one: nothing leaks in from the view, or from one target to the next.
            self._context = Context()
        self._context.run(self.dispatch_event, event)

    def listener_raised(self, error: BaseException) -> None:
        if isinstance(error, GreenletExit):
            logger.debug("a listener was killed")
            return
        logger.error("a listener raised", exc_info=error)
        if isinstance(error, (KeyboardInterrupt, SystemExit, SystemError)):
            if self._thread is not None:
                raise error
            self._reactor.hub.handle_system_error(type(error), error, error.__traceback__)

    def _is_foreign(self) -> bool:
        return self._reactor.is_foreign()

    def _hand_over(
        self, function: Callable[[], _T], deadline: float = NEVER, failure: str = ""
    ) -> _T:
        """Call a function in the hub of the target, and return what it returns."""
        return hand_over(
            self._reactor, function, forget=self.forget, deadline=deadline, failure=failure
        )

    def forget(self) -> None:
        """Let go of all descriptors, and tell nobody."""
        raise NotImplementedError
