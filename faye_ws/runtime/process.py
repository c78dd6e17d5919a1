"""What becomes of connections when their process forks, and when it ends.

Invariants:
- A child reads nothing that is meant for its parent, and tells its parent's peers nothing.
- A process that ends says so to every peer (1001), and ends in its time all the same. Its
  threads that still use a connection find it closed, so they do not keep the process.
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

# Seconds that peers have to answer when the process ends; as pywsgi gives to requests.
_GRACE = 1.0
_LOOK = 0.01
# That of the interpreter, even in a program that is monkey-patched.
_sleep: Callable[[float], None] = get_original("time", "sleep")

# When the server that runs us kills us, in seconds of `time.monotonic()`, if it has said so.
_server_deadline: float | None = None


def leave_all() -> None:
    """Say goodbye to all peers of all threads."""
    for reactor in all_reactors():
        reactor.is_leaving = True
        reactor.post(reactor.leave)


def cut_off_all() -> None:
    """End all connections of all threads without their peers."""
    for reactor in all_reactors():
        reactor.post(reactor.cut_off)


def leave_before(deadline: float) -> None:
    """Say goodbye to all peers, which have until then, in seconds of `time.monotonic()`."""
    global _server_deadline
    _server_deadline = deadline
    leave_all()


def stop_on_signals(*signals: int) -> None:
    """Let signals end the process politely: every peer hears 1001 at once, going away.

    One line for servers that do nothing of the kind themselves, such as gevent's pywsgi and
    Werkzeug's development server. gunicorn's workers need nothing.

    A signal raises `SystemExit` in the main greenlet, SIGINT `KeyboardInterrupt`; so what
    stands in `finally` and `atexit` is done, and the server closes in its own way.

    Args:
        signals: SIGTERM, SIGHUP and SIGINT by default.

    Raises:
        ValueError: called in another thread than the main one.
    """
    for signum in signals or (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(signum, _stop)


def _stop(signum: int, frame: object) -> None:
    leave_all()
    error = KeyboardInterrupt() if signum == signal.SIGINT else SystemExit(0)
    hub = find_hub()
    if hub is None or getcurrent().parent is None:
        raise error
    # Not here: whatever greenlet this is has nothing to do with it.
    hub.loop.run_callback(hub.handle_system_error, type(error), error)


def _is_ours(reactor: Reactor) -> bool:
    """Tell whether nobody else will run the hub of a reactor any more."""
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
        # What was posted is done in the first round of the hub.
        sleep(0)
        while any(reactor.members for reactor in filter(_is_ours, all_reactors())):
            if time.monotonic() >= deadline:
                return
            sleep(_LOOK)
    except (KeyboardInterrupt, SystemExit):
        """Whoever is in a hurry need not wait."""


def begin_anew_after_fork() -> None:
    """Begin anew in a child: what there is belongs to its parent."""
    close_copies_after_fork()
    for reactor in all_reactors():
        reactor.begin_anew()
        if reactor.is_made_for_waiting and not reactor.is_over:
            # The program does not know of this hub, so it is not the program's to renew it.
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
