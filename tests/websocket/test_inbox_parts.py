"""An inbox without an application: what the hub and other threads see of it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from gevent.hub import Hub

from faye_ws.errors import ConnectionClosed
from faye_ws.websocket import inbox as module
from faye_ws.websocket.inbox import Inbox
from faye_ws.websocket.phase import Phase
from faye_ws.websocket.receiving import Readers
from support.parts import Here, Parts
from support.serving import DEADLINE, close, frame, text, wait_for


@pytest.fixture
def parts() -> Iterator[Parts]:
    parts = Parts(Here())
    yield parts
    parts.close()


def test_two_threads_that_come_first_wait_in_one_place(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = threading.Barrier(2)

    class SlowReaders(Readers):
        def __init__(self, hub: Hub) -> None:
            both.wait(DEADLINE)
            super().__init__(hub)

    monkeypatch.setattr(module, "Readers", SlowReaders)
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda _: parts.inbox.readers, range(2))
    assert first is second


@pytest.mark.parametrize("early", [b"", text("a") + close(1000)], ids=["open", "ending"])
def test_threads_are_woken_when_they_can_see_that_the_connection_is_gone(
    parts: Parts, early: bytes
) -> None:
    parts.open(early)
    wait_for(lambda: parts.endpoint.phase in (Phase.OPEN, Phase.ENDING), "it is open")
    if early:
        wait_for(lambda: parts.endpoint.phase is Phase.ENDING, "its end waits")
    seen: list[Any] = []

    class Waking:
        asking = ()

        def settle(self) -> int:
            return 0

        def wake(self) -> None:
            seen.append(parts.inbox.end)

    parts.inbox.exchange = Waking()  # type: ignore[assignment]
    parts.endpoint.forget()
    assert seen == [(1006, "", False)]


def _opened(parts: Parts) -> Inbox:
    parts.open()
    parts.reads_head()
    return parts.inbox


def test_listeners_that_wait_for_pongs_hear_of_theirs(parts: Parts) -> None:
    inbox = _opened(parts)
    ponged: list[str] = []
    parts.peer.send(frame(0x8A, b"unasked"))
    inbox.expect_pong(b"1", lambda: ponged.append("1"))
    inbox.expect_pong(b"2", lambda: ponged.append("2"))
    parts.peer.send(frame(0x8A, b"2"))
    wait_for(lambda: ponged == ["1", "2"], "both have heard")


def test_a_message_is_given_back_to_the_front(parts: Parts) -> None:
    inbox = _opened(parts)
    inbox.give_back("b")
    inbox.give_back("a")
    assert [inbox.take_message(), inbox.take_message(), inbox.take_message()] == ["a", "b", None]


def test_a_message_that_a_thread_has_just_taken_is_nobody_elses(parts: Parts) -> None:
    class Emptied:
        def __bool__(self) -> bool:
            return True

        def popleft(self) -> str:
            raise IndexError

    parts.inbox.messages = Emptied()  # type: ignore[assignment]
    assert parts.inbox.take_message() is None
    parts.inbox.messages = None


def test_a_drain_is_an_event_for_those_who_listen_to_it(parts: Parts) -> None:
    inbox = _opened(parts)
    inbox.drained()
    assert inbox.listening.is_done
    heard: list[object] = []
    parts.target.on("drain", heard.append)
    inbox.drained()
    wait_for(lambda: heard, "it has heard")


def test_what_a_listener_raises_in_another_thread_closes_in_the_hub(parts: Parts) -> None:
    inbox = _opened(parts)
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(inbox.listener_raised, ZeroDivisionError())
        wait_for(answer.done, "the thread is done")
    assert answer.result() is True
    assert parts.reads()[2:4] == (1011).to_bytes(2, "big")


def test_that_the_connection_is_closed_is_no_fault_of_a_listener(parts: Parts) -> None:
    inbox = _opened(parts)
    assert inbox.listener_raised(ConnectionClosed(1000, "", True))
    parts.endpoint.drop()
    assert not inbox.listener_raised(ConnectionClosed(1006, "", False))


def test_listeners_are_let_go_of_when_all_was_heard(parts: Parts) -> None:
    _opened(parts)
    heard: list[object] = []
    parts.target.on("close", heard.append)
    parts.peer.close()
    wait_for(lambda: heard, "it has heard")
    wait_for(lambda: not parts.target.has_listener("close"), "it is let go of")
    assert parts.inbox.is_over


@pytest.mark.parametrize("place", [None, Here()], ids=["hub", "thread"])
def test_what_has_come_stays_when_it_is_forgotten_unless_it_is_another_process_s(
    place: Here | None,
) -> None:
    parts = Parts(place)
    inbox = _opened(parts)
    parts.peer.send(text("a"))
    wait_for(lambda: inbox.messages, "it has come")
    parts.endpoint.reactor.members.discard(parts.endpoint)
    parts.endpoint.forget()
    assert inbox.end == (1006, "", False)
    parts.endpoint.forget()
    assert inbox.messages
    parts.endpoint.disown()
    assert not inbox.messages
    parts.close()
