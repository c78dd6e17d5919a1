"""Keeping a connection alive, and dropping the dead."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from typing import Any

import gevent
import pytest

from faye_ws import ReadyState
from support import serving
from support.parts import endpoint_of
from support.serving import BINARY, DEADLINE, PING, PONG, Peer, Serving, frame, text, wait_for

connect = serving.connect

# Many heartbeats of the shortest kind; whoever is to be dropped is dropped before that.
MANY = 5
# Whoever is to be kept must be heard in time, also when the machine has been busy for a while
# with something else; it would be dropped, too, before there were many heartbeats.
PATIENT: dict[str, Any] = {"ping": 0.3, "ping_timeout": 1.0}


def test_a_peer_that_answers_pings_is_kept(connect: Serving) -> None:
    ws, peer = connect(**PATIENT)
    for _ in range(MANY):
        first, payload = peer.read_frame()
        assert first == PING
        peer.send(frame(PONG, payload))
    assert ws.ready_state is ReadyState.OPEN


def test_a_peer_that_stays_silent_is_dropped(connect: Serving) -> None:
    ws, peer = connect(ping=0.1, ping_timeout=0.1)
    event = ws.wait_closed(DEADLINE)
    assert (event.code, event.was_clean) == (1006, False)
    assert set(_rest(peer)) == {(PING, b"")}


def _rest(peer: Peer) -> Iterator[tuple[int, bytes]]:
    while True:
        try:
            yield peer.read_frame()
        except (EOFError, ConnectionResetError):
            return


def test_a_peer_that_stays_silent_is_kept_if_there_is_no_timeout(connect: Serving) -> None:
    ws, peer = connect(ping=0.1, ping_timeout=None)
    assert peer.read_frames(MANY) == [(PING, b"")] * MANY
    assert ws.ready_state is ReadyState.OPEN


def test_no_pings_are_sent_unless_asked_for(connect: Serving) -> None:
    ws, peer = connect(ping_timeout=0.1)
    _, clock = connect(ping=0.1, ping_timeout=None)
    clock.read_frames(MANY)
    ws.send("the first frame")
    assert peer.read_text() == "the first frame"


@pytest.mark.parametrize(
    "sign",
    [
        pytest.param(lambda number: text("hello"), id="messages"),
        pytest.param(lambda number: frame(PONG, b"unasked"), id="pongs"),
        pytest.param(lambda number: frame(BINARY, bytes(10**6))[number : number + 1], id="bytes"),
    ],
)
def test_a_peer_that_sends_anything_is_kept(connect: Serving, sign: Callable[[int], bytes]) -> None:
    ws, peer = connect(**PATIENT)

    def talk() -> None:
        for number in itertools.count():
            peer.send(sign(number))
            gevent.sleep(0.02)

    talker = gevent.spawn(talk)
    assert peer.read_frames(MANY) == [(PING, b"")] * MANY
    assert ws.ready_state is ReadyState.OPEN
    talker.kill()


def test_a_pong_that_waits_in_the_socket_of_a_busy_process_counts(connect: Serving) -> None:
    ws, peer = connect(ping=0.2, ping_timeout=0.2)
    for _ in range(5):
        assert peer.read_frame() == (PING, b"")
        peer.send(frame(PONG))
        # Nothing else runs, and when it does, the time is up.
        time.sleep(0.5)
        gevent.sleep(0)
        assert ws.ready_state is ReadyState.OPEN


def test_a_peer_that_cannot_be_heard_is_not_dropped_for_its_silence(connect: Serving) -> None:
    ws, peer = connect(ping=0.1, ping_timeout=0.1)
    ws.pause()
    assert peer.read_frames(MANY) == [(PING, b"")] * MANY
    assert ws.ready_state is ReadyState.OPEN


def test_a_peer_that_never_reads_is_dropped(connect: Serving) -> None:
    ws, _ = connect(ping=0.1, ping_timeout=0.1, max_backlog=1000)
    sender = gevent.spawn(ws.send, bytes(2**21))
    assert ws.wait_closed(DEADLINE).code == 1006
    sender.get(timeout=DEADLINE)


def test_a_peer_that_reads_slowly_is_kept(connect: Serving) -> None:
    # It can't answer a ping before it has read what was sent before that.
    ws, peer = connect(ping=0.1, ping_timeout=0.5, max_backlog=2**16)
    length = 2**21
    sender = gevent.spawn(ws.send, bytes(length))
    received = 0
    while received < length:
        data = peer.socket.recv(2**14)
        assert data, f"dropped after {received} bytes"
        received += len(data)
        gevent.sleep(0.01 if ws.buffered_amount else 0)
    sender.get(timeout=DEADLINE)
    assert ws.ready_state is ReadyState.OPEN


def test_a_connection_that_ends_leaves_nothing_in_the_heartbeat(connect: Serving) -> None:
    for end in (Peer.hang_up, Peer.reset):
        ws, peer = connect(ping=3600)
        assert endpoint_of(ws)._slot is not None
        end(peer)
        wait_for(lambda ws=ws: endpoint_of(ws)._slot is None, "the heartbeat has forgotten it")


def test_a_peer_that_does_not_read_gets_the_pong_to_its_latest_ping(connect: Serving) -> None:
    # RFC 6455, 5.5.3: it "MAY elect to send a Pong frame for only the most recently
    # processed Ping frame".
    ws, peer = connect(max_backlog=1000)
    sender = gevent.spawn(ws.send, bytes(2**21))
    wait_for(lambda: endpoint_of(ws).is_congested, "the peer has to read")
    for number in range(20_000):
        peer.send(frame(PING, b"%120d" % number))
    peer.send(text("the last"))
    assert ws.receive(DEADLINE) == "the last"
    assert ws.buffered_amount < 2**21
    assert peer.read_frame() == (BINARY, bytes(2**21))
    payload = b""
    while payload != b"%120d" % 19_999:
        first, payload = peer.read_frame()
        assert first == PONG
    sender.get(timeout=DEADLINE)
