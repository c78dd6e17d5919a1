"""Threads without a hub: how they wait, and run what is put to them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import gevent
import pytest
from gevent.event import Event

from faye_ws.runtime import threads
from faye_ws.runtime.reactor import Reactor, current_reactor
from faye_ws.runtime.threads import (
    ListenerPool,
    WaitingThread,
    current_thread,
    forget_calls_after_fork,
    use_hub_for_calls,
)
from support import native
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


def test_a_thread_that_makes_a_hub_is_called_in_it(reactor: Reactor) -> None:
    waits: list[WaitingThread] = []
    log: list[object] = []

    def work() -> None:
        thread = current_thread()
        waits.append(thread)
        hub = gevent.get_hub()
        thread.wait(lambda: len(log) == 1, NEVER)
        # It knows by now.
        thread.wait(lambda: len(log) == 2, time.monotonic() + DEADLINE)
        assert log == [hub, hub]

    def listen() -> None:
        gevent.sleep(0)
        log.append(gevent.get_hub())

    work_done = _spawn(native.call, work)
    wait_for(lambda: waits, "it waits")
    for _ in range(2):
        _spawn(waits[0].call, reactor, listen).get(timeout=DEADLINE)
        waits[0].wake()
    work_done.get(timeout=DEADLINE)


def test_what_waits_for_a_thread_is_called_when_it_has_made_a_hub(reactor: Reactor) -> None:
    waits: list[WaitingThread] = []
    called: list[object] = []
    go_on = threading.Event()

    def work() -> None:
        waits.append(current_thread())
        go_on.wait(DEADLINE)
        use_hub_for_calls(current_reactor())
        while not called:
            gevent.sleep(0.001)

    work_done = _spawn(native.call, work)
    wait_for(lambda: waits, "it runs")
    call = _spawn(waits[0].call, reactor, called.append, None)
    waits[0].wake()
    gevent.sleep(0)
    go_on.set()
    call.get(timeout=DEADLINE)
    work_done.get(timeout=DEADLINE)


def test_a_thread_that_has_never_waited_has_nothing_to_move() -> None:
    def work() -> None:
        use_hub_for_calls(current_reactor())
        forget_calls_after_fork()

    native.call_with_hub(work)


def test_nothing_is_called_in_a_hub_that_is_over(reactor: Reactor) -> None:
    waits: list[WaitingThread] = []
    called: list[object] = []
    go_on = threading.Event()

    def work() -> None:
        thread = current_thread()
        use_hub_for_calls(current_reactor())
        waits.append(thread)
        go_on.wait(DEADLINE)
        current_reactor().end()
        gevent.sleep(0)

    work_done = _spawn(native.call, work)
    wait_for(lambda: waits, "it runs")
    call = _spawn(waits[0].call, reactor, called.append, None)
    gevent.sleep(0)
    go_on.set()
    call.get(timeout=DEADLINE)
    work_done.get(timeout=DEADLINE)
    assert called == []


def test_a_timeout_is_kept_though_a_listener_has_made_a_hub(reactor: Reactor) -> None:
    waits: list[WaitingThread] = []
    log: list[str] = []
    go_on: list[Event] = []

    def listen() -> None:
        go_on.append(Event())
        use_hub_for_calls(current_reactor())
        log.append("listens")
        go_on[0].wait()
        log.append("done")

    def work() -> None:
        thread = current_thread()
        waits.append(thread)
        # One that nobody puts a time to waits, too.
        thread.wait(lambda: bool(log), NEVER)
        thread.wait(lambda: False, time.monotonic() + 0.05)
        log.append("over")
        # Nobody waits in the thread when the listener is done.
        gevent.spawn(go_on[0].set)
        gevent.sleep(0.01)
        log.append("goes on")

    work_done = _spawn(native.call, work)
    wait_for(lambda: waits, "it waits")
    _spawn(waits[0].call, reactor, listen).get(timeout=DEADLINE)
    work_done.get(timeout=DEADLINE)
    assert log == ["listens", "over", "done", "goes on"]


def test_the_main_thread_is_given_a_hub_with_its_first_listener(
    reactor: Reactor, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[WaitingThread] = []
    called: list[Reactor] = []

    def work() -> None:
        monkeypatch.setattr(threads, "_main_thread", threading.get_ident())
        waits.append(current_thread())
        waits[0].wait(lambda: bool(called), time.monotonic() + DEADLINE)
        assert called == [current_reactor()]
        assert called[0].is_made_for_waiting
        assert KeyboardInterrupt in gevent.get_hub().NOT_ERROR

    work_done = _spawn(native.call, work)
    wait_for(lambda: waits, "it waits")
    _spawn(waits[0].call, reactor, lambda: called.append(current_reactor())).get(timeout=DEADLINE)
    work_done.get(timeout=DEADLINE)


def test_an_interrupt_reaches_the_greenlet_that_the_thread_began_with(reactor: Reactor) -> None:
    waits: list[WaitingThread] = []
    log: list[str] = []

    def work() -> None:
        waits.append(current_thread())
        try:
            waits[0].wait(lambda: False, NEVER)
        except KeyboardInterrupt:
            log.append("interrupted")
        waits[0].wait(lambda: len(log) == 3, NEVER)

    def listen() -> None:
        log.append("listens")
        current_thread().wait(lambda: len(log) == 2, NEVER)
        log.append("goes on")

    thread = native.start(work)
    wait_for(lambda: waits, "it waits")
    call = _spawn(waits[0].call, reactor, listen)
    wait_for(lambda: log, "the listener waits, too")
    native.interrupt(thread)
    waits[0].wake()
    call.get(timeout=DEADLINE)
    thread.join(DEADLINE)
    assert log == ["listens", "interrupted", "goes on"]


def test_an_interrupt_is_raised_where_nobody_else_waits() -> None:
    waits: list[WaitingThread] = []
    interrupted: list[KeyboardInterrupt] = []

    def work() -> None:
        waits.append(current_thread())
        try:
            waits[0].wait(lambda: False, NEVER)
        except KeyboardInterrupt as error:
            interrupted.append(error)

    thread = native.start(work)
    wait_for(lambda: waits, "it waits")
    native.interrupt(thread)
    waits[0].wake()
    thread.join(DEADLINE)
    assert len(interrupted) == 1


def test_a_child_has_nothing_of_what_was_put_to_its_parents_thread(reactor: Reactor) -> None:
    def work() -> None:
        before = current_thread()
        put = before.call
        forget_calls_after_fork()
        assert current_thread() is not before
        # Who asks the old one is not kept waiting.
        native.call(lambda: put(current_reactor(), pytest.fail, "called"))

    native.call(work)
