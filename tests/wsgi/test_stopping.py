"""A worker of gunicorn that ends, seen from its connections.

`tests/servers/test_stopping.py` has the same with gunicorn itself.
"""

from __future__ import annotations

import itertools
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any

import gevent
import pytest

from faye_ws.runtime import process
from faye_ws.runtime.reactor import current_reactor
from faye_ws.wsgi.stopping import watch_for_stop
from support.serving import wait_for

GUNICORN: dict[str, Any] = {"gunicorn.socket": None}


class Worker:
    """What a worker of gunicorn has that is looked at."""

    # No process has such a number, and no two workers have the same.
    _pids = itertools.count(-1, -1)

    def __init__(self, graceful_timeout: float) -> None:
        self.pid = next(self._pids)
        self.alive = True
        self.cfg = self
        self.graceful_timeout = graceful_timeout

    def handle_exit(self, *_: object) -> None:
        """Handle SIGTERM."""


class Member:
    """A connection, which notes what is asked of it."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    def leave(self) -> None:
        """Say goodbye to the peer."""
        self.heard.append("leave")

    def cut_off(self) -> None:
        """End it without the peer."""
        self.heard.append("cut_off")


@pytest.fixture
def member(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A connection of this thread's hub, which goes on afterwards as if nothing had been."""
    monkeypatch.setattr(process, "_server_deadline", None)
    reactor = current_reactor()
    member: Any = Member()
    reactor.members.add(member)
    yield member
    reactor.members.discard(member)
    reactor.is_leaving = False


@pytest.fixture
def handle(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], None]:
    """Say what handles SIGTERM."""

    def handle(handler: Any) -> None:
        monkeypatch.setattr(signal, "getsignal", lambda signum: handler)

    return handle


def test_peers_hear_of_the_end_and_have_until_short_of_the_servers_deadline(
    member: Member, handle: Callable[[Any], None]
) -> None:
    worker = Worker(graceful_timeout=3.0)
    handle(worker.handle_exit)
    watch_for_stop(GUNICORN, current_reactor())
    gevent.sleep(0)
    assert member.heard == []
    worker.alive = False
    before = time.monotonic()
    wait_for(lambda: member.heard == ["leave"], "the peer is told")
    wait_for(lambda: member.heard == ["leave", "cut_off"], "the connection is cut off")
    assert time.monotonic() >= before + 1.0


def test_a_server_without_patience_leaves_no_time(
    member: Member, handle: Callable[[Any], None]
) -> None:
    worker = Worker(graceful_timeout=0.5)
    worker.alive = False
    handle(worker.handle_exit)
    watch_for_stop(GUNICORN, current_reactor())
    wait_for(lambda: member.heard == ["leave", "cut_off"], "the connection is cut off")


def test_a_worker_is_watched_once(member: Member, handle: Callable[[Any], None]) -> None:
    worker = Worker(graceful_timeout=0.0)
    worker.alive = False
    handle(worker.handle_exit)
    watch_for_stop(GUNICORN, current_reactor())
    watch_for_stop(GUNICORN, current_reactor())
    wait_for(lambda: "cut_off" in member.heard, "the connection is cut off")
    watch_for_stop(GUNICORN, current_reactor())
    assert member.heard == ["leave", "cut_off"]


class _Other:
    """Something that is no worker of gunicorn."""

    pid = -(10**6)

    def handle_exit(self, *_: object) -> None:
        """Handle SIGTERM."""


@pytest.mark.parametrize(
    ("environ", "handler"),
    [
        ({}, Worker(0.0).handle_exit),
        (GUNICORN, signal.SIG_DFL),
        (GUNICORN, None),
        (GUNICORN, lambda *_: None),
        (GUNICORN, _Other().handle_exit),
    ],
    ids=["another server", "default", "not of Python", "a function", "not alive"],
)
def test_nothing_else_is_watched(
    environ: dict[str, Any], handler: Any, handle: Callable[[Any], None]
) -> None:
    handle(handler)
    posted: list[object] = []
    reactor: Any = type("Reactor", (), {"post": lambda *args: posted.append(args), "loop": None})()
    watch_for_stop(environ, reactor)
    assert posted == []
