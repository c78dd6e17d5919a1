"""What threads and the hub exchange about one connection, with the threads' side here."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from greenlet import getcurrent

from faye_ws.constants import NEVER
from faye_ws.errors import ConnectionClosed
from faye_ws.websocket.exchange import Exchange
from faye_ws.websocket.phase import Phase
from support.parts import Here, Parts
from support.serving import DEADLINE, close, text, wait_for
from support.wire import unframe


@pytest.fixture
def parts() -> Iterator[Parts]:
    parts = Parts(Here())
    parts.open()
    parts.reads_head()
    yield parts
    parts.close()


@pytest.fixture
def exchange(parts: Parts) -> Exchange:
    exchange = parts.inbox.exchange
    assert exchange is not None
    return exchange


@pytest.fixture
def thread() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as pool:
        yield pool


# Sending


def test_messages_are_sent_by_the_hub_in_their_order_and_together(
    parts: Parts, exchange: Exchange
) -> None:
    assert exchange.send(parts.endpoint, "one")
    assert exchange.send(parts.endpoint, b"two")
    assert exchange.send(parts.endpoint, "thr\u00e9e")
    data = parts.reads()
    assert unframe(data) == [(0x81, b"one"), (0x82, b"two"), (0x81, "thr\u00e9e".encode())]


def test_a_text_that_has_no_form_is_refused_where_it_is_sent(
    parts: Parts, exchange: Exchange
) -> None:
    with pytest.raises(UnicodeEncodeError):
        exchange.send(parts.endpoint, "\ud800")


def test_what_may_have_to_wait_is_not_taken(parts: Parts, exchange: Exchange) -> None:
    assert not exchange.send(parts.endpoint, bytes(2**14 + 1))
    for _ in range(64):
        assert exchange.send(parts.endpoint, bytes(2**14))
    assert not exchange.send(parts.endpoint, b"one too many")
    received = 0
    while received < 64 * (2**14 + 4):
        received += len(parts.reads())
    wait_for(lambda: not parts.endpoint.is_congested, "the peer has taken all")
    assert exchange.send(parts.endpoint, b"now")
    parts.endpoint.is_congested = True
    assert not exchange.send(parts.endpoint, b"to a slow peer")
    parts.endpoint.is_congested = False
    parts.endpoint.close(1000, "")
    assert not exchange.send(parts.endpoint, b"too late")


# Receiving


def test_a_thread_takes_what_is_there_and_says_how_much(
    parts: Parts, exchange: Exchange, thread: ThreadPoolExecutor
) -> None:
    parts.peer.send(text("a") + text("b"))
    wait_for(lambda: parts.inbox.messages, "both have come")
    assert exchange.settle() == 0
    assert (
        thread.submit(exchange.receive, parts.inbox, getcurrent(), NEVER, "").result(DEADLINE)
        == "a"
    )
    assert (
        thread.submit(exchange.receive, parts.inbox, getcurrent(), NEVER, "").result(DEADLINE)
        == "b"
    )
    assert parts.inbox.readers.last is getcurrent()
    weight = exchange.settle()
    assert weight > 2
    assert exchange.settle() == 0


def test_a_message_that_another_thread_has_just_taken_is_waited_for(
    parts: Parts, exchange: Exchange
) -> None:
    class Emptied:
        def __bool__(self) -> bool:
            return True

        def popleft(self) -> str:
            parts.inbox.messages = None
            raise IndexError

    parts.inbox.messages = Emptied()  # type: ignore[assignment]
    with pytest.raises(TimeoutError, match="none"):
        exchange.receive(parts.inbox, getcurrent(), 0.0, "none")


def test_a_thread_that_waits_is_woken_by_a_message_or_the_end(
    parts: Parts, exchange: Exchange, thread: ThreadPoolExecutor
) -> None:
    waiter: Any = thread.submit(getcurrent).result(DEADLINE)
    for data in (text("a"), close(1000)):
        answer = thread.submit(exchange.receive, parts.inbox, waiter, NEVER, "")
        wait_for(lambda: exchange.asking == [waiter], "it waits")
        parts.peer.send(data)
        wait_for(answer.done, "it is woken")
        assert exchange.asking == []
    with pytest.raises(ConnectionClosed):
        answer.result()
    assert parts.endpoint.phase >= Phase.LINGERING


def test_a_wait_ends_at_its_deadline(
    parts: Parts, exchange: Exchange, thread: ThreadPoolExecutor
) -> None:
    deadline = time.monotonic() + 0.05
    answer = thread.submit(exchange.receive, parts.inbox, getcurrent(), deadline, "none has come")
    with pytest.raises(TimeoutError, match="none has come"):
        answer.result(DEADLINE)
    assert time.monotonic() >= deadline
    assert exchange.asking == []


def test_the_end_waits_no_more_for_a_thread_that_asks_for_the_next_message(
    parts: Parts, exchange: Exchange, thread: ThreadPoolExecutor
) -> None:
    waiter: Any = thread.submit(getcurrent).result(DEADLINE)
    parts.peer.send(text("a"))
    wait_for(lambda: parts.inbox.messages, "it has come")
    assert thread.submit(exchange.receive, parts.inbox, waiter, NEVER, "").result(DEADLINE) == "a"
    parts.peer.send(close(1000))
    wait_for(lambda: parts.endpoint.phase is Phase.ENDING, "the end waits")
    answer = thread.submit(exchange.receive, parts.inbox, waiter, NEVER, "")
    wait_for(answer.done, "the end has come")
    with pytest.raises(ConnectionClosed):
        answer.result()


def test_a_thread_counts_as_answering_when_it_takes_a_message(
    parts: Parts, exchange: Exchange
) -> None:
    seen: list[bool] = []

    class Looked(deque[Any]):
        def popleft(self) -> Any:
            seen.append(parts.inbox.is_answering())
            return super().popleft()

    parts.inbox.messages = Looked(["a"])
    assert exchange.receive(parts.inbox, getcurrent(), NEVER, "") == "a"
    assert seen == [True]


def test_the_end_waits_for_an_answer_that_is_on_its_way_to_the_hub(
    parts: Parts, exchange: Exchange
) -> None:
    def send_and_read() -> None:
        assert exchange.send(parts.endpoint, "an answer")
        assert parts.endpoint.transport is not None
        parts.endpoint.transport.poll()

    # Before the hub looks whether there is something in the outbox, it reads the close.
    parts.peer.send(close(1000))
    parts.endpoint.reactor.post(send_and_read)
    assert unframe(parts.reads())[0] == (0x81, b"an answer")


def test_the_hub_looks_for_more_when_a_full_inbox_is_emptied(
    parts: Parts, exchange: Exchange, thread: ThreadPoolExecutor
) -> None:
    looked = threading.Event()
    parts.peer.send(text("a"))
    wait_for(lambda: parts.inbox.messages, "it has come")
    parts.inbox.is_behind = True

    class Owner:
        def __getattr__(self, name: str) -> Any:
            if name == "advance":
                looked.set()
            return getattr(parts.inbox, name)

    parts.endpoint.owner = Owner()  # type: ignore[assignment]
    assert (
        thread.submit(exchange.receive, parts.inbox, getcurrent(), NEVER, "").result(DEADLINE)
        == "a"
    )
    wait_for(looked.is_set, "the hub has looked")
    parts.endpoint.owner = parts.inbox
