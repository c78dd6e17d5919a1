"""What the connections of one hub share.

A hub belongs to the native thread that made it, and so does its reactor. Other threads reach
it with `post`, and `handing_over.hand_over` for calls that return something.

Invariants:
- When a hub is gone, so are its connections: whoever asks for them hears that at once, and
  whoever waited for an answer does not wait any more.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable
from typing import Any, Protocol

from gevent import get_hub
from gevent._hub_local import get_hub_if_exists
from gevent.hub import Hub
from gevent.monkey import get_original

from .heartbeat import Heartbeat
from .log import logger
from .workers import Workers

# Those of the interpreter, even in a program that is monkey-patched.
_get_ident: Callable[[], int] = get_original("_thread", "get_ident")
_local: Any = get_original("_thread", "_local")

_ATTRIBUTE = "_faye_ws_reactor"


class Member(Protocol):
    """A connection, as far as its reactor is concerned."""

    def leave(self) -> None:
        """Say goodbye to the peer, since the process ends."""

    def cut_off(self) -> None:
        """End it without the peer: the process has no more time."""

    def forget(self) -> None:
        """Let go of the descriptor, and tell nobody: its hub is gone, or another process's."""

    def disown(self) -> None:
        """Forget it, and what has come over it: all that is another process's."""


class PendingCall(Protocol):
    """A call that another thread waits for."""

    def fail(self) -> None:
        """End it: the hub is gone."""


class Reactor:
    """The workers, the heartbeat and the connections of one hub.

    Attributes:
        members: what has a descriptor that the hub watches.
        calls: the calls of other threads that wait for an answer.
        is_leaving: whether the process ends.
        is_made_for_waiting: whether the hub is there for listeners of a program that runs none
            itself, which may keep it from running for long: no connection lives in it.
        is_over: whether the hub is gone.
        thread: the identity of the hub's thread.
    """

    __slots__ = (
        "__weakref__",
        "_process",
        "calls",
        "heartbeat",
        "hub",
        "is_leaving",
        "is_made_for_waiting",
        "is_over",
        "loop",
        "members",
        "thread",
        "workers",
    )

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self.loop: Any = hub.loop
        self.workers = Workers(hub)
        self.heartbeat = Heartbeat(self.loop)
        self.members: set[Member] = set()
        self.calls: set[PendingCall] = set()
        self.is_leaving = False
        self.is_made_for_waiting = False
        self.is_over = False
        self.thread = _get_ident()
        self._process = os.getpid()

    def is_foreign(self) -> bool:
        """Tell whether the calling thread is not that of the hub."""
        return _get_ident() != self.thread

    def post(self, function: Callable[..., object], *args: object) -> bool:
        """Call a function in the hub, soon; from any thread. Return False if the hub is gone."""
        if self.is_over:
            return False
        try:
            if self.is_foreign():
                self.loop.run_callback_threadsafe(function, *args)
            else:
                self.loop.run_callback(function, *args)
        except ValueError:
            # Destroyed by whoever has made it.
            self.end()
            return False
        return True

    def leave(self) -> None:
        """Say goodbye to all peers, and to those that still come."""
        for member in list(self.members):
            member.leave()

    def cut_off(self) -> None:
        """End all connections without their peers: the process has no more time."""
        for member in list(self.members):
            member.cut_off()

    def end(self) -> None:
        """Let everybody know that the hub is gone."""
        self.is_over = True
        self._let_go()
        for call in list(self.calls):
            call.fail()

    def _let_go(self) -> None:
        # In a child the interpreter frees the locals of threads that it has no copies of, and so
        # ends their reactors, before we hear of the fork.
        is_child = os.getpid() != self._process
        for member in list(self.members):
            try:
                if is_child:
                    member.disown()
                else:
                    member.forget()
            except Exception:
                logger.exception("a connection can't be forgotten")
        self.members.clear()

    def begin_anew(self) -> None:
        """Begin anew in a child: what there is belongs to the parent process."""
        if self.is_foreign():
            self.end()
            return
        self._let_go()
        self._process = os.getpid()
        self.is_leaving = False
        self.heartbeat.stop()
        self.workers = Workers(self.hub)


class _Tie:
    """Ends a reactor when its thread ends, and its locals are freed."""

    __slots__ = ("_attribute", "_reactor")

    def __init__(self, reactor: Reactor) -> None:
        self._reactor = reactor
        # The names of a module are gone when the interpreter ends.
        self._attribute = _ATTRIBUTE

    def __del__(self) -> None:
        reactor = self._reactor
        reactor.end()
        # gevent does not free a hub whose thread has ended, nor what hangs on it.
        if getattr(reactor.hub, self._attribute, None) is reactor:
            delattr(reactor.hub, self._attribute)


_reactors: weakref.WeakSet[Reactor] = weakref.WeakSet()
_locals: Any = _local()


def all_reactors() -> list[Reactor]:
    """Return the reactors of all threads."""
    return list(_reactors)


def find_hub() -> Hub | None:
    """Return the hub of the calling thread, if it has one."""
    hub: Hub | None = get_hub_if_exists()
    return hub


def current_reactor() -> Reactor:
    """Return the reactor of the calling thread's hub, which is made if there is none."""
    hub = get_hub()
    reactor: Reactor | None = getattr(hub, _ATTRIBUTE, None)
    if reactor is None or reactor.is_over:
        reactor = Reactor(hub)
        setattr(hub, _ATTRIBUTE, reactor)
        _locals.tie = _Tie(reactor)
        _reactors.add(reactor)
    return reactor
