"""What the connections of one hub share.

A hub and its reactor belong to the native thread that made them. Other threads call into it
with `post`, or with `handing_over.hand_over` if they need the result.

Invariants:
- When a hub is gone, its connections are closed, calls to them fail at once, and calls that
  wait for a result fail.
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

# The native functions, even in a monkey-patched program.
_get_ident: Callable[[], int] = get_original("_thread", "get_ident")
_local: Any = get_original("_thread", "_local")

_ATTRIBUTE = "_faye_ws_reactor"


class Member(Protocol):
    """A connection, as its reactor sees it."""

    def leave(self) -> None:
        """Close politely, because the process ends."""

    def cut_off(self) -> None:
        """End the connection at once: the process has no more time."""

    def forget(self) -> None:
        """Drop the descriptor, and tell nobody: the hub is gone."""

    def disown(self) -> None:
        """Drop the descriptor and all data: they belong to the parent process."""


class PendingCall(Protocol):
    """A call whose result another thread waits for."""

    def fail(self) -> None:
        """Answer that the hub is gone."""


class Reactor:
    """The workers, the heartbeat and the connections of one hub.

    Attributes:
        members: the connections whose descriptors the hub watches.
        calls: the calls of other threads that wait for a result.
        is_leaving: whether the process ends.
        is_made_for_waiting: whether the library made the hub for the listeners of a program
            that has none itself. Such a hub may not run for long, so it has no connections.
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
        """Call a function in the hub, soon. From any thread. Return False if the hub is gone."""
        if self.is_over:
            return False
        try:
            if self.is_foreign():
                self.loop.run_callback_threadsafe(function, *args)
            else:
                self.loop.run_callback(function, *args)
        except ValueError:
            # The application has destroyed the hub.
            self.end()
            return False
        return True

    def leave(self) -> None:
        """Close all connections politely."""
        for member in list(self.members):
            member.leave()

    def cut_off(self) -> None:
        """End all connections at once: the process has no more time."""
        for member in list(self.members):
            member.cut_off()

    def end(self) -> None:
        """Drop all connections, and fail all calls that wait: the hub is gone."""
        self.is_over = True
        self._drop_members()
        for call in list(self.calls):
            call.fail()

    def _drop_members(self) -> None:
        # In a child process this may be called before `begin_anew`: the interpreter first frees
        # the locals of threads that do not exist there, which ends their reactors.
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
        """Start empty in a child process: the connections are the parent's."""
        if self.is_foreign():
            self.end()
            return
        self._drop_members()
        self._process = os.getpid()
        self.is_leaving = False
        self.heartbeat.stop()
        self.workers = Workers(self.hub)


class _Tie:
    """Ends a reactor with its thread: a local of the thread, freed when that ends."""

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
    """Return the hub of the calling thread, or None."""
    hub: Hub | None = get_hub_if_exists()
    return hub


def current_reactor() -> Reactor:
    """Return the reactor of the calling thread; make a hub and a reactor if there are none."""
    hub = get_hub()
    reactor: Reactor | None = getattr(hub, _ATTRIBUTE, None)
    if reactor is None or reactor.is_over:
        reactor = Reactor(hub)
        setattr(hub, _ATTRIBUTE, reactor)
        _locals.tie = _Tie(reactor)
        _reactors.add(reactor)
    return reactor
