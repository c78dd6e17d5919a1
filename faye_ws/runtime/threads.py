"""Native threads without a hub: how they wait, and where their listeners run.

    a hub:  call() ----------> items ----------> wait():  a listener, in a greenlet
                    wake() -->                            or a look at what it waits for

A thread that has no hub waits for us at a lock of the operating system. What is put to it
in that time runs in it, each in a greenlet of its own. So a listener that waits for us, too,
holds up nobody but itself. The listeners of requests run in the threads of a pool instead,
since the server needs its own for the response.

Invariants:
- Whichever greenlet waits looks after all others that wait in its thread.
- A timeout is kept by the thread that has given it.
- An interrupt reaches the greenlet that the thread began with.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any, Protocol

from gevent.hub import Hub, Waiter
from gevent.monkey import get_original
from gevent.threadpool import ThreadPool
from greenlet import getcurrent, greenlet

from ..constants import NEVER
from ..events import logger
from .reactor import Reactor

# Those of the interpreter, even in a program that is monkey-patched.
_SimpleQueue: Any = get_original("queue", "SimpleQueue")
_Empty: Any = get_original("queue", "Empty")
_local: Any = get_original("_thread", "_local")

Condition = Callable[[], bool]

# A listener that blocks keeps its thread, as a request does with the servers that this is for.
_MAX_THREADS = 10_000


class ListenerThread(Protocol):
    """Where the listeners of a connection run, if not in its hub."""

    def call(self, reactor: Reactor, function: Callable[..., object], *args: object) -> None:
        """Call a function there, and wait in a greenlet of the reactor until that is done."""


class WaitingThread:
    """What a thread without a hub waits with."""

    __slots__ = ("_heir", "_is_over", "_items", "_waiters")

    def __init__(self) -> None:
        self._items: Any = _SimpleQueue()
        self._is_over = False
        # The reactor of the thread, if it has made a hub after all.
        self._heir: Reactor | None = None
        # The greenlets that wait: for what, and until when.
        self._waiters: dict[greenlet, tuple[Condition, float]] = {}

    # From other threads

    def call(self, reactor: Reactor, function: Callable[..., object], *args: object) -> None:
        """Call a function in this thread, when it waits, and wait until that is done.

        For greenlets of the reactor's hub. Nothing is called if the thread is over.
        """
        waiter: Any = Waiter(reactor.hub)
        self._items.put(_Item(function, args, reactor, waiter))
        if self._is_over:
            self.end()
        elif self._heir is not None:
            self._pass_on(self._heir)
        waiter.get()

    def wake(self) -> None:
        """Let the greenlets that wait look whether their time has come."""
        self._items.put(None)

    def end(self) -> None:
        """Call nothing any more: the thread is over, or a copy of one in another process."""
        self._is_over = True
        while not self._items.empty():
            item = self._items.get()
            if item is not None:
                item.drop()

    # In this thread

    def use_hub(self, reactor: Reactor) -> None:
        """From now on call everything in the hub that this thread has made."""
        self._heir = reactor
        self._pass_on(reactor)

    def _pass_on(self, heir: Reactor) -> None:
        while not self._items.empty():
            item = self._items.get()
            if item is not None and not heir.post(heir.workers.run, item.run):
                item.drop()

    def wait(self, is_met: Condition, deadline: float) -> None:
        """Wait until a condition is met, or the deadline of `time.monotonic()` is over."""
        me = getcurrent()
        self._waiters[me] = is_met, deadline
        try:
            while not self._is_due(me):
                self._step(me)
        finally:
            del self._waiters[me]

    def _is_due(self, waiter: greenlet) -> bool:
        is_met, deadline = self._waiters[waiter]
        return is_met() or time.monotonic() >= deadline

    def _step(self, me: greenlet) -> None:
        for other in self._waiters:
            if other is not me and self._is_due(other):
                other.switch()
                return
        try:
            item = self._next_item()
        except BaseException:
            first = self._first_waiter()
            if first is me:
                raise
            first.throw(*sys.exc_info())
            return
        if item is not None:
            greenlet(self._run).switch(item)

    def _next_item(self) -> _Item | None:
        deadline = min(deadline for _, deadline in self._waiters.values())
        left = None if deadline == NEVER else max(deadline - time.monotonic(), 0.0)
        try:
            item: _Item | None = self._items.get(timeout=left)
        except _Empty:
            return None
        return item

    def _run(self, item: _Item) -> None:
        try:
            item.run()
        finally:
            # Where a greenlet goes on, or raises, when it is done: it may have begun in one
            # that waits no more.
            if self._waiters:
                getcurrent().parent = self._first_waiter()

    def _first_waiter(self) -> greenlet:
        """Return the greenlet that the thread began with, if it waits, else another."""
        waiters = list(self._waiters)
        return next((waiter for waiter in waiters if waiter.parent is None), waiters[0])


class ListenerPool:
    """Threads that listeners run in: as many as were ever at work at once.

    They do not end: a listener may have made a hub (by `gevent.sleep`, for one), and gevent
    leaves something of a hub behind when its thread ends.
    """

    __slots__ = ("_threads",)

    def __init__(self, hub: Hub) -> None:
        self._threads: Any = ThreadPool(_MAX_THREADS, hub=hub)

    def call(self, reactor: Reactor, function: Callable[..., object], *args: object) -> None:
        """Call a function in a thread, and wait until that is done."""
        self._threads.apply(_call_and_contain, (function, args))


def _call_and_contain(function: Callable[..., object], args: tuple[object, ...]) -> None:
    try:
        function(*args)
    except BaseException as error:
        # Listeners' errors are handled where they are called, and no thread of ours ends
        # because one wants to end its own.
        logger.debug("a listener ended its thread: %r", error)


class _Item:
    """A call, and who waits for it to be done."""

    __slots__ = ("_args", "_function", "_reactor", "_waiter")

    def __init__(
        self, function: Callable[..., object], args: Any, reactor: Reactor, waiter: Any
    ) -> None:
        self._function = function
        self._args = args
        self._reactor = reactor
        self._waiter = waiter

    def run(self) -> None:
        try:
            self._function(*self._args)
        finally:
            self.drop()

    def drop(self) -> None:
        self._reactor.post(self._waiter.switch, None)


class _Tie:
    """Ends what a thread waits with when the thread ends, and its locals are freed."""

    __slots__ = ("thread",)

    def __init__(self) -> None:
        self.thread = WaitingThread()

    def __del__(self) -> None:
        self.thread.end()


_locals: Any = _local()


def current_thread() -> WaitingThread:
    """Return what the calling thread waits with, which has no hub."""
    tie: _Tie | None = getattr(_locals, "tie", None)
    if tie is None:
        tie = _locals.tie = _Tie()
    return tie.thread


def use_hub_for_calls(reactor: Reactor) -> None:
    """Let the listeners of the calling thread run in its hub, which it has by now."""
    tie: _Tie | None = getattr(_locals, "tie", None)
    if tie is not None:
        tie.thread.use_hub(reactor)


def forget_calls_after_fork() -> None:
    """Begin anew in a child: what was put to its copy of the thread is the parent's."""
    if hasattr(_locals, "tie"):
        _locals.tie = _Tie()
