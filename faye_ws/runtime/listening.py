"""Listeners that run beside whoever makes the events: in order, and one at a time.

    put() --> the queue ----.
                             `--> a worker greenlet --> the listeners
    Owner.next_message() ---'               `--> in their own thread, if that has no hub

Invariants:
- Whatever a listener does, the hub goes on with its work.
- A listener hears of an event when all that was put before it has been heard.
- What a listener raises ends nothing but that call. An interrupt goes on to where the
  application expects it: the main greenlet, or the thread that the listeners belong to.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from contextvars import Context
from typing import Any, Protocol

from gevent import GreenletExit
from greenlet import getcurrent, greenlet

from ..events import Event, EventTarget
from .log import logger
from .reactor import Reactor
from .threads import ListenerThread

Notice = Event | Callable[[], object]


class Owner(Protocol):
    """Whose listeners they are."""

    def next_message(self) -> Any:
        """Return the next message for the listeners, or None."""

    def dispatch_message(self, message: Any) -> None:
        """Call the listeners with a message."""

    def listener_raised(self, error: BaseException) -> bool:
        """Handle what a listener raised. Return whether it is a fault, which is logged."""

    def listeners_rest(self, worker: greenlet) -> bool:
        """Handle that all was heard. Return whether there is a message again by now."""


class _Nobody:
    """An owner that has nothing to say."""

    __slots__ = ()

    def next_message(self) -> None:
        return None

    def dispatch_message(self, message: Any) -> None:
        """There is none."""

    def listener_raised(self, error: BaseException) -> bool:
        return True

    def listeners_rest(self, worker: greenlet) -> bool:
        return False


NOBODY: Owner = _Nobody()
# What has no listeners.
NO_TARGET = EventTarget()


class ListenerQueue:
    """What the listeners of one target are to hear.

    Args:
        owner: whose it is.
        reactor: that of the hub which makes the events.
        thread: where the listeners run, if that is not the hub.

    Attributes:
        worker: the greenlet that runs the listeners now, or None.
    """

    __slots__ = ("_context", "_notices", "_owner", "_reactor", "_thread", "worker")

    def __init__(self, owner: Owner, reactor: Reactor, thread: ListenerThread | None) -> None:
        self._owner = owner
        self._reactor = reactor
        self._thread = thread
        self._notices: deque[Notice] | None = None
        self._context: Context | None = None
        self.worker: greenlet | None = None

    @property
    def is_done(self) -> bool:
        """Whether all was heard, and no listener is at work."""
        return self.worker is None and not self._has_notice()

    # From the hub, or without a switch

    def put(self, notice: Notice) -> None:
        """Add an event of the target, unless nobody listens, or a function to call."""
        if not (self._is_wanted(notice) or self.is_early):
            return
        if self._notices is None:
            self._notices = deque()
        self._notices.append(notice)

    def put_soon(self, notice: Notice) -> None:
        """Add an event or a function, and start."""
        self.put(notice)
        if self._notices:
            self._reactor.post(self.start)

    def start(self, has_message: bool = False) -> None:
        """Let a worker call the listeners, if there is something to hear. In the hub."""
        if self.worker is None and (has_message or self._has_notice()):
            self._reactor.workers.run(self._work)

    def listeners_changed(self) -> None:
        """Let new listeners hear what they have not missed."""
        if self._notices and self.worker is None:
            # There, since other threads may add listeners, while the hub adds notices.
            self._reactor.post(self._look_again)

    def _look_again(self) -> None:
        if self._notices and self.worker is None and not self.is_early:
            self._notices = deque(filter(self._is_wanted, self._notices))
        self.start()

    def forget(self) -> None:
        """Forget what was not heard yet, and the listener at work: their hub is gone."""
        self._notices = None
        self.worker = None

    def retire(self) -> None:
        """Let go of the owner, which will have nothing more to be heard."""
        self._notices = None
        self._owner = NOBODY

    def kill(self) -> None:
        """Raise `GreenletExit` in the listener that waits for something in the hub."""
        if self.worker is not None and self._thread is None and self.worker is not getcurrent():
            self._reactor.post(self._kill, self.worker)

    def _kill(self, worker: greenlet) -> None:
        # By now it may be done, and work for another target.
        if self.worker is worker:
            worker.throw(GreenletExit)

    def _is_wanted(self, notice: Notice) -> bool:
        return not isinstance(notice, Event) or notice.target.has_listener(notice.type)

    @property
    def is_early(self) -> bool:
        """Whether the application may still be about to add its listeners."""
        return self._thread is not None and not self._thread.has_waited()

    def _has_notice(self) -> bool:
        # A copy, since other threads ask, too, while the hub takes notices.
        return bool(self._notices) and any(map(self._is_wanted, tuple(self._notices or ())))

    # In a worker greenlet

    def _work(self) -> None:
        try:
            while True:
                self.worker = getcurrent()
                if self._thread is not None:
                    self._run()
                elif self._context is not None:
                    self._context.run(self._run)
                else:
                    self._run_in_context(self._run)
                worker, self.worker = self.worker, None
                # None, and nothing is left to do, if it was forgotten meanwhile.
                if worker is None or not (self._owner.listeners_rest(worker) or self._notices):
                    return
        finally:
            self.worker = None

    def _run_in_context(self, function: Callable[..., object], *args: object) -> None:
        if self._context is None:
            # An empty one: nothing leaks in from where the target was made, nor from another
            # target that this worker has served.
            self._context = Context()
        self._context.run(function, *args)

    def _run(self) -> None:
        if self._thread is not None and self.is_early:
            # When the application waits it has added all its listeners: so the first of them
            # hears nothing before the others are there.
            self._thread.call(self._reactor, _wait_only)
        owner = self._owner
        while True:
            notices = self._notices
            # That it is open comes before all messages, and all else behind those that are there.
            if not (notices and _is_opening(notices[0])):
                message = owner.next_message()
                if message is not None:
                    if self._thread is None:
                        owner.dispatch_message(message)
                    else:
                        self._call_in_thread(self._thread, owner.dispatch_message, message)
                    continue
            if not notices:
                self._notices = None
                return
            notice = notices.popleft()
            if self._thread is None:
                self._dispatch(notice)
            else:
                self._call_in_thread(self._thread, self._dispatch, notice)

    def _call_in_thread(
        self, thread: ListenerThread, function: Callable[[Any], object], arg: object
    ) -> None:
        thread.call(self._reactor, self._run_in_thread, function, arg)

    def _run_in_thread(self, function: Callable[[Any], object], arg: object) -> None:
        self.worker = getcurrent()
        self._run_in_context(function, arg)

    def _dispatch(self, notice: Notice) -> None:
        if isinstance(notice, Event):
            notice.target.dispatch_event(notice)
            return
        try:
            notice()
        except BaseException as error:
            self.contain(error)

    def contain(self, error: BaseException) -> None:
        """Handle what a listener raised."""
        is_fault = self._owner.listener_raised(error) and not isinstance(error, GreenletExit)
        if is_fault:
            logger.error("a listener raised", exc_info=error)
        else:
            # Killed, or ended by the end of its connection.
            logger.debug("a listener ended: %r", error)
        if isinstance(error, (KeyboardInterrupt, SystemExit, SystemError)):
            if self._thread is not None:
                raise error
            self._reactor.hub.handle_system_error(type(error), error, error.__traceback__)


def _is_opening(notice: Notice) -> bool:
    return isinstance(notice, Event) and notice.type == "open"


def _wait_only() -> None:
    """Be called, which is all."""
