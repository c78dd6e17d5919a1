"""What happens to connections when their process forks, and when it ends.

Invariants:
- A child process neither reads from its parent's connections nor writes to them.
- A process that ends tells every peer (1001), within a bounded time. Threads that still use a
  connection find it closed, so they do not keep the process.
"""

from __future__ import annotations

import atexit
import os
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import thread as _executors
from typing import Any

import gevent
from gevent.monkey import get_original
from greenlet import getcurrent

from . import background
from .reactor import Reactor, all_reactors, find_hub
from .sockets import close_copies_after_fork
from .threads import forget_calls_after_fork

# Seconds that peers have to answer when the process ends, as requests have in pywsgi.
_GRACE = 1.0
_INTERVAL = 0.01
# The native function, even in a monkey-patched program.
_sleep: Callable[[float], None] = get_original("time", "sleep")

# When the server will kill this process, in seconds of `time.monotonic()`, or None.
_server_deadline: float | None = None


def leave_all() -> None:
    """Close all connections of all threads politely."""
    for reactor in all_reactors():
        reactor.is_leaving = True
        reactor.post(reactor.leave)


def cut_off_all() -> None:
    """End all connections of all threads at once."""
    for reactor in all_reactors():
        reactor.post(reactor.cut_off)


def leave_before(deadline: float) -> None:
    """Do as `leave_all`; peers have until a deadline, of `time.monotonic()`, to answer."""
    global _server_deadline
    _server_deadline = deadline
    leave_all()


def stop_on_signals(*signals: int) -> None:
    """Let signals end the process politely: every peer is told 1001 (going away) at once.

    For servers that handle no signals themselves, such as gevent's pywsgi and Werkzeug's
    development server. gunicorn's workers do not need it.

    A signal raises `SystemExit` in the main greenlet, or `KeyboardInterrupt` for SIGINT. So
    `finally` clauses and `atexit` functions run, and the server closes in its own way.

    Args:
        signals: the signals, by default SIGTERM, SIGHUP and SIGINT.

    Raises:
        ValueError: called from another thread than the main one.
    """
    for signum in signals or (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(signum, _stop)


def _stop(signum: int, frame: object) -> None:
    leave_all()
    error = KeyboardInterrupt() if signum == signal.SIGINT else SystemExit(0)
    hub = find_hub()
    if hub is None or getcurrent().parent is None:
        raise error
    # Raise in the main greenlet: the one that runs now is an arbitrary one.
    hub.loop.run_callback(hub.handle_system_error, type(error), error)


def _is_ours(reactor: Reactor) -> bool:
    """Tell whether the hub is this thread's or the background's, which no other code runs."""
    return not reactor.is_foreign() or reactor is background.find_background_reactor()


def leave_at_exit() -> None:
    """Say goodbye to all peers, and end what is ours, since the process ends."""
    leave_all()
    hub = find_hub()
    if getcurrent() is not hub:
        _wait_for_peers(_sleep if hub is None else gevent.sleep)
    for reactor in filter(_is_ours, all_reactors()):
        if not reactor.is_foreign():
            reactor.end()
    background.stop_background(_GRACE)


def _wait_for_peers(sleep: Callable[[float], Any]) -> None:
    deadline = _server_deadline or time.monotonic() + _GRACE
    try:
        # Posted calls run in the first iteration of the hub.
        sleep(0)
        while any(reactor.members for reactor in filter(_is_ours, all_reactors())):
            if time.monotonic() >= deadline:
                return
            sleep(_INTERVAL)
    except (KeyboardInterrupt, SystemExit):
        pass  # A second signal ends the wait.


def begin_anew_after_fork() -> None:
    """Begin anew in a child: what there is belongs to its parent."""
    close_copies_after_fork()
    for reactor in all_reactors():
        reactor.begin_anew()
        if reactor.is_made_for_waiting and not reactor.is_over:
            # The library made this hub, so the program can't know that it must call reinit.
            gevent.reinit(reactor.hub)
    background.forget_background_after_fork()
    forget_calls_after_fork()


os.register_at_fork(after_in_child=begin_anew_after_fork)
# Before the interpreter waits for threads, some of which may wait for a connection; and so
# before executors wait for theirs, which is why they are imported here: the last to be
# registered is the first to be called.
_register: Callable[..., Any] = getattr(threading, "_register_atexit", atexit.register)
assert _executors
_register(leave_at_exit)
