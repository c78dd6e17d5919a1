"""What becomes of connections when their process forks, and when it ends.

Here the functions are called in the process of the tests; `test_reactor.py`, `test_background.py`
and `tests/servers/test_stopping.py` have processes that really do so.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any

import gevent
import pytest

from faye_ws.runtime import background, process
from faye_ws.runtime.process import (
    begin_anew_after_fork,
    cut_off_all,
    leave_all,
    leave_at_exit,
    leave_before,
    stop_on_signals,
)
from faye_ws.runtime.reactor import Reactor, current_reactor
from support import native
from support.serving import DEADLINE, wait_for


class Member:
    """A connection, which notes what is asked of it."""

    def __init__(self, reactor: Reactor, is_polite: bool = True) -> None:
        self.heard: list[str] = []
        self._reactor = reactor
        self._is_polite = is_polite
        reactor.members.add(self)

    def leave(self) -> None:
        """Say goodbye to the peer, which answers if it is polite."""
        self.heard.append("leave")
        if self._is_polite:
            self._reactor.members.discard(self)

    def cut_off(self) -> None:
        """End it without the peer."""
        self.heard.append("cut off")

    def forget(self) -> None:
        """Let go of the descriptor."""
        self.heard.append("forget")

    def disown(self) -> None:
        """Forget all of it."""
        self.heard.append("disown")


@pytest.fixture(autouse=True)
def reactors(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Reactor]]:
    """The reactors of the process, of which there are none but those of the test."""
    reactors: list[Reactor] = []
    monkeypatch.setattr(process, "all_reactors", lambda: list(reactors))
    monkeypatch.setattr(process, "_server_deadline", None)
    monkeypatch.setattr(background, "_background", None)
    handlers = {number: signal.getsignal(number) for number in (1, 2, 15)}
    yield reactors
    for number, handler in handlers.items():
        signal.signal(number, handler)
    current_reactor().is_leaving = False


@pytest.fixture
def member(reactors: list[Reactor]) -> Iterator[Member]:
    """A connection of this thread's hub."""
    reactors.append(current_reactor())
    member = Member(current_reactor())
    yield member
    current_reactor().members.discard(member)


def test_all_peers_are_told_and_those_that_still_come(member: Member) -> None:
    leave_all()
    wait_for(lambda: member.heard == ["leave"], "it is told")
    assert current_reactor().is_leaving


def test_all_connections_can_be_cut_off(member: Member) -> None:
    cut_off_all()
    wait_for(lambda: member.heard == ["cut off"], "it is cut off")


@pytest.mark.parametrize(
    ("number", "error"),
    [
        (signal.SIGTERM, SystemExit),
        (signal.SIGHUP, SystemExit),
        (signal.SIGINT, KeyboardInterrupt),
    ],
)
def test_a_signal_ends_the_program_when_all_peers_are_told(
    member: Member, number: int, error: type[BaseException]
) -> None:
    stop_on_signals()
    with pytest.raises(error):
        os.kill(os.getpid(), number)
    gevent.sleep(0)
    assert member.heard == ["leave"]


def test_a_signal_in_a_greenlet_ends_the_main_one(member: Member) -> None:
    stop_on_signals(signal.SIGTERM)
    log: list[str] = []

    def work() -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        log.append("goes on")

    gevent.spawn(work)
    with pytest.raises(SystemExit):
        gevent.sleep(DEADLINE)
    assert log == ["goes on"]
    assert member.heard == ["leave"]
    assert signal.getsignal(signal.SIGHUP) is not signal.getsignal(signal.SIGTERM)


def _exit_with(
    reactors: list[Reactor], is_polite: bool, before: Callable[[], object] = lambda: None
) -> Member:
    """Let a thread with a hub and a connection end as a process does."""
    members: list[Member] = []

    def run() -> None:
        reactors.append(current_reactor())
        members.append(Member(current_reactor(), is_polite))
        before()
        leave_at_exit()

    native.call_with_hub(run)
    assert reactors[0].is_over
    return members[0]


def test_a_process_that_ends_waits_for_its_peers(reactors: list[Reactor]) -> None:
    assert _exit_with(reactors, is_polite=True).heard == ["leave"]


def test_a_process_that_ends_does_not_wait_for_ever(
    reactors: list[Reactor], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "_GRACE", 0.02)
    assert _exit_with(reactors, is_polite=False).heard == ["leave", "forget"]


def test_a_process_that_ends_waits_no_longer_than_its_server(reactors: list[Reactor]) -> None:
    member = _exit_with(reactors, False, lambda: leave_before(time.monotonic() + 0.02))
    assert set(member.heard) == {"leave", "forget"}


def test_who_is_in_a_hurry_need_not_wait(reactors: list[Reactor]) -> None:
    def hurry() -> None:
        here = gevent.getcurrent()
        gevent.get_hub().loop.timer(0.02).start(lambda: here.throw(KeyboardInterrupt))

    assert _exit_with(reactors, False, hurry).heard == ["leave", "forget"]


def test_a_process_may_end_in_its_hub(reactors: list[Reactor]) -> None:
    def end() -> None:
        leave_at_exit()
        is_done.append(True)

    def run() -> None:
        reactors.append(current_reactor())
        gevent.get_hub().loop.run_callback(end)
        wait_for(lambda: is_done, "it is done")

    is_done: list[bool] = []
    native.call_with_hub(run)
    assert reactors[0].is_over


def test_a_process_without_a_hub_waits_for_the_peers_in_the_background(
    reactors: list[Reactor],
) -> None:
    members: list[Any] = []

    def run() -> None:
        reactor, _ = background.place_of_client()
        reactors.append(reactor)
        # Another thread's, which does not end with this one.
        reactors.append(other)
        members.append(Member(reactor))
        leave_at_exit()

    other = current_reactor()
    native.call(run)
    assert members[0].heard == ["leave"]
    assert reactors[0].is_over
    assert not other.is_over


def test_a_child_begins_anew(reactors: list[Reactor], monkeypatch: pytest.MonkeyPatch) -> None:
    renewed: list[object] = []
    monkeypatch.setattr(gevent, "reinit", renewed.append)

    def run() -> None:
        reactors.append(current_reactor())
        member = Member(current_reactor())
        begin_anew_after_fork()
        assert member.heard == ["forget"]
        assert not current_reactor().is_over
        # The program renews its own.
        assert renewed == []
        current_reactor().is_made_for_waiting = True
        begin_anew_after_fork()
        assert renewed == [gevent.get_hub()]

    native.call_with_hub(run)
