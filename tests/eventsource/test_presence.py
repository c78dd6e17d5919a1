"""A client's socket, watched and never read."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from typing import Any

import gevent
import pytest
from gevent import socket

from faye_ws.constants import NEVER
from faye_ws.eventsource.presence import Presence
from support.serving import wait_for


class Watched:
    """A presence, both ends of its connection, and how often it was stirred."""

    def __init__(self, has_socket: bool = True) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.peer = socket.create_connection(listener.getsockname())
            self.ours, _ = listener.accept()
        self.stirred = 0
        sock = self.ours if has_socket else None
        self.presence = Presence(gevent.get_hub().loop, sock, self._stir)

    def _stir(self) -> None:
        self.stirred += 1

    def close(self) -> None:
        self.presence.close()
        self.ours.close()
        self.peer.close()


@pytest.fixture
def watched() -> Iterator[Watched]:
    watched = Watched()
    yield watched
    watched.close()


@pytest.fixture
def unreachable() -> Iterator[Watched]:
    """A presence without a socket."""
    watched = Watched(has_socket=False)
    yield watched
    watched.close()


def test_a_client_that_goes_is_noticed(watched: Watched) -> None:
    assert watched.presence.is_watched
    assert not watched.presence.is_gone()
    assert watched.presence.next_look() == NEVER
    watched.peer.close()
    wait_for(lambda: watched.stirred == 1, "it is stirred")
    assert watched.presence.is_gone()


def test_bytes_that_wait_are_left_and_looked_past_from_time_to_time(watched: Watched) -> None:
    watched.peer.sendall(b"not for us")
    wait_for(lambda: watched.stirred == 1, "it is stirred")
    assert not watched.presence.is_gone()
    assert not watched.presence.is_watched
    before = time.monotonic()
    assert before < watched.presence.next_look() < NEVER
    watched.peer.shutdown(socket.SHUT_WR)
    wait_for(watched.presence.is_gone, "the end is seen behind them")
    assert watched.stirred == 1
    assert watched.ours.recv(100) == b"not for us"


def test_what_a_client_has_taken_is_counted(watched: Watched) -> None:
    before = watched.presence.taken()
    watched.ours.sendall(bytes(1000))
    wait_for(lambda: watched.presence.taken() == before + 1000, "all is taken")


def test_a_connection_can_be_cut(watched: Watched) -> None:
    watched.presence.cut()
    assert watched.peer.recv(100) == b""
    with pytest.raises(BrokenPipeError):
        watched.ours.sendall(b"data")


def test_a_connection_that_is_gone_already_need_not_be_cut(
    watched: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    watched.peer.close()
    wait_for(watched.presence.is_gone, "it is gone")
    watched.presence.cut()
    with caplog.at_level(logging.DEBUG, "faye_ws"):
        watched.ours.detach()
        watched.presence.cut()
    assert "cutting failed" in caplog.text


def test_of_a_client_that_can_not_be_reached_nothing_is_known(unreachable: Watched) -> None:
    presence: Any = unreachable.presence
    assert not presence.is_watched
    assert not presence.is_gone()
    assert presence.next_look() == NEVER
    assert presence.taken() == 0
    presence.cut()
    unreachable.peer.sendall(b"data")
    assert unreachable.ours.recv(100) == b"data"


def test_nothing_is_known_after_the_end(watched: Watched) -> None:
    watched.presence.close()
    watched.peer.close()
    assert not watched.presence.is_gone()
    assert watched.presence.taken() == 0
