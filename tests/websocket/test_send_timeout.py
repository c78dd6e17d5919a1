"""The deadline of writing: a peer that takes nothing of what waits for it is gone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gevent
import pytest
from gevent import socket
from gevent.pywsgi import WSGIServer

from faye_ws import EventSource, WebSocket, broadcast
from support import serving
from support.serving import DEADLINE, KERNEL_BUFFER, PONG, Serving, frame, wait_for

connect = serving.connect

# More than the kernel takes for a peer that does not read.
MUCH = bytes(2**22)
# Seconds: many times what a busy machine may keep the process waiting.
SEND_TIMEOUT = 1.0


def test_a_peer_that_takes_nothing_is_dropped_though_it_sends_pongs(connect: Serving) -> None:
    ws, peer = connect(ping=0.1, ping_timeout=0.1, send_timeout=0.3)
    sender = gevent.spawn(ws.send, MUCH)
    with gevent.Timeout(DEADLINE):
        while not sender.ready():
            try:
                peer.send(frame(PONG))
            except OSError:
                break
            gevent.sleep(0.02)
    assert sender.get(timeout=DEADLINE) is False
    assert ws.wait_closed(DEADLINE).code == 1006
    # Nothing is kept for it, not even by the kernel.
    wait_for(connect.is_idle, "the descriptor is closed")
    with pytest.raises(ConnectionResetError):
        peer.read_to_end()


def test_a_peer_that_takes_little_by_little_has_all_the_time_it_needs(connect: Serving) -> None:
    ws, peer = connect(send_timeout=SEND_TIMEOUT)
    sender = gevent.spawn(ws.send, MUCH)
    _read_little_by_little(peer.socket, len(MUCH))
    assert sender.get(timeout=DEADLINE) is True


def _read_little_by_little(sock: Any, length: int) -> None:
    """Read so much, a part after another, each after half of the time that there is."""
    for _ in range(4):
        gevent.sleep(SEND_TIMEOUT / 2)
        part = length // 4
        while part > 0:
            data = sock.recv(part)
            assert data
            part -= len(data)


def test_a_deadline_for_what_the_peer_has_taken_by_now_is_no_deadline(connect: Serving) -> None:
    ws, peer = connect(send_timeout=SEND_TIMEOUT)
    sender = gevent.spawn(ws.send, MUCH)
    wait_for(lambda: ws.buffered_amount, "the peer is slow")
    assert len(peer.read_frame()[1]) == len(MUCH)
    assert sender.get(timeout=DEADLINE) is True
    # Long enough for the deadline to pass.
    with pytest.raises(TimeoutError):
        ws.wait_closed(1.5 * SEND_TIMEOUT)
    assert ws.ready_state is WebSocket.OPEN


@pytest.mark.parametrize("value", [0, -1, "1", True, float("inf")])
def test_a_send_timeout_must_be_a_number_of_seconds(connect: Serving, value: Any) -> None:
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/"}
    for face in (WebSocket, EventSource):
        with pytest.raises((TypeError, ValueError), match="send_timeout must be"):
            face(environ, send_timeout=value)


class Streams:
    """Event streams that pywsgi serves."""

    def __init__(self) -> None:
        self.sources: list[EventSource] = []
        self.ended = 0
        self.peers: list[Any] = []
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, KERNEL_BUFFER)
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        self.server = WSGIServer(listener, self._answer, log=None, error_log=None)
        self.server.start()

    def _answer(self, environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        es = EventSource(environ, ping=0.1, send_timeout=SEND_TIMEOUT)
        self.sources.append(es)
        try:
            yield from es(environ, start_response)
        finally:
            self.ended += 1

    def dial(self) -> Any:
        peer = socket.socket()
        self.peers.append(peer)
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, KERNEL_BUFFER)
        peer.settimeout(DEADLINE)
        peer.connect(("127.0.0.1", self.server.server_port))
        peer.sendall(b"GET / HTTP/1.1\r\nHost: here\r\nAccept: text/event-stream\r\n\r\n")
        wait_for(lambda: self.sources and self.sources[-1].ready_state == 1, "it is open")
        return peer


@pytest.fixture
def streams() -> Iterator[Streams]:
    streams = Streams()
    yield streams
    for peer in streams.peers:
        peer.close()
    streams.server.stop()


def test_a_stream_that_nobody_reads_is_dropped_with_its_greenlet(streams: Streams) -> None:
    streams.dial()
    (es,) = streams.sources
    sender = gevent.spawn(es.send, "x" * len(MUCH))
    assert sender.get(timeout=DEADLINE) is False
    assert es.ready_state is EventSource.CLOSED
    wait_for(lambda: streams.ended == 1, "the server's greenlet has done with it")


def test_a_stream_that_a_broadcast_drops_is_gone_at_once(streams: Streams) -> None:
    streams.dial()
    (es,) = streams.sources
    with gevent.Timeout(DEADLINE):
        while broadcast([es], "x" * 2**19):
            gevent.sleep(0)
    wait_for(lambda: streams.ended == 1, "the server's greenlet has done with it")


def test_a_stream_that_is_closed_while_nobody_reads_does_not_stay(streams: Streams) -> None:
    streams.dial()
    (es,) = streams.sources
    es.send("x" * 2**19)
    es.send("x" * 2**18)
    es.close()
    wait_for(lambda: streams.ended == 1, "the server's greenlet has done with it")


def test_a_stream_that_is_read_little_by_little_has_all_the_time_it_needs(
    streams: Streams,
) -> None:
    peer = streams.dial()
    (es,) = streams.sources
    sender = gevent.spawn(es.send, "x" * len(MUCH))
    _read_little_by_little(peer, len(MUCH))
    assert sender.get(timeout=DEADLINE) is True
