"""Greenlets that wait until something has changed."""

from __future__ import annotations

import socket

import gevent
import pytest
from gevent import GreenletExit, Timeout

from faye_ws.runtime.waiting import WaitQueue, give_turn
from support.serving import DEADLINE, wait_for


@pytest.fixture
def queue() -> WaitQueue:
    return WaitQueue(gevent.get_hub())


def test_all_that_wait_are_woken_in_the_order_they_came(queue: WaitQueue) -> None:
    woken: list[int] = []

    def wait(number: int) -> None:
        queue.wait(DEADLINE)
        woken.append(number)

    greenlets = [gevent.spawn(wait, number) for number in range(5)]
    wait_for(lambda: len(queue) == 5, "they wait")
    queue.notify()
    assert woken == []
    gevent.joinall(greenlets, timeout=DEADLINE)
    assert woken == [0, 1, 2, 3, 4]
    assert not queue


def test_the_hub_wakes_them_at_once(queue: WaitQueue) -> None:
    woken: list[str] = []

    def wait() -> None:
        queue.wait(DEADLINE)
        woken.append("the greenlet")

    def notify() -> None:
        queue.notify()
        woken.append("the hub")

    greenlet = gevent.spawn(wait)
    wait_for(lambda: len(queue), "it waits")
    gevent.get_hub().loop.run_callback(notify)
    greenlet.join(DEADLINE)
    wait_for(lambda: len(woken) == 2, "both are done")
    assert woken == ["the greenlet", "the hub"]


def test_a_wait_ends_when_its_time_is_up(queue: WaitQueue) -> None:
    for timeout in (0.001, 0.0, -1.0):
        queue.wait(timeout)
        assert not queue


@pytest.mark.parametrize("error", [GreenletExit(), Timeout(), KeyError()])
def test_a_wait_that_is_interrupted_leaves_nothing_behind(
    queue: WaitQueue, error: BaseException
) -> None:
    caught: list[BaseException] = []

    def wait() -> None:
        try:
            queue.wait(DEADLINE)
        except BaseException as error:
            caught.append(error)

    active = gevent.get_hub().loop.activecnt
    greenlet = gevent.spawn(wait)
    wait_for(lambda: len(queue), "it waits")
    greenlet.kill(error)
    assert caught == [error]
    assert not queue
    assert gevent.get_hub().loop.activecnt <= active


@pytest.mark.parametrize("first", ["notify", "kill"])
def test_one_that_is_woken_and_interrupted_at_once_is_no_trouble(
    queue: WaitQueue, first: str
) -> None:
    ended: list[str] = []

    def wait() -> None:
        try:
            queue.wait(DEADLINE)
            ended.append("woken")
        except GreenletExit:
            ended.append("killed")

    greenlets = [gevent.spawn(wait) for _ in range(2)]
    wait_for(lambda: len(queue) == 2, "they wait")
    if first == "notify":
        queue.notify()
    greenlets[0].kill(block=False)
    if first == "kill":
        queue.notify()
    gevent.joinall(greenlets, timeout=DEADLINE)
    assert len(ended) == 2
    assert "woken" in ended
    assert not queue


def test_one_that_is_woken_may_wait_again(queue: WaitQueue) -> None:
    turns: list[int] = []

    def wait() -> None:
        for turn in range(3):
            queue.wait(DEADLINE)
            turns.append(turn)

    greenlet = gevent.spawn(wait)
    for turn in range(3):
        wait_for(lambda: len(queue), "it waits")
        gevent.get_hub().loop.run_callback(queue.notify)
        wait_for(lambda turn=turn: len(turns) == turn + 1, "it is woken once")
    greenlet.join(DEADLINE)
    assert turns == [0, 1, 2]


def test_a_condition_is_waited_for_until_it_is_met_or_time_is_up(queue: WaitQueue) -> None:
    met: list[bool] = []
    waiting = gevent.spawn(queue.wait_until, lambda: bool(met), DEADLINE)
    wait_for(lambda: len(queue) == 1, "it waits")
    queue.notify()
    gevent.sleep(0)
    assert not waiting.ready()
    met.append(True)
    queue.notify()
    assert waiting.get(timeout=DEADLINE) is True
    assert queue.wait_until(lambda: True, 0.0) is True
    assert queue.wait_until(lambda: False, 0.01) is False


def test_a_turn_of_the_hub_serves_sockets_too() -> None:
    ours, peer = socket.socketpair()
    served: list[str] = []
    hub = gevent.get_hub()
    watcher = hub.loop.io(ours.fileno(), 1)
    watcher.start(lambda: served.append("socket"))
    peer.send(b"x")
    with watcher:  # type: ignore[attr-defined]
        give_turn(hub)
        give_turn(hub)
    assert "socket" in served
    ours.close()
    peer.close()


def test_who_waits_without_a_timeout_waits_for_a_notice(queue: WaitQueue) -> None:
    waiting = gevent.spawn(queue.wait)
    wait_for(lambda: len(queue) == 1, "it waits")
    queue.notify()
    waiting.get(timeout=DEADLINE)
    waiting = gevent.spawn(queue.wait_until, lambda: not queue, None)  # type: ignore[call-overload]
    waiting.get(timeout=DEADLINE)


def test_a_wait_without_a_timeout_may_be_interrupted(queue: WaitQueue) -> None:
    waiting = gevent.spawn(queue.wait)
    wait_for(lambda: len(queue) == 1, "it waits")
    waiting.kill(timeout=DEADLINE)
    assert not queue
