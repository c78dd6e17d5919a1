"""The way of a client to its server, and what may end it before its end."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import gevent
import pytest

from faye_ws import Client, ConnectionFailed, InvalidStatus
from faye_ws.runtime.reactor import current_reactor
from support.parts import endpoint_of, inbox_of
from support.serving import DEADLINE, wait_for


@pytest.fixture
def silent() -> Iterator[socket.socket]:
    """Return a socket whose peer says nothing."""
    # The client is to live in this thread.
    gevent.get_hub()
    # Connections of other tests may linger.
    wait_for(lambda: not current_reactor().members, "it is alone in its hub")
    ours, peer = socket.socketpair()
    yield ours
    ours.close()
    peer.close()


@pytest.fixture
def ws(silent: socket.socket) -> Client:
    ws = Client("ws://localhost/", net=silent)
    # Until it waits for the response.
    gevent.sleep(0)
    assert len(current_reactor().members) == 1
    return ws


@pytest.mark.parametrize("end", ["leave", "cut_off"])
def test_it_is_given_up_when_the_process_ends(ws: Client, end: str) -> None:
    (way,) = current_reactor().members
    getattr(way, end)()
    assert not current_reactor().members
    with pytest.raises(ConnectionFailed, match="the process ends"):
        ws.wait_open()
    assert ws.wait_closed(DEADLINE).code == 1006


@pytest.mark.parametrize("end", ["forget", "disown"])
def test_it_is_given_up_when_it_is_another_process_s(
    ws: Client, silent: socket.socket, end: str
) -> None:
    (way,) = current_reactor().members
    getattr(way, end)()
    assert not current_reactor().members
    assert ws.ready_state is Client.CLOSED
    wait_for(lambda: silent.fileno() == -1, "its socket is closed")
    assert inbox_of(ws).end == (1006, "", False)


def test_a_client_that_was_closed_before_it_has_set_out_stays_where_it_is(
    silent: socket.socket,
) -> None:
    ws = Client("ws://localhost/", net=silent)
    (way,) = current_reactor().members
    ws.close()
    ws.close()
    way.begin()  # type: ignore[attr-defined]
    assert not current_reactor().members
    assert ws.wait_closed(DEADLINE).code == 1006


@pytest.mark.parametrize("code", [1001, 1005])
def test_a_code_that_is_none_to_close_with_is_refused_on_the_way(ws: Client, code: int) -> None:
    with pytest.raises(ValueError, match="closes with"):
        ws.close(code)
    ws.close()
    ws.wait_closed(DEADLINE)


def test_no_connection_begins_when_the_process_ends(
    silent: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Ended:
        def __getattr__(self, name: str) -> object:
            return getattr(reactor, name)

        def is_foreign(self) -> bool:
            return True

        def post(self, function: Callable[..., object], *args: object) -> bool:
            return False

    reactor = current_reactor()
    monkeypatch.setattr("faye_ws.websocket.client.place_of_client", lambda: (Ended(), None))
    with pytest.raises(RuntimeError, match="the process ends"):
        Client("ws://localhost/", net=silent)


@pytest.mark.parametrize("leads_somewhere", [True, False])
def test_a_way_that_comes_to_its_end_as_it_is_given_up_leads_nowhere(
    silent: socket.socket, monkeypatch: pytest.MonkeyPatch, leads_somewhere: bool
) -> None:
    ws = Client("ws://localhost/", net=silent)

    def go(opening: object) -> socket.socket | None:
        # The hub serves several sockets in a turn: one that closes us, and then that of the way.
        ws.close()
        return silent if leads_somewhere else None

    monkeypatch.setattr("faye_ws.connecting.opening.Opening.go", go)
    assert ws.wait_closed(DEADLINE).code == 1006
    assert ws.ready_state is Client.CLOSED
    assert endpoint_of(ws).transport is None
    assert (silent.fileno() == -1) is leads_somewhere


def _sends(silent: socket.socket, monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    """Let a way take its time when its driver has received these bytes."""

    def go(opening: Any) -> None:
        opening.driver.start()
        opening.driver.receive_data(data)
        gevent.sleep(DEADLINE)

    monkeypatch.setattr("faye_ws.connecting.opening.Opening.go", go)


def test_a_refusal_whose_body_does_not_end_says_more_than_the_time(
    silent: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 100\r\n\r\nnot all of it"
    _sends(silent, monkeypatch, head)
    ws = Client("ws://localhost/", net=silent, connect_timeout=0.05)
    with pytest.raises(InvalidStatus, match="403"):
        ws.wait_open()
    assert ws.status_code == 403


def test_a_server_that_says_nothing_in_time_is_given_up(
    silent: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    _sends(silent, monkeypatch, b"")
    ws = Client("ws://localhost/", net=silent, connect_timeout=0.05)
    with pytest.raises(ConnectionFailed, match=r"no connection after 0\.05 seconds"):
        ws.wait_open()


def test_a_way_that_fails_for_any_reason_says_where_it_was_to_lead(
    silent: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    def go(opening: object) -> None:
        raise ZeroDivisionError("a fault")

    monkeypatch.setattr("faye_ws.connecting.opening.Opening.go", go)
    ws = Client("ws://localhost/", net=silent)
    with pytest.raises(ConnectionFailed, match=r"can't connect to localhost.*a fault"):
        ws.wait_open()


def test_a_thread_that_finds_the_hub_gone_ends_nothing_in_it(ws: Client) -> None:
    (way,) = current_reactor().members
    with ThreadPoolExecutor(1) as pool:
        pool.submit(way.forget).result(DEADLINE)
    assert way in current_reactor().members
    assert ws.ready_state is Client.CLOSED
    # Its hub lets go of it, too, if it is there after all.
    way.forget()
    assert not current_reactor().members


def test_the_client_of_a_thread_without_a_hub_begins_in_the_background(
    silent: socket.socket,
) -> None:
    def work() -> int:
        ws = Client("ws://localhost/", net=silent)
        ws.close()
        return ws.wait_closed(DEADLINE).code

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(work).result(DEADLINE) == 1006


def test_what_an_opening_is_refused_for_is_what_is_raised(
    silent: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    def go(opening: object) -> None:
        raise ConnectionFailed("refused")

    monkeypatch.setattr("faye_ws.connecting.opening.Opening.go", go)
    ws = Client("ws://localhost/", net=silent)
    with pytest.raises(ConnectionFailed, match=r"^refused$"):
        ws.wait_open()
