"""Native threads without a hub: how they wait in our calls, and where their listeners run.

    a hub:  call() ----------> queue ----------> wait():  run a listener, in a greenlet
                    wake() -->                            or check the conditions

A thread without a hub waits at a native queue. Listeners that are put into the queue meanwhile
run in that thread, each in a greenlet of its own: a listener may itself wait in a call of ours,
and delays no other. The main thread, which lasts as long as the process, gets a hub with its
first listener, so that listeners may wait for anything; other threads may make one themselves.
As soon as a thread has a hub, all its greenlets wait in that.

The listeners of requests run in a pool of threads instead, since the server needs the
request's own thread for the response.

Invariants:
- The greenlet that waits at the queue also wakes the other waiting greenlets of its thread.
- A timeout is watched by the thread that called with it.
- An interrupt is raised in the first greenlet of the thread.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any, Protocol

from gevent import get_hub
from gevent.hub import Hub, Waiter
from gevent.monkey import get_original
from gevent.threadpool import ThreadPool
from greenlet import getcurrent, greenlet

from ..constants import NEVER
from .log import logger
from .reactor import Reactor, current_reactor, find_hub

# The native ones, even in a monkey-patched program.
_SimpleQueue: Any = get_original("queue", "SimpleQueue")
_Empty: Any = get_original("queue", "Empty")
_local: Any = get_original("_thread", "_local")
_get_ident: Callable[[], int] = get_original("_thread", "get_ident")

Condition = Callable[[], bool]

# A listener that blocks keeps its thread, as a request does in a threaded server.
_MAX_THREADS = 10_000
# The longest timer, in seconds: the loop can't take an infinite one.
_MAX_DELAY = 3600.0

# If another thread imports this module, the main thread is treated like any other.
_main_thread = _get_ident()


class ListenerThread(Protocol):
    """A place other than the hub where the listeners of a connection run."""

    def call(self, reactor: Reactor, function: Callable[..., object], *args: object) -> None:
        """Call a function there; the calling greenlet, of the reactor's hub, waits for it."""

    def has_waited(self) -> bool:
        """Return whether the application has waited there since it has made the connection.

        Until then it may still be about to add its listeners.
        """


class _Wait:
    """A greenlet that waits, its condition and its deadline. A signal handler may nest waits."""

    __slots__ = ("_is_met", "deadline", "greenlet")

    def __init__(self, greenlet: greenlet, is_met: Condition, deadline: float) -> None:
        self.greenlet = greenlet
        self._is_met = is_met
        self.deadline = deadline

    def is_over(self) -> bool:
        return self._is_met() or time.monotonic() >= self.deadline


class WaitingThread:
    """A thread without a hub: its queue of calls, and its waiting greenlets."""

    __slots__ = ("_is_main", "_is_over", "_items", "_reactor", "_waits", "turn")

    def __init__(self) -> None:
        self._items: Any = _SimpleQueue()
        self._is_main = _get_ident() == _main_thread
        self._is_over = False
        # The reactor of the thread, as soon as it has a hub.
        self._reactor: Reactor | None = None
        self._waits: list[_Wait] = []
        # How often the thread has waited.
        self.turn = 0

    # From other threads

    def call(self, reactor: Reactor, function: Callable[..., object], *args: object) -> None:
        """Call a function in this thread as soon as that waits; wait until it has returned.

        Only for greenlets of the reactor's hub. If the thread is over, nothing is called.
        """
        waiter: Any = Waiter(reactor.hub)
        self._put(_Item(function, args, reactor, waiter))
        waiter.get()

    def wake(self) -> None:
        """Let the waiting greenlets check their conditions."""
        self._put(None)

    def _put(self, item: _Item | None) -> None:
        self._items.put(item)
        if self._is_over:
            self.end()
        elif self._reactor is not None:
            self._reactor.post(self._move_items, self._reactor)

    def end(self) -> None:
        """Drop all calls: the thread is over."""
        self._is_over = True
        while not self._items.empty():
            item = self._items.get()
            if item is not None:
                item.drop()

    # In this thread

    def wait(self, is_met: Condition, deadline: float) -> None:
        """Wait until a condition is met, or the deadline of `time.monotonic()` is over."""
        self.turn += 1
        wait = _Wait(getcurrent(), is_met, deadline)
        self._waits.append(wait)
        try:
            while not wait.is_over():
                hub = find_hub()
                if hub is None:
                    self._wait_for_item(wait)
                else:
                    self.use_hub(current_reactor())
                    self._wait_in_hub(hub, wait)
        finally:
            self._waits.remove(wait)

    def _wait_for_item(self, wait: _Wait) -> None:
        for other in self._waits:
            if other.greenlet is not wait.greenlet and other.is_over():
                other.greenlet.switch()
                return
        try:
            item = self._next_item()
        except BaseException:
            first = self._first_greenlet()
            if first is wait.greenlet:
                raise
            first.throw(*sys.exc_info())
            return
        if item is not None and self._is_main:
            self._items.put(item)
            self.use_hub(_make_hub())
        elif item is not None:
            greenlet(self._run).switch(item)

    def _next_item(self) -> _Item | None:
        deadline = min(wait.deadline for wait in self._waits)
        timeout = None if deadline == NEVER else max(deadline - time.monotonic(), 0.0)
        try:
            item: _Item | None = self._items.get(timeout=timeout)
        except _Empty:
            return None
        return item

    def _run(self, item: _Item) -> None:
        try:
            item.run()
        finally:
            # Where a greenlet goes on, or raises, when it is done: it may have begun in one
            # that waits no more. If nobody waits, this runs in a hub, perhaps one that it has
            # made, which then is its child.
            here = getcurrent()
            if self._waits:
                here.parent = self._first_greenlet()
            else:
                hub = get_hub()
                assert here.parent is not None
                hub.parent = here.parent
                here.parent = hub

    def _first_greenlet(self) -> greenlet:
        """Return the first greenlet of the thread if it waits, else another that waits."""
        greenlets = [wait.greenlet for wait in self._waits]
        return next((waiter for waiter in greenlets if waiter.parent is None), greenlets[0])

    # In this thread, with a hub

    def use_hub(self, reactor: Reactor) -> None:
        """From now on make all calls in the hub of this thread."""
        if self._reactor is reactor:
            return
        self._reactor = reactor
        self._move_items(reactor)
        for wait in self._waits:
            # The hub has no timers for greenlets that began to wait before there was a hub.
            if wait.deadline != NEVER:
                reactor.loop.timer(_delay_until(wait.deadline)).start(self._resume_waits)

    def _move_items(self, reactor: Reactor) -> None:
        while not self._items.empty():
            item = self._items.get()
            if item is not None and not reactor.post(reactor.workers.run, item.run):
                item.drop()
        reactor.post(self._resume_waits)

    def _resume_waits(self) -> None:
        """Resume the greenlets whose waits are over. In the hub."""
        for wait in tuple(self._waits):
            if wait in self._waits and wait.is_over():
                wait.greenlet.switch()

    def _wait_in_hub(self, hub: Hub, wait: _Wait) -> None:
        # Where there is no deadline, the timer still keeps the loop running.
        timer: Any = hub.loop.timer(_delay_until(wait.deadline), _MAX_DELAY)
        timer.start(self._resume_waits)
        try:
            hub.switch()
        finally:
            timer.stop()
            timer.close()


def _delay_until(deadline: float) -> float:
    return min(max(deadline - time.monotonic(), 0.0), _MAX_DELAY)


class ClientThread:
    """The thread that has made a client, which has no hub."""

    __slots__ = ("_thread", "_turn")

    def __init__(self, thread: WaitingThread) -> None:
        self._thread = thread
        self._turn = thread.turn

    def call(self, reactor: Reactor, function: Callable[..., object], *args: object) -> None:
        """Call a function in the thread, when it waits, and wait until that is done."""
        self._thread.call(reactor, function, *args)

    def has_waited(self) -> bool:
        """Return whether the thread has waited for us since it has made the client."""
        return self._thread.turn != self._turn


def _make_hub() -> Reactor:
    """Make a hub for the main thread, which is never destroyed."""
    hub: Any = get_hub()
    # The program may catch an interrupt, so the hub must not report it as an error.
    hub.NOT_ERROR = (*hub.NOT_ERROR, KeyboardInterrupt)
    reactor = current_reactor()
    reactor.is_made_for_waiting = True
    return reactor


class ListenerPool:
    """Threads for listeners, as many as have ever run at the same time.

    They never end: a listener may have made a hub (with `gevent.sleep`, for instance), and
    gevent does not free all of a hub when its thread ends.
    """

    __slots__ = ("_threads",)

    def __init__(self, hub: Hub) -> None:
        self._threads: Any = ThreadPool(_MAX_THREADS, hub=hub)

    def call(self, reactor: Reactor, function: Callable[..., object], *args: object) -> None:
        """Call a function in a thread, and wait until it has returned."""
        self._threads.apply(_call_and_contain, (function, args))

    def has_waited(self) -> bool:
        """Return True: a request has all its listeners before it is answered."""
        return True


def _call_and_contain(function: Callable[..., object], args: tuple[object, ...]) -> None:
    try:
        function(*args)
    except BaseException as error:
        # Errors of listeners are handled where these are called. What comes here, such as
        # SystemExit, must not end a thread of the pool.
        logger.debug("a listener ended its thread: %r", error)


class _Item:
    """A call to make in a thread, and the greenlet of a hub that waits for it."""

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
    """Ends a `WaitingThread` with its thread: a local of the thread, freed when that ends."""

    __slots__ = ("thread",)

    def __init__(self) -> None:
        self.thread = WaitingThread()

    def __del__(self) -> None:
        self.thread.end()


_locals: Any = _local()


def current_thread() -> WaitingThread:
    """Return the `WaitingThread` of the calling thread; make one if there is none."""
    tie: _Tie | None = getattr(_locals, "tie", None)
    if tie is None:
        tie = _locals.tie = _Tie()
    return tie.thread


def use_hub_for_calls(reactor: Reactor) -> None:
    """Let the listeners of the calling thread run in the hub that it now has."""
    tie: _Tie | None = getattr(_locals, "tie", None)
    if tie is not None:
        tie.thread.use_hub(reactor)


def forget_calls_after_fork() -> None:
    """Start empty in a child process: the calls in the queue are the parent's."""
    if hasattr(_locals, "tie"):
        _locals.tie = _Tie()
