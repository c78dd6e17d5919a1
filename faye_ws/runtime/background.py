"""The hub for whoever has none: one thread of ours in each process, begun when first needed.

Scripts, notebooks, `concurrent.futures` and the threads of WSGI servers run no hub, or only
while they wait for us. Their connections live here, so pings are answered and deadlines are
met whatever the program is doing. The listeners of clients run in the thread that made the
client, while it waits in one of our calls; those of requests in threads of a pool (`threads`).

Invariants:
- No code of the application runs in this thread, so nothing can hold it up.
- The hub is neither made nor destroyed for a connection: it lasts as long as the process.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gevent import get_hub
from gevent.hub import Waiter
from gevent.monkey import get_original, is_module_patched

from .reactor import Reactor, current_reactor, find_hub
from .threads import ClientThread, ListenerPool, ListenerThread, current_thread

# Those of the interpreter, even in a program that is monkey-patched.
_allocate_lock: Callable[[], Any] = get_original("_thread", "allocate_lock")
_start_new_thread: Callable[..., Any] = get_original("_thread", "start_new_thread")
_get_ident: Callable[[], int] = get_original("_thread", "get_ident")


class _Background:
    """The thread, its reactor, and how to end it."""

    __slots__ = ("_is_stopped", "_stop", "pool", "reactor")

    def __init__(self) -> None:
        self.reactor: Reactor
        self.pool: ListenerPool
        self._stop: Callable[[None], object]
        self._is_stopped = _allocate_lock()
        self._is_stopped.acquire()
        is_started = _allocate_lock()
        is_started.acquire()
        _start_new_thread(self._run, (is_started,))
        is_started.acquire()

    def _run(self, is_started: Any) -> None:
        hub = get_hub()
        # A loop with nothing to wait for would end.
        keeper: Any = hub.loop.async_()
        keeper.start(lambda: None)
        self.reactor = current_reactor()
        self.pool = ListenerPool(hub)
        try:
            self._wait(Waiter(hub), is_started)
        finally:
            keeper.stop()
            keeper.close()
            self.reactor.end()
            hub.destroy(destroy_loop=True)
            self._is_stopped.release()

    def _wait(self, waiter: Any, is_started: Any) -> None:
        self._stop = waiter.switch
        is_started.release()
        waiter.get()

    def stop(self, timeout: float) -> None:
        """End the thread, and wait for it."""
        if self.reactor.post(self._stop, None):
            self._is_stopped.acquire(True, timeout)


_lock = _allocate_lock()
_background: _Background | None = None


def _begin() -> _Background:
    """Return the thread, which is begun if there is none."""
    global _background
    with _lock:
        if _background is None:
            _background = _Background()
        return _background


def find_background_reactor() -> Reactor | None:
    """Return the reactor of the thread, if there is one."""
    return None if _background is None else _background.reactor


def stop_background(timeout: float) -> None:
    """End the thread, for good: the process ends."""
    if _background is not None:
        _background.stop(timeout)


def forget_background_after_fork() -> None:
    """Begin anew in a child, which has no copy of the thread."""
    global _background, _lock
    _lock = _allocate_lock()
    _background = None


def place_of_client() -> tuple[Reactor, ListenerThread | None]:
    """Return the reactor for a client made here, and where its listeners run if not there.

    It is that of the calling thread's hub, where there is one, else that in the background.
    """
    if _has_hub():
        return current_reactor(), None
    return _begin().reactor, ClientThread(current_thread())


def place_of_request() -> tuple[Reactor, ListenerThread | None]:
    """Return the same for a request that is answered here."""
    if _has_hub():
        return current_reactor(), None
    background = _begin()
    return background.reactor, background.pool


def _has_hub() -> bool:
    """Tell whether the calling thread runs a hub, or the program is patched to do so."""
    if find_hub() is None:
        return is_module_patched("socket") and _get_ident() == _main_thread
    return not current_reactor().is_made_for_waiting


_main_thread = _get_ident()
