"""A connection as the application holds it, with its hub under the test's control."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import gevent
import pytest

from faye_ws import ReadyState
from faye_ws.driver.prepared import PreparedMessage
from faye_ws.websocket.phase import Phase
from support.parts import Here, Parts
from support.serving import text, wait_for
from support.wire import unframe


@pytest.fixture
def parts() -> Iterator[Parts]:
    parts = Parts(Here())
    parts.open()
    parts.reads_head()
    yield parts
    parts.close()


def _in_thread(function: Callable[[], object]) -> object:
    """Call a function in another thread, while the hub of the test runs."""
    with ThreadPoolExecutor(1) as pool:
        answer: Future[object] = pool.submit(function)
        wait_for(answer.done, "the thread is done")
        return answer.result()


def test_it_has_the_attributes_of_its_driver(parts: Parts) -> None:
    ws = parts.target
    assert ws.url == "ws://server.example.com/"
    assert (ws.protocol, ws.extensions, ws.version) == ("", "", "hybi-13")
    assert ws.ready_state is ReadyState.OPEN
    assert ws.buffered_amount == 0


def test_what_threads_send_and_receive_is_exchanged(parts: Parts) -> None:
    ws = parts.target
    assert _in_thread(lambda: ws.send("a")) is True
    assert unframe(parts.reads()) == [(0x81, b"a")]
    parts.peer.send(text("b"))
    assert _in_thread(ws.receive) == "b"
    assert _in_thread(lambda: ws.send(bytes(2**14 + 1))) is True
    parts.reads()


def test_a_slow_peer_is_dropped_by_a_broadcast(parts: Parts) -> None:
    ws = parts.target
    assert ws.send_prepared(PreparedMessage("a" * 2**21))
    assert not ws.send_prepared(PreparedMessage("news"))
    assert parts.endpoint.phase is Phase.GONE


def test_a_slow_peer_is_dropped_if_the_hub_would_have_to_wait_for_it(parts: Parts) -> None:
    results: list[bool] = []
    parts.endpoint.reactor.post(lambda: results.append(parts.target.send(bytes(2**21))))
    wait_for(lambda: results, "the hub has not waited")
    assert results == [False]
    assert parts.endpoint.phase is Phase.GONE


def test_a_sender_hears_whether_its_message_was_taken(parts: Parts) -> None:
    sender = gevent.spawn(parts.target.send, bytes(2**21))
    wait_for(lambda: parts.endpoint.is_congested, "the peer is slow")
    parts.endpoint.drop()
    assert sender.get(timeout=10) is False


def test_a_listener_that_raises_is_logged_and_closes_with_1011(
    parts: Parts, caplog: pytest.LogCaptureFixture
) -> None:
    def listen(event: object) -> None:
        raise ZeroDivisionError

    parts.target.on("message", listen)
    with caplog.at_level(logging.ERROR):
        parts.peer.send(text("a"))
        (sent,) = unframe(parts.reads())
    assert sent[1][:2] == (1011).to_bytes(2, "big")
    (record,) = caplog.records
    assert record.exc_info is not None
    assert record.exc_info[0] is ZeroDivisionError
