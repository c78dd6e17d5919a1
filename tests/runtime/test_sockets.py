"""What the kernel knows about sockets."""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterator

import gevent.socket
import pytest

from faye_ws.runtime.sockets import (
    ClientSocket,
    close_copies_after_fork,
    count_acknowledged,
    discard_unsent,
    has_left,
    keep_from_children,
)
from support.serving import wait_for


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Two ends of a TCP connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ours = socket.create_connection(listener.getsockname())
        peer, _ = listener.accept()
    with ours, peer:
        yield ours, peer


Pair = tuple[socket.socket, socket.socket]


def test_a_peer_that_ends_its_side_has_left_though_there_is_more_to_read(pair: Pair) -> None:
    ours, peer = pair
    peer.sendall(b"more")
    assert not has_left(ours.fileno())
    peer.shutdown(socket.SHUT_WR)
    wait_for(lambda: has_left(ours.fileno()), "the end has come")
    assert ours.recv(100) == b"more"


def test_what_the_peers_host_has_taken_is_counted(pair: Pair) -> None:
    ours, _ = pair
    before = count_acknowledged(ours)
    ours.sendall(bytes(1000))
    wait_for(lambda: count_acknowledged(ours) == before + 1000, "all is acknowledged")


def test_of_a_unix_socket_nobody_knows_what_was_taken() -> None:
    ours, peer = socket.socketpair()
    with ours, peer:
        ours.sendall(b"data")
        assert count_acknowledged(ours) == 0


def test_a_socket_may_end_with_a_reset(pair: Pair) -> None:
    ours, peer = pair
    discard_unsent(ours)
    ours.close()
    with pytest.raises(ConnectionResetError):
        peer.recv(100)


def test_a_socket_that_is_closed_already_has_nothing_to_discard(
    pair: Pair, caplog: pytest.LogCaptureFixture
) -> None:
    pair[0].close()
    with caplog.at_level(logging.DEBUG, "faye_ws"):
        discard_unsent(pair[0])
    assert "setting an option failed" in caplog.text


def test_a_child_closes_its_copies_of_clients_sockets_and_no_other() -> None:
    plain, cooperative = ClientSocket(), gevent.socket.socket()
    keep_from_children(cooperative)
    with socket.socket() as other:
        close_copies_after_fork()
        assert plain.fileno() == cooperative.fileno() == -1
        assert other.fileno() >= 0
    cooperative.close()
