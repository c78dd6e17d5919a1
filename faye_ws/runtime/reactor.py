"""What the connections of one hub share.

A hub belongs to the native thread that made it, and so does its reactor: a call from
another thread is handed over, and its result handed back.
"""

from __future__ import annotations

import atexit
import os
import weakref
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from gevent import GreenletExit, get_hub
from gevent._hub_local import get_hub_if_exists, set_hub
from gevent.hub import Hub, Waiter
from gevent.monkey import get_original
from greenlet import getcurrent, greenlet

from ..events import logger
from .heartbeat import Heartbeat
from .workers import Workers

_T = TypeVar("_T")

# Those of the interpreter, even in a program that is monkey-patched.
_get_ident: Callable[[], int] = get_original("_thread", "get_ident")
_allocate_lock: Callable[[], Any] = get_original("_thread", "allocate_lock")

_ATTRIBUTE = "_faye_ws_reactor"


class Member(Protocol):
    """A connection, as far as its reactor is concerned."""

    def leave(self) -> None:
        """Say goodbye to the peer: the process ends."""

    def forked(self) -> None:
        """Forget the connection, which belongs to the parent process."""


class Reactor:
    """The workers, the heartbeat and the connections of one hub."""

    __slots__ = (
        "__weakref__",
        "_made_hub",
        "_thread",
        "heartbeat",
        "hub",
        "loop",
        "members",
        "workers",
    )

    def __init__(self, hub: Hub, made_hub: bool) -> None:
        self.hub = hub
        # That of the main thread, whoever has made it, is the whole program's.
        self._made_hub = made_hub and not hub.main_hub
        self.loop: Any = hub.loop
        self.workers = Workers(hub)
        self.heartbeat = Heartbeat(self.loop)
        self.members: set[Member] = set()
        self._thread = _get_ident()

    def is_foreign(self) -> bool:
        """Tell whether the calling thread is not that of the hub."""
        return _get_ident() != self._thread

    def leave_thread(self) -> None:
        """Destroy the hub if the thread had none before; threads that end leave none behind."""
        if self._made_hub and not self.members:
            self._made_hub = False
            _reactors.discard(self)
            self.heartbeat.stop()
            delattr(self.hub, _ATTRIBUTE)
            self.hub.destroy(destroy_loop=True)

    def hand_over(
        self, function: Callable[[], _T], give_back: Callable[[_T], object] | None = None
    ) -> _T:
        """Call a function in the thread of the hub, and return what it returns.

        The calling greenlet waits if its thread has a hub of its own, else the thread
        does. A hub can't wait, so what it hands over must not raise or return anything.
        A greenlet that is killed while it waits ends the call; if that has returned
        already, `give_back` gets what nobody else will.
        """
        call = _Call(function, give_back)
        own_hub = get_hub_if_exists()
        if own_hub is None:
            lock = _allocate_lock()
            lock.acquire()
            self._post(call, lock.release)
            lock.acquire()
        elif getcurrent() is own_hub:
            self._post(call, lambda: None)
            return None  # type: ignore[return-value]
        else:
            self._post_and_wait(call, own_hub)
        result: _T = call.result()
        return result

    def _post_and_wait(self, call: _Call, own_hub: Hub) -> None:
        waiter: Any = Waiter(own_hub)
        # It also keeps the loop of our own hub from ending because it has nothing to do.
        wakeup: Any = own_hub.loop.async_()
        wakeup.start(waiter.switch, None)
        try:
            self._post(call, wakeup.send)
            waiter.get()
        except BaseException:
            self.loop.run_callback_threadsafe(call.abandon)
            raise
        finally:
            wakeup.stop()
            wakeup.close()

    def _post(self, call: _Call, done: Callable[[], object]) -> None:
        def job() -> None:
            call.run()
            try:
                done()
            except ValueError:
                logger.debug("the thread that called is gone")

        self.loop.run_callback_threadsafe(self.workers.run, job)


class _Call:
    """A call that one thread makes for another."""

    __slots__ = ("_error", "_function", "_give_back", "_greenlet", "_value")

    def __init__(
        self, function: Callable[[], Any], give_back: Callable[[Any], object] | None
    ) -> None:
        self._function = function
        self._give_back = give_back
        self._greenlet: greenlet | None = None
        self._value: Any = None
        self._error: BaseException | None = None

    def run(self) -> None:
        self._greenlet = getcurrent()
        try:
            self._value = self._function()
        except BaseException as error:
            self._error = error
        finally:
            self._greenlet = None

    def abandon(self) -> None:
        if self._greenlet is not None:
            self._greenlet.throw(GreenletExit)
        elif self._give_back is not None and self._error is None:
            self._give_back(self._value)

    def result(self) -> Any:
        if self._error is not None:
            raise self._error
        return self._value


class _Farewell:
    """Destroys the hub that we have made in a thread, when the thread ends.

    Otherwise its descriptors would stay open as long as the process.
    """

    __slots__ = ("_reactor",)

    def __init__(self, reactor: Reactor) -> None:
        self._reactor = reactor

    def __del__(self) -> None:
        reactor = self._reactor
        for member in list(reactor.members):
            member.forked()
        reactor.members.clear()
        if reactor.hub.loop is not None:
            # The thread may have lost it by now, and must not make a new one on the way.
            set_hub(reactor.hub)
            reactor.leave_thread()


_reactors: weakref.WeakSet[Reactor] = weakref.WeakSet()
_locals: Any = get_original("_thread", "_local")()


def current_reactor() -> Reactor:
    """Return the reactor of the calling thread's hub."""
    made_hub = get_hub_if_exists() is None
    hub = get_hub()
    reactor: Reactor | None = getattr(hub, _ATTRIBUTE, None)
    if reactor is None:
        reactor = Reactor(hub, made_hub)
        setattr(hub, _ATTRIBUTE, reactor)
        if reactor._made_hub:
            _locals.farewell = _Farewell(reactor)
        _reactors.add(reactor)
    return reactor


def _clean_after_fork() -> None:
    # The child has copies of the parent's sockets, and its loop would read them.
    for reactor in list(_reactors):
        for member in list(reactor.members):
            member.forked()
        reactor.members.clear()
        reactor.heartbeat.stop()
        reactor.workers = Workers(reactor.hub)


def _leave_at_exit() -> None:
    for reactor in list(_reactors):
        if not reactor.is_foreign():
            for member in list(reactor.members):
                member.leave()


os.register_at_fork(after_in_child=_clean_after_fork)
atexit.register(_leave_at_exit)
