"""Calls that one thread hands over to the hub of another."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, TypeVar

import gevent
import pytest
from gevent.event import Event

from faye_ws.runtime import handing_over
from faye_ws.runtime.reactor import Reactor, current_reactor
from support import native
from support.serving import DEADLINE, wait_for

_T = TypeVar("_T")


def hand_over(reactor: Reactor, function: Callable[[], _T], **options: Any) -> _T:
    """Hand over a call to a hub that is there."""
    return handing_over.hand_over(reactor, function, forget=pytest.fail, **options)  # type: ignore[no-any-return]


# Whether the thread that hands a call over has a hub of its own.
WAYS = {"thread": native.call, "greenlet": native.call_with_hub}
Way = Callable[[Callable[[], object]], None]


@pytest.fixture(params=WAYS.values(), ids=WAYS)  # type: ignore[call-overload,untyped-decorator]
def other_thread(request: pytest.FixtureRequest) -> Way:
    """Call a function in another thread; a test that asks for it runs with and without a hub."""
    way: Way = request.param
    return way


@pytest.fixture
def reactor() -> Reactor:
    return current_reactor()


class Stubborn:
    """A call that can't be ended, and returns though nobody waits any more."""

    def __init__(self) -> None:
        self.is_running = Event()
        self.is_stopped = Event()
        self.go_on = Event()

    def __call__(self) -> str:
        self.is_running.set()
        while not self.go_on.is_set():
            try:
                self.go_on.wait()
            except gevent.GreenletExit:
                self.is_stopped.set()
        return "value"


@pytest.fixture
def stubborn() -> Iterator[Stubborn]:
    call = Stubborn()
    yield call
    call.go_on.set()


def test_a_call_runs_in_the_thread_of_the_hub(reactor: Reactor, other_thread: Way) -> None:
    seen: list[int] = []

    def call() -> None:
        value = hand_over(reactor, lambda: (seen.append(threading.get_ident()), "value")[1])
        assert value == "value"
        with pytest.raises(ZeroDivisionError):
            hand_over(reactor, lambda: 1 / 0, deadline=time.monotonic() + DEADLINE)

    other_thread(call)
    assert seen == [threading.get_ident()]
    assert not reactor.calls


def test_a_hub_that_hands_over_a_call_does_not_wait_for_it(reactor: Reactor) -> None:
    called = threading.Event()

    def call() -> None:
        results: list[object] = []
        hub = gevent.get_hub()
        hub.loop.run_callback(lambda: results.append(hand_over(reactor, called.set)))
        wait_for(lambda: results, "the call is handed over")
        assert results == [None]

    native.call_with_hub(call)
    wait_for(called.is_set, "it is called")


def test_a_call_ends_at_its_deadline_and_its_greenlet_with_it(
    reactor: Reactor, other_thread: Way
) -> None:
    ended: list[object] = []

    def wait() -> None:
        try:
            Event().wait()
        finally:
            ended.append(None)

    def call() -> None:
        with pytest.raises(TimeoutError, match=r"^too late$"):
            hand_over(reactor, wait, deadline=time.monotonic() + 0.05, failure="too late")

    other_thread(call)
    wait_for(lambda: ended, "it is stopped")


def test_a_call_that_is_given_up_before_it_begins_is_not_made(reactor: Reactor) -> None:
    called: list[object] = []

    def call() -> None:
        with pytest.raises(TimeoutError):
            hand_over(reactor, lambda: called.append(None), deadline=time.monotonic())

    # This hub does nothing until the thread has ended.
    native.start(call).join(DEADLINE)
    gevent.sleep(0)
    gevent.sleep(0)
    assert called == []
    assert not reactor.calls


def test_an_answer_that_comes_after_the_deadline_is_given_back(
    reactor: Reactor, other_thread: Way, stubborn: Stubborn
) -> None:
    returned: list[str] = []

    def call() -> None:
        with pytest.raises(TimeoutError, match=r"^too late$"):
            hand_over(
                reactor,
                stubborn,
                deadline=time.monotonic() + 0.05,
                failure="too late",
                give_back=returned.append,
            )

    other_thread(call)
    assert stubborn.is_stopped.wait(DEADLINE)
    assert returned == []
    stubborn.go_on.set()
    wait_for(lambda: returned == ["value"], "it is given back")


@pytest.mark.parametrize("give_back", [True, False])
def test_who_is_interrupted_gives_up(reactor: Reactor, stubborn: Stubborn, give_back: bool) -> None:
    returned: list[str] = []

    def call() -> None:
        with pytest.raises(gevent.Timeout), gevent.Timeout(0.05):
            hand_over(reactor, stubborn, give_back=returned.append if give_back else None)

    native.call_with_hub(call)
    assert stubborn.is_stopped.wait(DEADLINE)
    stubborn.go_on.set()
    wait_for(lambda: returned == ["value"] * give_back, "it is given back")


@pytest.mark.parametrize("fails", [True, False])
def test_an_answer_that_comes_just_before_an_interrupt_is_given_back(
    reactor: Reactor, fails: bool
) -> None:
    returned: list[object] = []
    interrupted: list[type] = []

    def work() -> str:
        if fails:
            raise ZeroDivisionError
        return "value"

    def call() -> None:
        try:
            hand_over(reactor, work, give_back=returned.append)
        except KeyboardInterrupt as error:
            interrupted.append(type(error))

    def run() -> None:
        waiting = gevent.spawn(call)
        gevent.sleep(0)
        # The answer is there before this hub goes on, and so is the interrupt.
        is_answered.wait(DEADLINE)
        waiting.kill(KeyboardInterrupt)

    is_answered = threading.Event()
    thread = gevent.spawn(native.call_with_hub, run)
    wait_for(lambda: reactor.calls, "it is handed over")
    [pending] = reactor.calls
    wait_for(lambda: pending.has_outcome(), "it is answered")  # type: ignore[attr-defined]
    is_answered.set()
    thread.get(timeout=DEADLINE)
    assert interrupted == [KeyboardInterrupt]
    wait_for(lambda: returned == ([] if fails else ["value"]), "it is given back")


class Loop:
    """A native thread with a hub, which notes the interrupts that come to it."""

    def __init__(self) -> None:
        self.interrupts = 0
        self.reactor: Reactor
        self._is_ending = False
        ready = threading.Event()

        def run() -> None:
            self.reactor = current_reactor()
            ready.set()
            while not self._is_ending:
                try:
                    gevent.sleep(0.005)
                except KeyboardInterrupt:
                    self.interrupts += 1
            gevent.get_hub().destroy(destroy_loop=True)

        self._thread = native.start(run)
        assert ready.wait(DEADLINE)

    def end(self) -> None:
        self._is_ending = True
        wait_for(lambda: not self._thread.is_alive(), "the thread is done")


@pytest.fixture
def loop() -> Iterator[Loop]:
    loop = Loop()
    yield loop
    loop.end()


def test_a_signal_in_the_middle_of_a_call_goes_to_the_main_greenlet(loop: Loop) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    with pytest.raises(InterruptedError, match="by a signal"):
        hand_over(loop.reactor, interrupted)
    assert loop.interrupts == 1
    assert hand_over(loop.reactor, lambda: "goes on") == "goes on"


def test_a_call_is_made_again_if_the_signal_ends_the_process(loop: Loop) -> None:
    calls: list[object] = []

    def interrupted() -> str:
        calls.append(None)
        if len(calls) == 1:
            raise KeyboardInterrupt
        return "refused"

    loop.reactor.is_leaving = True
    assert hand_over(loop.reactor, interrupted) == "refused"
    assert len(calls) == 2


def test_a_call_to_a_hub_that_is_gone_is_made_here_when_all_is_forgotten(
    other_thread: Way, loop: Loop
) -> None:
    destroyed: list[Reactor] = []

    def make() -> None:
        destroyed.append(current_reactor())
        loop.reactor.end()

    def call() -> None:
        for reactor in (loop.reactor, *destroyed):
            done: list[str] = []
            handing_over.hand_over(
                reactor, partial(done.append, "call"), forget=partial(done.append, "forget")
            )
            assert done == ["forget", "call"]

    native.call_with_hub(make)
    other_thread(call)


def test_who_waits_for_a_hub_that_ends_waits_no_longer(
    other_thread: Way, loop: Loop, stubborn: Stubborn
) -> None:
    forgotten = threading.Event()

    def wait() -> bool:
        # In the hub that ends it waits, and does not any more when that is gone.
        return forgotten.is_set() or Event().wait()

    def call() -> None:
        assert handing_over.hand_over(loop.reactor, wait, forget=forgotten.set)

    ended = gevent.spawn(other_thread, call)
    wait_for(lambda: loop.reactor.calls, "it is handed over")
    loop.reactor.post(loop.reactor.end)
    ended.get(timeout=DEADLINE)


def test_the_thread_that_has_called_may_be_gone(
    reactor: Reactor, stubborn: Stubborn, caplog: pytest.LogCaptureFixture
) -> None:
    waiting: list[Any] = []

    def call() -> None:
        waiting.append(gevent.spawn(hand_over, reactor, stubborn))
        gevent.sleep(0)

    native.call_with_hub(call)
    assert stubborn.is_running.wait(DEADLINE)
    stubborn.go_on.set()
    gevent.sleep(0)
    gevent.sleep(0)
    assert not caplog.records
    reactor.calls.clear()
