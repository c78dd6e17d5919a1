"""What an endpoint watches for, without the endpoint and without its time."""

from __future__ import annotations

import time
from typing import Any

import pytest

from faye_ws.constants import NEVER
from faye_ws.websocket.watches import LOOK, Draining, Leaving, Pinging, Watch

INTERVAL, TIMEOUT = 20.0, 5.0


class Owner:
    """An application that wants messages, and answers none."""

    is_paused = False

    def __init__(self) -> None:
        self.wants = True
        self.answers = False

    def wants_none(self) -> bool:
        return not self.wants

    def is_answering(self) -> bool:
        return self.answers


class Ends:
    """An endpoint and its transport in one: it notes what a watch does with it."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.owner = Owner()
        self.has_pings = True
        self.is_paused = True
        self.backlog = 0
        self.acknowledged = 0
        # The watch that hears what is read now.
        self.unread_for: Watch | None = None

    def send_ping(self) -> bool:
        self.done.append("ping")
        return self.has_pings

    def send_pong(self) -> None:
        self.done.append("pong")

    def drop(self) -> None:
        self.done.append("drop")

    def poll(self) -> None:
        self.done.append("poll")
        if self.unread_for is not None:
            self.unread_for.heard()

    def look(self) -> None:
        self.done.append("look")

    def taken(self) -> int:
        return self.acknowledged


@pytest.fixture
def ends() -> Any:
    return Ends()


def _beat(watch: Watch, ends: Any) -> list[str]:
    """Let a watch do what it does at its deadline, and return that."""
    ends.done.clear()
    watch.beat(watch.deadline)
    return list(ends.done)


# Pinging


def test_pings_are_sent_at_their_interval(ends: Any) -> None:
    start = time.monotonic()
    watch = Pinging(ends, ends, INTERVAL, None)
    assert watch.deadline >= start + INTERVAL
    for _ in range(3):
        before = watch.deadline
        assert _beat(watch, ends) == ["ping"]
        assert watch.deadline == before + INTERVAL


def test_a_peer_that_is_silent_after_a_ping_is_dropped_and_that_is_the_end(ends: Any) -> None:
    watch = Pinging(ends, ends, INTERVAL, TIMEOUT)
    # What was heard before the ping says nothing.
    watch.heard()
    pinged = watch.deadline
    assert _beat(watch, ends) == ["ping"]
    assert watch.deadline == pinged + TIMEOUT
    assert _beat(watch, ends) == ["poll", "drop"]
    assert watch.deadline == NEVER


@pytest.mark.parametrize("sign", [Pinging.heard, Pinging.progressed], ids=["heard", "progressed"])
def test_a_peer_that_gives_any_sign_is_kept(ends: Any, sign: Any) -> None:
    watch = Pinging(ends, ends, INTERVAL, TIMEOUT)
    pinged = watch.deadline
    _beat(watch, ends)
    sign(watch)
    assert _beat(watch, ends) == []
    assert watch.deadline == pinged + INTERVAL


def test_what_has_come_and_is_not_read_yet_is_a_sign(ends: Any) -> None:
    watch = ends.unread_for = Pinging(ends, ends, INTERVAL, TIMEOUT)
    _beat(watch, ends)
    assert _beat(watch, ends) == ["poll"]
    assert watch.deadline != NEVER


def test_a_peer_that_we_do_not_want_to_hear_may_be_silent(ends: Any) -> None:
    watch = Pinging(ends, ends, INTERVAL, TIMEOUT)
    _beat(watch, ends)
    ends.owner.wants = False
    assert _beat(watch, ends) == ["poll"]
    assert _beat(watch, ends) == ["ping"]


def test_silence_is_no_fault_where_there_are_no_pings(ends: Any) -> None:
    ends.has_pings = False
    watch = Pinging(ends, ends, INTERVAL, TIMEOUT)
    for _ in range(3):
        assert _beat(watch, ends) == ["ping"]


def test_silence_counts_from_the_first_of_several_pings(ends: Any) -> None:
    watch = Pinging(ends, ends, TIMEOUT / 2, TIMEOUT)
    first = watch.deadline
    assert _beat(watch, ends) == ["ping"]
    assert _beat(watch, ends) == ["ping"]
    assert watch.deadline == first + TIMEOUT
    assert _beat(watch, ends) == ["poll", "drop"]


# Draining


def test_a_peer_that_takes_nothing_in_its_time_is_dropped(ends: Any) -> None:
    ends.backlog = 1
    start = time.monotonic()
    watch = Draining(ends, ends, TIMEOUT)
    done: list[str] = []
    looks = 0
    while watch.deadline != NEVER:
        looks += 1
        last = watch.deadline
        done += _beat(watch, ends)
    assert done == ["drop"]
    assert looks > 1
    assert start + TIMEOUT <= last


def test_a_peer_that_takes_something_has_its_time_again(ends: Any) -> None:
    ends.backlog = 1
    watch = Draining(ends, ends, TIMEOUT)
    start = watch.deadline
    while watch.deadline < start + 2 * TIMEOUT:
        ends.acknowledged += 1
        assert _beat(watch, ends) == []


def test_a_socket_that_has_taken_something_is_a_sign_where_the_kernel_counts_nothing(
    ends: Any,
) -> None:
    ends.backlog = 1
    watch = Draining(ends, ends, TIMEOUT)
    start = watch.deadline
    while watch.deadline < start + 2 * TIMEOUT:
        watch.progressed()
        assert _beat(watch, ends) == []


def test_a_peer_for_which_nothing_waits_is_watched_no_more(ends: Any) -> None:
    watch = Draining(ends, ends, TIMEOUT)
    watch.heard()
    assert _beat(watch, ends) == []
    assert watch.deadline == NEVER


# Leaving


def test_a_peer_that_is_not_read_is_looked_at_and_sent_a_pong(ends: Any) -> None:
    watch = Leaving(ends, ends)
    for _ in range(3):
        before = watch.deadline
        assert _beat(watch, ends) == ["look", "pong"]
        assert watch.deadline == before + LOOK


def test_a_peer_that_has_something_to_take_gets_no_more(ends: Any) -> None:
    ends.backlog = 1
    assert _beat(Leaving(ends, ends), ends) == ["look"]


@pytest.mark.parametrize("reason", ["paused", "answering"])
def test_a_peer_that_is_going_to_be_read_is_left_alone(ends: Any, reason: str) -> None:
    ends.owner.is_paused = reason == "paused"
    ends.owner.answers = reason == "answering"
    watch = Leaving(ends, ends)
    watch.progressed()
    assert _beat(watch, ends) == []
    assert watch.deadline != NEVER


def test_a_peer_that_is_read_again_is_watched_no_more(ends: Any) -> None:
    watch = Leaving(ends, ends)
    ends.is_paused = False
    assert _beat(watch, ends) == []
    assert watch.deadline == NEVER
