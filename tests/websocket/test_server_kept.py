"""A connection whose server keeps the socket: its response lasts as long as the connection."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from typing import Any

import gevent
import pytest
from gevent.event import Event

from faye_ws import WebSocket
from support.serving import DEADLINE, close, wait_for

ENVIRON = {
    "REQUEST_METHOD": "GET",
    "PATH_INFO": "/",
    "SERVER_PROTOCOL": "HTTP/1.1",
    "wsgi.url_scheme": "http",
    "HTTP_HOST": "localhost",
    "HTTP_UPGRADE": "websocket",
    "HTTP_CONNECTION": "Upgrade",
    "HTTP_SEC_WEBSOCKET_KEY": "dGhlIHNhbXBsZSBub25jZQ==",
    "HTTP_SEC_WEBSOCKET_VERSION": "13",
}


class Kept:
    """A request whose server keeps the socket, as far as the connection can see."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        gevent.get_hub()
        self.ours, self.peer = socket.socketpair()
        self.peer.setblocking(False)
        self.server_writes: Callable[[bytes], None]

        def take_socket(environ: Any, server_wrote: Callable[[bytes], None]) -> Any:
            self.server_writes = server_wrote
            return self.ours, b"", False

        monkeypatch.setattr("faye_ws.websocket.server.take_socket", take_socket)
        self.ws = WebSocket(dict(ENVIRON))
        self.response = self.ws(dict(ENVIRON), lambda status, headers: None)

    def stop(self) -> None:
        self.ours.close()
        self.peer.close()


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> Iterator[Kept]:
    kept = Kept(monkeypatch)
    yield kept
    kept.stop()


def test_the_response_ends_with_the_connection(kept: Kept) -> None:
    serving = gevent.spawn(list, kept.response)
    kept.peer.send(close(1000))
    kept.peer.shutdown(socket.SHUT_WR)
    assert serving.get(timeout=DEADLINE) == []
    assert kept.ws.wait_closed(DEADLINE).code == 1000
    # It is the server's to close.
    assert kept.ours.fileno() != -1


def test_the_response_waits_for_a_listener_that_hears_of_the_end(kept: Kept) -> None:
    may_go_on, is_at_work = Event(), Event()

    def listen(event: object) -> None:
        is_at_work.set()
        may_go_on.wait(DEADLINE)

    kept.ws.on("close", listen)
    serving = gevent.spawn(list, kept.response)
    kept.peer.send(close(1000))
    kept.peer.shutdown(socket.SHUT_WR)
    assert is_at_work.wait(DEADLINE)
    assert not serving.ready()
    may_go_on.set()
    serving.get(timeout=DEADLINE)


def test_a_server_that_is_stopped_says_that_it_is_going_away(kept: Kept) -> None:
    serving = gevent.spawn(list, kept.response)
    gevent.sleep(0)
    serving.kill(timeout=DEADLINE)
    assert kept.ws.wait_closed(DEADLINE).code == 1006
    assert kept.peer.recv(2**16).endswith(b"\x88\x02" + (1001).to_bytes(2, "big"))


def test_a_server_that_takes_its_socket_back_ends_the_connection(kept: Kept) -> None:
    kept.response.close()  # type: ignore[attr-defined]
    assert kept.ws.ready_state is WebSocket.CLOSED
    kept.response.close()  # type: ignore[attr-defined]


def test_a_response_of_the_server_s_own_ends_the_connection_unless_it_is_the_101(
    kept: Kept,
) -> None:
    kept.server_writes(b"HTTP/1.1 101 Switching Protocols")
    assert kept.ws.ready_state is WebSocket.OPEN
    kept.server_writes(b"HTTP/1.1 500 Internal Server Error")
    assert kept.ws.ready_state is WebSocket.CLOSED
    wait_for(lambda: kept.ws.wait_closed(DEADLINE), "it is closed")
    assert b"\x88\x18" + (1011).to_bytes(2, "big") + b"the application raised" in kept.peer.recv(
        2**16
    )


def test_a_connection_answers_one_request(kept: Kept) -> None:
    with pytest.raises(RuntimeError, match="answers one request"):
        kept.ws(dict(ENVIRON), lambda status, headers: None)
    kept.response.close()  # type: ignore[attr-defined]
