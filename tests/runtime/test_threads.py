"""Threads without a hub: how they wait, and run what is put to them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import gevent
import pytest
from gevent.event import Event

from faye_ws.runtime.handing_over import hand_over
from faye_ws.runtime.reactor import Reactor, current_reactor
from faye_ws.runtime.threads import ListenerPool, WaitingThread, current_thread
from support.serving import DEADLINE, wait_for

NEVER = float("inf")


class Waiting:
    """A native thread that waits until it is told to end."""

    def __init__(self) -> None:
        self.is_done = False
        self.waits: WaitingThread
        started = threading.Event()

        def run() -> None:
            self.waits = current_thread()
            started.set()
            self.waits.wait(lambda: self.is_done, NEVER)

        self.thread = threading.Thread(target=run, daemon=True)
        self.thread.start()
        assert started.wait(DEADLINE)

    def end(self) -> None:
        self.is_done = True
        self.waits.wake()
        wait_for(lambda: not self.thread.is_alive(), "the thread has ended")


@pytest.fixture
def waiting() -> Iterator[Waiting]:
    waiting = Waiting()
    yield waiting
    waiting.end()


@pytest.fixture
def reactor() -> Reactor:
    return current_reactor()


def _spawn(function: Callable[..., object], *args: object) -> gevent.Greenlet[..., object]:
    return gevent.spawn(function, *args)


def test_a_call_runs_in_the_thread_while_the_greenlet_waits(
    waiting: Waiting, reactor: Reactor
) -> None:
    seen: list[int | None] = []
    note = _spawn(
        waiting.waits.call, reactor, lambda: seen.append(threading.current_thread().ident)
    )
    note.get(timeout=DEADLINE)
    assert seen == [waiting.thread.ident]


def test_a_call_that_waits_holds_up_nobody_but_itself(waiting: Waiting, reactor: Reactor) -> None:
    log: list[str] = []
    go_on: list[bool] = []

    def first() -> None:
        log.append("first begins")
        current_thread().wait(lambda: bool(go_on), NEVER)
        log.append("first ends")

    def second() -> None:
        log.append("second")
        go_on.append(True)

    blocked = _spawn(waiting.waits.call, reactor, first)
    wait_for(lambda: log, "the first has begun")
    _spawn(waiting.waits.call, reactor, second).get(timeout=DEADLINE)
    blocked.get(timeout=DEADLINE)
    assert log == ["first begins", "second", "first ends"]


def test_each_keeps_its_timeout_whoever_else_waits(waiting: Waiting, reactor: Reactor) -> None:
    ended: list[str] = []

    def wait(name: str, seconds: float) -> None:
        current_thread().wait(lambda: False, time.monotonic() + seconds)
        ended.append(name)

    # Whoever comes last looks after all, though its own time is long.
    calls = [
        _spawn(waiting.waits.call, reactor, wait, name, seconds)
        for name, seconds in (("short", 0.1), ("shorter", 0.05), ("long", 0.3))
    ]
    gevent.joinall(calls, timeout=DEADLINE)
    assert ended == ["shorter", "short", "long"]


def test_a_thread_that_has_ended_calls_nothing_and_nobody_waits_for_it(reactor: Reactor) -> None:
    waiting = Waiting()
    called: list[bool] = []
    waiting.end()
    wait_for(lambda: waiting.waits._is_over, "its locals are freed")
    _spawn(waiting.waits.call, reactor, called.append, True).get(timeout=DEADLINE)
    assert called == []


def test_what_a_thread_did_not_come_to_is_dropped_when_it_ends(reactor: Reactor) -> None:
    put = Event()
    release = threading.Event()
    waits: list[WaitingThread] = []

    def run() -> None:
        waits.append(current_thread())
        release.wait(DEADLINE)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    wait_for(lambda: waits, "it runs")
    call = _spawn(waits.pop().call, reactor, put.set)
    gevent.sleep(0)
    release.set()
    call.get(timeout=DEADLINE)
    assert not put.is_set()


def test_a_pool_runs_calls_beside_each_other_and_contains_what_they_raise(
    reactor: Reactor,
) -> None:
    pool = ListenerPool(reactor.hub)
    barrier = threading.Barrier(3)

    def meet() -> None:
        barrier.wait(DEADLINE)
        raise SystemExit

    calls = [_spawn(pool.call, reactor, meet) for _ in range(3)]
    gevent.joinall(calls, timeout=DEADLINE, raise_error=True)
    assert all(call.ready() for call in calls)


def test_an_answer_that_comes_as_the_caller_gives_up_is_given_back(reactor: Reactor) -> None:
    returned: list[str] = []
    errors: list[BaseException] = []
    go_on = Event()

    def slow() -> str:
        # It can't be ended, and returns though nobody waits any more.
        while not go_on.is_set():
            try:
                go_on.wait()
            except gevent.GreenletExit:
                continue
        return "value"

    def call() -> None:
        try:
            hand_over(
                reactor,
                slow,
                forget=pytest.fail,
                deadline=time.monotonic() + 0.05,
                failure="too late",
                give_back=returned.append,
            )
        except TimeoutError as error:
            errors.append(error)

    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    wait_for(lambda: errors, "the caller gives up")
    assert str(errors[0]) == "too late"
    go_on.set()
    wait_for(lambda: returned == ["value"], "it is given back")
    thread.join(DEADLINE)
