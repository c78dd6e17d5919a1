"""Greenlets that wait for what comes over a connection."""

from __future__ import annotations

import time
from collections.abc import Iterator

import gevent
import pytest
from gevent.event import Event
from greenlet import getcurrent

from faye_ws.constants import NEVER
from faye_ws.errors import ConnectionClosed
from faye_ws.websocket.phase import Phase
from faye_ws.websocket.receiving import receive, wait_closed, wait_heard
from support.parts import Parts
from support.serving import DEADLINE, close, text, wait_for


@pytest.fixture
def parts() -> Iterator[Parts]:
    parts = Parts()
    parts.open()
    parts.reads_head()
    yield parts
    parts.close()


def test_a_message_goes_to_who_waits_for_it_and_then_may_be_answered(parts: Parts) -> None:
    receiver = gevent.spawn(lambda: receive(parts.inbox, getcurrent(), NEVER, ""))
    wait_for(lambda: parts.inbox.readers.is_asking(receiver), "it waits")
    parts.peer.send(text("a"))
    assert receiver.get(timeout=DEADLINE) == "a"
    assert not parts.inbox.readers.is_asking(receiver)
    assert parts.inbox.readers.last is receiver


def test_what_the_driver_has_by_now_need_not_be_waited_for(parts: Parts) -> None:
    parts.endpoint.driver.receive_data(text("a"))
    assert receive(parts.inbox, getcurrent(), 0.0, "") == "a"


def test_a_deadline_that_is_over_ends_the_wait_and_a_message_that_is_there_has_none(
    parts: Parts,
) -> None:
    with pytest.raises(TimeoutError, match="none has come"):
        receive(parts.inbox, getcurrent(), time.monotonic() + 0.02, "none has come")
    with pytest.raises(TimeoutError, match="none has come"):
        receive(parts.inbox, getcurrent(), 0.0, "none has come")
    assert not parts.inbox.readers.is_asking(getcurrent())
    parts.peer.send(text("a"))
    wait_for(lambda: parts.inbox.messages, "it has come")
    assert receive(parts.inbox, getcurrent(), 0.0, "") == "a"


def test_the_end_waits_no_more_for_who_asks_for_the_next_message(parts: Parts) -> None:
    parts.peer.send(text("a"))
    wait_for(lambda: parts.inbox.messages, "it has come")
    assert receive(parts.inbox, getcurrent(), NEVER, "") == "a"
    parts.peer.send(close(1000, "done"))
    wait_for(lambda: parts.endpoint.phase is Phase.ENDING, "the end waits")
    with pytest.raises(ConnectionClosed) as caught:
        receive(parts.inbox, getcurrent(), NEVER, "")
    assert (caught.value.code, caught.value.reason) == (1000, "done")


def test_the_end_is_waited_for_and_told(parts: Parts) -> None:
    with pytest.raises(TimeoutError, match="not closed"):
        wait_closed(parts.inbox, getcurrent(), time.monotonic() + 0.02, "not closed")
    waiter = gevent.spawn(lambda: wait_closed(parts.inbox, getcurrent(), NEVER, ""))
    wait_for(lambda: parts.inbox.readers.is_asking(waiter), "it waits")
    parts.peer.send(close(1001))
    assert waiter.get(timeout=DEADLINE) == (1001, "", True)
    assert wait_closed(parts.inbox, getcurrent(), 0.0, "") == (1001, "", True)


def test_the_end_that_has_come_by_now_need_not_be_waited_for(parts: Parts) -> None:
    parts.endpoint.driver.receive_data(close(1000))
    assert wait_closed(parts.inbox, getcurrent(), 0.0, "") == (1000, "", True)


def test_who_waits_for_the_end_waits_until_the_listeners_have_heard_of_it(parts: Parts) -> None:
    may_go_on, is_at_work = Event(), Event()
    heard: list[str] = []

    def listen(event: object) -> None:
        is_at_work.set()
        may_go_on.wait(DEADLINE)
        heard.append("close")

    parts.target.on("close", listen)
    waiter = gevent.spawn(lambda: wait_closed(parts.inbox, getcurrent(), NEVER, ""))
    parts.peer.send(close(1000))
    assert is_at_work.wait(DEADLINE)
    assert not waiter.ready()
    may_go_on.set()
    waiter.get(timeout=DEADLINE)
    assert heard == ["close"]


def test_listeners_that_take_too_long_are_not_waited_for(parts: Parts) -> None:
    may_go_on = Event()
    parts.target.on("close", lambda event: may_go_on.wait(DEADLINE))
    parts.peer.send(close(1000))
    wait_closed(parts.inbox, getcurrent(), NEVER, "")
    assert not parts.inbox.listening.is_done
    may_go_on.set()
    wait_for(lambda: parts.inbox.listening.is_done, "it has heard")


def test_a_listener_that_waits_for_the_end_does_not_wait_for_itself(parts: Parts) -> None:
    done = Event()

    def listen(event: object) -> None:
        wait_heard(parts.inbox, getcurrent())
        done.set()

    parts.target.on("message", listen)
    parts.peer.send(text("a"))
    assert done.wait(DEADLINE)
