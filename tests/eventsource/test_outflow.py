"""What is on its way to a client, by itself."""

from __future__ import annotations

import time

from faye_ws.constants import NEVER
from faye_ws.eventsource.outflow import Outflow


def test_the_server_is_given_all_that_waits_at_once() -> None:
    outflow = Outflow(b"a")
    outflow.add(b"bc")
    assert outflow.backlog == 3
    before = time.monotonic()
    assert outflow.take() == b"abc"
    assert outflow.last_write == outflow.given >= before
    assert (outflow.chunks, outflow.backlog) == ([], 3)


def test_what_the_server_has_counts_until_it_asks_for_more() -> None:
    outflow = Outflow(b"a")
    outflow.take()
    outflow.add(b"bc")
    assert outflow.backlog == 3
    assert not outflow.passed_on()
    assert (outflow.backlog, outflow.given) == (2, NEVER)
    outflow.take()
    assert outflow.passed_on()
    assert outflow.backlog == 0


def test_nothing_is_left_when_it_is_cleared() -> None:
    outflow = Outflow(b"a")
    outflow.take()
    outflow.add(b"bc")
    outflow.clear()
    assert (outflow.chunks, outflow.backlog, outflow.given) == ([], 0, NEVER)


def test_a_client_to_which_nothing_is_written_is_never_stuck() -> None:
    assert not Outflow(b"a").is_stuck(1e9, 1.0, lambda: 0)


def test_a_client_is_stuck_when_it_has_taken_nothing_for_the_whole_time() -> None:
    outflow = Outflow(b"a")
    outflow.take()
    begun = outflow.given
    taken = 5
    # It has taken something before the first look, and then no more.
    assert not outflow.is_stuck(begun + 3.0, 4.0, lambda: taken)
    assert not outflow.is_stuck(begun + 6.9, 4.0, lambda: taken)
    assert outflow.is_stuck(begun + 8.0, 4.0, lambda: taken)


def test_a_client_that_takes_a_little_now_and_then_is_not_stuck() -> None:
    outflow = Outflow(b"a")
    outflow.take()
    begun = outflow.given
    assert not any(
        outflow.is_stuck(begun + 3.0 * number, 4.0, lambda number=number: number)  # type: ignore[misc]
        for number in range(1, 20)
    )


def test_the_kernel_is_asked_four_times_within_the_timeout_at_most() -> None:
    outflow = Outflow(b"a")
    outflow.take()
    begun = outflow.given
    looks: list[float] = []
    for tenth in range(1, 40):
        outflow.is_stuck(begun + tenth / 10, 4.0, lambda tenth=tenth: looks.append(tenth) or tenth)  # type: ignore[misc]
    assert looks == [1, 11, 21, 31]
