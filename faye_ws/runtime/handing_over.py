"""Calls from one thread to the hub of another.

    hand_over() --> the hub --> a worker greenlet: the call
        waits  <----------------------- its result

The calling greenlet waits if its thread has a hub of its own, else the thread does, and runs
its listeners meanwhile. A timeout or an interrupt ends the wait whatever the other thread is
doing.

Invariants:
- A call is answered once: by its result, by the end of the hub, or by who gives it up.
- What a call has returned that was given up is given back.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from gevent import GreenletExit
from gevent.hub import Hub, Waiter
from gevent.monkey import get_original
from greenlet import getcurrent, greenlet

from ..constants import NEVER
from .reactor import Reactor, current_reactor, find_hub
from .threads import current_thread, use_hub_for_calls

_T = TypeVar("_T")

_allocate_lock: Callable[[], Any] = get_original("_thread", "allocate_lock")


class _HubGone(Exception):
    """The hub that a call was for is gone, and with it all its connections."""


def hand_over(
    reactor: Reactor,
    function: Callable[[], _T],
    *,
    forget: Callable[[], object],
    deadline: float = NEVER,
    failure: str = "",
    give_back: Callable[[_T], object] | None = None,
) -> _T:
    """Call a function in the hub of another thread, and return what it returns.

    A hub can't wait, so what it hands over must not raise or return anything.

    Args:
        reactor: that of the hub.
        function: called in a worker greenlet.
        forget: called here when the hub is gone. It closes what the function is about, which
            is then called here, since it does not wait any more.
        deadline: when to give up, in seconds of `time.monotonic()`.
        failure: what the `TimeoutError` says then.
        give_back: called in the hub with what nobody has waited for any more.

    Raises:
        TimeoutError: there is no result at the deadline.
    """
    try:
        return _hand_over(reactor, function, deadline, failure, give_back)
    except _HubGone:
        forget()
        return function()


def _hand_over(
    reactor: Reactor,
    function: Callable[[], _T],
    deadline: float,
    failure: str,
    give_back: Callable[[_T], object] | None,
) -> _T:
    call = _Call(reactor, function, give_back)
    hub = find_hub()
    if hub is not None and getcurrent() is hub:
        reactor.post(reactor.workers.run, call.run)
        return None  # type: ignore[return-value]
    try:
        if hub is None:
            _wait_in_thread(reactor, call, deadline)
        else:
            _wait_in_greenlet(reactor, call, hub, deadline)
    except BaseException:
        if not call.give_up():
            call.return_value()
        raise
    if not call.is_answered and call.give_up():
        raise TimeoutError(failure)
    return call.result()


def _submit(reactor: Reactor, call: _Call[_T]) -> None:
    reactor.calls.add(call)
    if reactor.is_over or not reactor.post(reactor.workers.run, call.run):
        call.fail()


def _wait_in_thread(reactor: Reactor, call: _Call[_T], deadline: float) -> None:
    thread = current_thread()
    call.wake = thread.wake
    try:
        _submit(reactor, call)
        thread.wait(call.has_answer, deadline)
    finally:
        reactor.calls.discard(call)


def _wait_in_greenlet(reactor: Reactor, call: _Call[_T], hub: Hub, deadline: float) -> None:
    use_hub_for_calls(current_reactor())
    waiter: Any = Waiter(hub)
    # It also keeps the loop of our own hub from ending because it has nothing to do.
    wakeup: Any = hub.loop.async_()
    wakeup.start(waiter.switch, None)
    timer: Any = None
    if deadline != NEVER:
        timer = hub.loop.timer(max(deadline - time.monotonic(), 0.0))
        timer.start(waiter.switch, None)
    call.wake = wakeup.send
    try:
        _submit(reactor, call)
        waiter.get()
    finally:
        reactor.calls.discard(call)
        for watcher in (wakeup, timer):
            if watcher is not None:
                watcher.stop()
                watcher.close()


class _Call(Generic[_T]):
    """A call that one thread makes for another."""

    __slots__ = (
        "_answer",
        "_error",
        "_function",
        "_give_back",
        "_greenlet",
        "_reactor",
        "_value",
        "is_answered",
        "wake",
    )

    def __init__(
        self,
        reactor: Reactor,
        function: Callable[[], _T],
        give_back: Callable[[_T], object] | None,
    ) -> None:
        self._reactor = reactor
        self._function = function
        self._give_back = give_back
        self._greenlet: greenlet | None = None
        # Taken by the one who answers.
        self._answer = _allocate_lock()
        self._value: Any = None
        self._error: BaseException | None = None
        self.is_answered = False
        self.wake: Callable[[], object] = lambda: None

    def has_answer(self) -> bool:
        return self.is_answered

    # In the thread of the hub

    def run(self) -> None:
        """Make the call, unless it was given up before it began."""
        if self._answer.locked():
            return
        self._greenlet = getcurrent()
        try:
            value, error = self._try()
        except (KeyboardInterrupt, SystemExit) as interrupt:
            # A signal, which is for the main greenlet. If that goes on, so does this.
            self._reactor.hub.handle_system_error(type(interrupt), interrupt)
            value, error = None, InterruptedError("interrupted by a signal")
            if self._reactor.is_leaving:
                # Nothing is done twice: by now all is refused.
                value, error = self._try()
        self._greenlet = None
        if not self._finish(value, error) and error is None and self._give_back is not None:
            self._give_back(value)

    def _try(self) -> tuple[Any, BaseException | None]:
        try:
            return self._function(), None
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:
            return None, error

    def fail(self) -> None:
        """Answer that the hub is gone. From any thread."""
        self._finish(None, _HubGone())

    def _finish(self, value: Any, error: BaseException | None) -> bool:
        if not self._answer.acquire(False):
            return False
        self._value = value
        self._error = error
        self.is_answered = True
        try:
            self.wake()
        except ValueError:
            """The thread that has called is gone."""
        return True

    def _stop(self) -> None:
        if self._greenlet is not None:
            self._greenlet.throw(GreenletExit)

    # In the thread that calls

    def give_up(self) -> bool:
        """Wait no more. Return False if the answer is there already."""
        if self._answer.acquire(False):
            self._reactor.post(self._stop)
            return True
        return False

    def return_value(self) -> None:
        """Give an answer back that came too late."""
        if self._give_back is not None and self._error is None:
            self._reactor.post(self._give_back, self._value)

    def result(self) -> _T:
        """Return what the call has returned, or raise what it has raised."""
        if self._error is not None:
            raise self._error
        value: _T = self._value
        return value
