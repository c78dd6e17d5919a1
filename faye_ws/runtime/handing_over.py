"""Functions that one thread has called in the hub of another.

    hand_over() --> the hub --> a worker greenlet: the function
        waits  <----------------------- its result, or its exception

If the calling thread has a hub, only the calling greenlet waits. Otherwise the thread waits, and
runs the listeners of its clients meanwhile (see `threads`). A timeout or an interrupt ends the
wait, whatever the other thread is doing.

Invariants:
- A call has one outcome: what the function returns or raises, the end of the hub, or that the
  caller gives it up.
- What the function returns goes to the caller, or else to `give_back`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Generic, TypeVar

from gevent import GreenletExit
from gevent.hub import Hub, Waiter
from greenlet import getcurrent, greenlet

from ..constants import NEVER
from .reactor import Reactor, current_reactor, find_hub
from .threads import current_thread, use_hub_for_calls

_T = TypeVar("_T")


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
    """Call a function in the hub of another thread, and return its result.

    A caller that is itself a hub can't wait: it gets None at once, whatever the options say, and
    nobody hears of what the function raises.

    Args:
        reactor: the reactor of the hub.
        function: called in a worker greenlet.
        forget: called in this thread if the hub is gone, to close the object that `function`
            uses. Then `function` is called in this thread, too: it does not wait for an object
            that is closed.
        deadline: when to give up, in seconds of `time.monotonic()`.
        failure: the message of the `TimeoutError`.
        give_back: called in the hub with a result for which nobody waits any more.

    Raises:
        TimeoutError: there is no result at the deadline.
    """
    try:
        return _hand_over(reactor, function, deadline, failure, give_back)
    except _HubGone:
        forget()
        return function()


def call_in_hub(
    reactor: Reactor,
    function: Callable[[], _T],
    *,
    forget: Callable[[], object],
    deadline: float = NEVER,
    failure: str = "",
    give_back: Callable[[_T], object] | None = None,
) -> _T:
    """Call a function in a hub: here if that is the calling thread's, else as `hand_over`."""
    if not reactor.is_foreign():
        return function()
    return hand_over(
        reactor, function, forget=forget, deadline=deadline, failure=failure, give_back=give_back
    )


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
        # Interrupted. If there is an outcome by now, nobody takes it.
        if not call.give_up():
            call.give_back_value()
        raise
    if not call.has_outcome() and call.give_up():
        raise TimeoutError(failure)
    return call.result()


def _submit(reactor: Reactor, call: _Call[_T]) -> None:
    # Those that are in there when the reactor ends fail with it.
    reactor.calls.add(call)
    if reactor.is_over or not reactor.post(reactor.workers.run, call.run):
        call.fail()


def _wait_in_thread(reactor: Reactor, call: _Call[_T], deadline: float) -> None:
    thread = current_thread()
    call.wake = thread.wake
    try:
        _submit(reactor, call)
        thread.wait(call.has_outcome, deadline)
    finally:
        reactor.calls.discard(call)


def _wait_in_greenlet(reactor: Reactor, call: _Call[_T], hub: Hub, deadline: float) -> None:
    # The thread waits in its hub now, so its listeners run there.
    use_hub_for_calls(current_reactor())
    waiter: Any = Waiter(hub)
    # Any thread can wake us with it, and as long as it is there our loop does not end.
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
    """A call that one thread makes for another.

    Attributes:
        wake: called, in any thread, when there is an outcome.
    """

    __slots__ = ("_function", "_give_back", "_greenlet", "_outcome", "_reactor", "wake")

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
        # Of a dictionary the first value can be set in one step, which no thread interrupts.
        self._outcome: dict[None, tuple[Any, BaseException | None]] = {}
        self.wake: Callable[[], object] = lambda: None

    # In any thread

    def _decide(self, value: Any, error: BaseException | None) -> bool:
        """Set the outcome. Return False if there is one already."""
        outcome = value, error
        return self._outcome.setdefault(None, outcome) is outcome

    def has_outcome(self) -> bool:
        """Return whether there is an outcome."""
        return bool(self._outcome)

    def fail(self) -> None:
        """Let the caller hear that the hub is gone."""
        self._finish(None, _HubGone())

    def _finish(self, value: Any, error: BaseException | None) -> bool:
        if not self._decide(value, error):
            return False
        # ValueError: the hub of the calling thread is gone.
        with suppress(ValueError):
            self.wake()
        return True

    # In the thread of the hub

    def run(self) -> None:
        """Call the function, unless the call was given up before."""
        if self._outcome:
            return
        self._greenlet = getcurrent()
        try:
            value, error = self._try()
        except (KeyboardInterrupt, SystemExit) as interrupt:
            # Of a signal handler, which has come in the middle of the function: it is for the
            # main greenlet of the thread.
            self._reactor.hub.handle_system_error(type(interrupt), interrupt)
            value, error = None, InterruptedError("interrupted by a signal")
            if self._reactor.is_leaving:
                # The process ends, so all connections are closing: the function does nothing
                # twice, but returns what it does for those.
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

    def _stop_greenlet(self) -> None:
        if self._greenlet is not None:
            self._greenlet.throw(GreenletExit)

    # In the thread that calls

    def give_up(self) -> bool:
        """Give the call up. Return False if it already has an outcome."""
        if not self._decide(None, None):
            return False
        self._reactor.post(self._stop_greenlet)
        return True

    def give_back_value(self) -> None:
        """Pass what the function has returned to `give_back`."""
        value, error = self._outcome[None]
        if self._give_back is not None and error is None:
            self._reactor.post(self._give_back, value)

    def result(self) -> _T:
        """Return what the function has returned, or raise what it has raised."""
        value: _T
        value, error = self._outcome[None]
        if error is not None:
            raise error
        return value
