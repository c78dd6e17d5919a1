"""Native threads without a hub: how they wait, and where their listeners run.

    a hub:  call() ----------> items ----------> wait():  a listener, in a greenlet
                    wake() -->                            or a look at what it waits for

A thread that has no hub waits for us at a lock of the operating system. What is put to it
in that time runs in it, each in a greenlet of its own. So a listener that waits for us, too,
holds up nobody but itself. The main thread, which lasts as long as the process, is given a hub
with its first listener, so that listeners may wait for whatever they like; any other thread may
make one. From then on all that waits for us in it waits in that hub.

The listeners of requests run in the threads of a pool instead, since the server needs its own
for the response.

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

from gevent import get_hub
from gevent.hub import Hub, Waiter
from gevent.monkey import get_original
from gevent.threadpool import ThreadPool
from greenlet import getcurrent, greenlet

from ..constants import NEVER
from .log import logger
from .reactor import Reactor, current_reactor, find_hub

# Those of the interpreter, even in a program that is monkey-patched.
_SimpleQueue: Any = get_original("queue", "SimpleQueue")
_Empty: Any = get_original("queue", "Empty")
_local: Any = get_original("_thread", "_local")
_get_ident: Callable[[], int] = get_original("_thread", "get_ident")

Condition = Callable[[], bool]

# A listener that blocks keeps its thread, as a request does with the servers that this is for.
_MAX_THREADS = 10_000
_LONGEST = 3600.0

# Whoever imports us does so in the main thread, or else that has to do without.
_main_thread = _get_ident()


class ListenerThread(Protocol):
    """Where the listeners of a connection run, if not in its hub."""

    def call(self, reactor: Reactor, function: Callable[..., object], *args: object) -> None:
        """Call a function there, and wait in a greenlet of the reactor until that is done."""

    def has_waited(self) -> bool:
        """Return whether the application has waited there since it has made the connection.

        Until then it may still be about to add its listeners.
        """


class _Wait:
    """Who waits, for what, and until when. A signal handler may wait within a wait."""

    __slots__ = ("_is_met", "deadline", "greenlet")

    def __init__(self, greenlet: greenlet, is_met: Condition, deadline: float) -> None:
        self.greenlet = greenlet
        self._is_met = is_met
        self.deadline = deadline

    def is_over(self) -> bool:
        return self._is_met() or time.monotonic() >= self.deadline


class WaitingThread:
    """What a thread without a hub waits with."""

    __slots__ = ("_heir", "_is_main", "_is_over", "_items", "_waits", "turn")

    def __init__(self) -> None:
        self._items: Any = _SimpleQueue()
        self._is_main = _get_ident() == _main_thread
        self._is_over = False
        # The reactor of the thread, once it has a hub.
        self._heir: Reactor | None = None
        self._waits: list[_Wait] = []
        # How often the thread has waited.
        self.turn = 0

    # From other threads

    def call(self, reactor: Reactor, function: Callable[..., object], *args: object) -> None:
        """Call a function in this thread, when it waits, and wait until that is done.

        For greenlets of the reactor's hub. Nothing is called if the thread is over.
        """
        waiter: Any = Waiter(reactor.hub)
        self._put(_Item(function, args, reactor, waiter))
        waiter.get()

    def wake(self) -> None:
        """Let the greenlets that wait look whether their time has come."""
        self._put(None)

    def _put(self, item: _Item | None) -> None:
        self._items.put(item)
        if self._is_over:
            self.end()
        elif self._heir is not None:
            self._heir.post(self._empty, self._heir)

    def end(self) -> None:
        """Call nothing any more: the thread is over, or a copy of one in another process."""
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
        """Return the greenlet that the thread began with, if it waits, else another."""
        greenlets = [wait.greenlet for wait in self._waits]
        return next((waiter for waiter in greenlets if waiter.parent is None), greenlets[0])

    # In this thread, with a hub

    def use_hub(self, reactor: Reactor) -> None:
        """From now on call everything in the hub that this thread has."""
        if self._heir is reactor:
            return
        self._heir = reactor
        self._empty(reactor)
        for wait in self._waits:
            # They wait in a way of which the hub knows nothing.
            if wait.deadline != NEVER:
                left = min(max(wait.deadline - time.monotonic(), 0.0), _LONGEST)
                reactor.loop.timer(left).start(self._look)

    def _empty(self, heir: Reactor) -> None:
        while not self._items.empty():
            item = self._items.get()
            if item is not None and not heir.post(heir.workers.run, item.run):
                item.drop()
        heir.post(self._look)

    def _look(self) -> None:
        """Go on with those whose time has come. In the hub."""
        for wait in tuple(self._waits):
            if wait in self._waits and wait.is_over():
                wait.greenlet.switch()

    def _wait_in_hub(self, hub: Hub, wait: _Wait) -> None:
        # It also keeps the loop from ending because it has nothing to do. The loop takes no
        # infinite time: an hour later it just looks again.
        left = min(max(wait.deadline - time.monotonic(), 0.0), _LONGEST)
        timer: Any = hub.loop.timer(left, _LONGEST)
        timer.start(self._look)
        try:
            hub.switch()
        finally:
            timer.stop()
            timer.close()


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
    """Give the main thread a hub, which is never destroyed."""
    hub: Any = get_hub()
    # An interrupt that the program catches is no error.
    hub.NOT_ERROR = (*hub.NOT_ERROR, KeyboardInterrupt)
    reactor = current_reactor()
    reactor.is_made_for_waiting = True
    return reactor


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

    def has_waited(self) -> bool:
        """Return True: a request has all its listeners before it is answered."""
        return True


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
