"""One timer for all deadlines of a hub."""

from __future__ import annotations

import time
from collections.abc import Iterator

import gevent
import pytest

from faye_ws.runtime.heartbeat import Heartbeat
from support.serving import wait_for


class Member:
    """Something with deadlines: it notes when it beats."""

    def __init__(self, heartbeat: Heartbeat, again: float | None = None) -> None:
        self._heartbeat = heartbeat
        self._again = again
        self.beats: list[float] = []
        self.slot = 0

    def add(self, delay: float) -> float:
        """Ask to beat, and return the deadline."""
        deadline = time.monotonic() + delay
        self.slot = self._heartbeat.add(self, deadline)
        return deadline

    def beat(self, now: float) -> None:
        """Note it, and perhaps ask again."""
        self.beats.append(time.monotonic())
        if self._again is not None:
            self.add(self._again)


class Failing(Member):
    """A member that raises."""

    def beat(self, now: float) -> None:
        """Note it and raise."""
        super().beat(now)
        raise ZeroDivisionError


@pytest.fixture
def heartbeat() -> Iterator[Heartbeat]:
    heartbeat = Heartbeat(gevent.get_hub().loop)
    yield heartbeat
    heartbeat.stop()


def test_a_member_beats_once_and_never_before_its_deadline(heartbeat: Heartbeat) -> None:
    members = [Member(heartbeat) for _ in range(20)]
    deadlines = [member.add(number / 50) for number, member in enumerate(members)]
    for member in members:
        wait_for(lambda member=member: member.beats, "it has beaten")
    last = Member(heartbeat)
    last.add(0.2)
    wait_for(lambda: last.beats, "there was time for another beat")
    for member, deadline in zip(members, deadlines, strict=True):
        (beat,) = member.beats
        assert beat >= deadline


def test_a_deadline_is_not_met_early_in_a_process_that_was_busy(heartbeat: Heartbeat) -> None:
    # The loop's own idea of the time is from before the pause.
    time.sleep(0.3)
    member = Member(heartbeat)
    deadline = member.add(0.2)
    wait_for(lambda: member.beats, "it has beaten")
    assert member.beats[0] >= deadline


def test_a_deadline_that_has_passed_is_met_now(heartbeat: Heartbeat) -> None:
    member = Member(heartbeat)
    member.add(-100)
    heartbeat.add(member, 0.0)
    wait_for(lambda: len(member.beats) == 2, "it has beaten twice")


def test_deadlines_are_met_in_order_however_they_were_added(heartbeat: Heartbeat) -> None:
    late, early = Member(heartbeat), Member(heartbeat)
    late.add(0.5)
    early.add(0.1)
    wait_for(lambda: late.beats, "the late one has beaten")
    assert early.beats[0] < late.beats[0]


def test_a_member_may_ask_again_as_it_beats(heartbeat: Heartbeat) -> None:
    member = Member(heartbeat, again=0.01)
    member.add(0.01)
    wait_for(lambda: len(member.beats) >= 3, "it has beaten again and again")


def test_what_is_discarded_does_not_beat(heartbeat: Heartbeat) -> None:
    gone, stays, same = (Member(heartbeat) for _ in range(3))
    gone.add(0.1)
    heartbeat.discard(gone, gone.slot)
    heartbeat.discard(gone, gone.slot)
    stays.add(0.2)
    same.slot = stays.slot
    heartbeat.discard(same, same.slot)
    wait_for(lambda: stays.beats, "the other has beaten")
    assert not gone.beats
    assert not same.beats


def test_a_member_that_raises_is_logged_and_the_others_beat(
    heartbeat: Heartbeat, caplog: pytest.LogCaptureFixture
) -> None:
    members = [Failing(heartbeat), *(Member(heartbeat) for _ in range(5)), Failing(heartbeat)]
    deadline = time.monotonic() + 0.05
    for member in members:
        heartbeat.add(member, deadline)
    wait_for(lambda: all(member.beats for member in members), "all have beaten")
    assert len(caplog.records) == 2


def test_ten_thousand_deadlines_cost_one_timer(heartbeat: Heartbeat) -> None:
    loop = gevent.get_hub().loop
    before = loop.activecnt
    members = [Member(heartbeat) for _ in range(10_000)]
    for number, member in enumerate(members):
        member.add(100 + number / 100)
    assert loop.activecnt == before + 1
    for member in members:
        heartbeat.discard(member, member.slot)
    assert loop.activecnt == before


def test_stop_forgets_everything(heartbeat: Heartbeat) -> None:
    loop = gevent.get_hub().loop
    before = loop.activecnt
    member, other = Member(heartbeat), Member(heartbeat)
    member.add(0.01)
    heartbeat.stop()
    assert loop.activecnt == before
    # Whoever comes later has the heartbeat to itself.
    other.add(0.01)
    wait_for(lambda: other.beats, "the other has beaten")
    assert not member.beats


def test_a_member_that_is_always_late_leaves_the_hub_its_turn() -> None:
    heartbeat = Heartbeat(gevent.get_hub().loop)
    beats: list[float] = []

    class Late:
        def beat(self, now: float) -> None:
            beats.append(now)
            if len(beats) < 1000:
                heartbeat.add(self, 0.0)

    heartbeat.add(Late(), 0.0)
    with gevent.Timeout(10):
        while len(beats) < 2:
            gevent.sleep(0.01)
    assert len(beats) < 1000
    heartbeat.stop()
