"""A replay that is not scoped to its session (the class of GHSA-84j6-jc92-77jm).

A client says by itself what it has seen last. Whatever it says, it gets no event of a history
that it is not in, and is never told that it has missed nothing when it has.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from gevent import socket
from gevent.pywsgi import WSGIServer

from faye_ws import EventHistory, EventSource

DEADLINE = 30.0

Method = Callable[[EventHistory, EventSource], bool]
either_method = pytest.mark.parametrize("method", [EventHistory.replay, EventHistory.subscribe])


class Rooms:
    """An application with one history for each path, and what it was told of each request."""

    def __init__(self, method: Method) -> None:
        self.histories = {"/one": EventHistory(), "/other": EventHistory()}
        self.answers: list[bool] = []
        self._method = method

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        es = EventSource(environ, ping=None)
        self.answers.append(self._method(self.histories[environ["PATH_INFO"]], es))
        es.close()
        return es(environ, start_response)


@pytest.fixture
def rooms(method: Method) -> Iterator[tuple[Rooms, Callable[[str, str], str]]]:
    app = Rooms(method)
    server = WSGIServer(("127.0.0.1", 0), app, log=None)
    server.start()

    def ask(path: str, seen: str) -> str:
        with socket.create_connection(("127.0.0.1", server.server_port)) as peer:
            peer.settimeout(DEADLINE)
            peer.sendall(f"GET {path} HTTP/1.0\r\nLast-Event-ID: {seen}\r\n\r\n".encode())
            answer = b"".join(iter(lambda: peer.recv(2**16), b"")).decode()
        return answer.partition("\r\n\r\n")[2]

    yield app, ask
    server.stop()


@either_method
def test_an_id_of_one_history_replays_nothing_of_another(
    rooms: tuple[Rooms, Callable[[str, str], str]],
) -> None:
    app, ask = rooms
    one, other = app.histories["/one"], app.histories["/other"]
    seen, *_ = [one.append(f"{number} for one") for number in range(3)]
    secret, *_ = [other.append(f"{number} for another") for number in range(3)]
    assert "for" not in ask("/one", secret)
    assert "for" not in ask("/other", seen)
    assert app.answers == [False, False]
    answer = ask("/one", seen)
    assert "1 for one" in answer
    assert "2 for one" in answer
    assert "another" not in answer
    assert app.answers == [False, False, True]


@either_method
@pytest.mark.parametrize(
    "forged", ["{epoch}-0", "{epoch}-4", "{epoch}--1", "{epoch}-01", "{epoch}", "-1", "1", "0", "*"]
)
def test_an_id_that_was_never_given_replays_nothing(
    rooms: tuple[Rooms, Callable[[str, str], str]], forged: str
) -> None:
    app, ask = rooms
    # The first two of three are forgotten, and so is the place before them.
    app.histories["/one"] = history = EventHistory(max_events=1)
    for number in range(3):
        history.append(f"secret {number}")
    assert "secret" not in ask("/one", forged.format(epoch=history.epoch))
    assert app.answers == [False]


@either_method
def test_an_id_from_before_a_restart_is_told_as_a_gap(
    rooms: tuple[Rooms, Callable[[str, str], str]],
) -> None:
    app, ask = rooms
    seen = app.histories["/one"].append("before the restart")
    app.histories["/one"] = EventHistory()
    for number in range(3):
        app.histories["/one"].append(f"{number} after the restart")
    assert "restart" not in ask("/one", seen)
    assert app.answers == [False]


def test_epochs_can_not_be_guessed() -> None:
    epochs = {EventHistory().epoch for _ in range(1000)}
    assert len(epochs) == 1000
    assert min(map(len, epochs)) == 16
