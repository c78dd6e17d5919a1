"""The inbox: how much of what has come is held for an application that does not take it."""

from __future__ import annotations

import contextlib
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import gevent
import pytest
from gevent import socket
from gevent.event import Event

from faye_ws import Client, ConnectionClosed
from faye_ws.extensions import PermessageDeflate
from faye_ws.websocket import watches
from faye_ws.websocket.connection import Connection
from faye_ws.websocket.phase import Phase
from support import serving, wire
from support.parts import Here, Parts, endpoint_of, inbox_of, is_stalled
from support.serving import DEADLINE, Serving, handshake, wait_for

connect = serving.connect

MEBIBYTE = 2**20
DEFLATE = "permessage-deflate"
# What fits into one read of 64 KiB, when it is compressed.
MANY = 62


class Ends(NamedTuple):
    """Our end of a connection, and the socket and the masking key of the peer."""

    ws: Connection
    peer: Any
    key: bytes

    def frame(self, first: int, payload: bytes = b"") -> bytes:
        """Return a frame as the peer sends it."""
        return wire.frame(first, payload, self.key)

    def deflated(self, *messages: str | bytes) -> bytes:
        """Return messages as a peer sends them that compresses each by itself."""
        return b"".join(self._deflated(message) for message in messages)

    def _deflated(self, message: str | bytes) -> bytes:
        deflater = zlib.compressobj(9, wbits=-15)
        data = message.encode() if isinstance(message, str) else message
        payload = deflater.compress(data) + deflater.flush(zlib.Z_SYNC_FLUSH)
        return self.frame(0xC1 if isinstance(message, str) else 0xC2, payload[:-4])

    def read_frame(self) -> tuple[int, bytes]:
        """Return the first byte and the payload of the next frame, which is short."""
        head = self._read(2)
        key = self._read(4) if head[1] & 0x80 else b""
        payload = self._read(head[1] & 0x7F)
        return head[0], wire.xor(key, payload) if key else payload

    def _read(self, length: int) -> bytes:
        data = b""
        while len(data) < length:
            more = self.peer.recv(length - len(data))
            assert more, "the connection has ended"
            data += more
        return data

    def send_more(self, *pieces: bytes) -> gevent.Greenlet[..., None]:
        """Send pieces as fast as they are taken, in a greenlet of its own."""
        return gevent.spawn(self._send_all, pieces)

    def _send_all(self, pieces: tuple[bytes, ...]) -> None:
        with contextlib.suppress(OSError):
            for piece in pieces:
                self.peer.sendall(piece)


Open = Callable[..., Ends]


def _open_server(connect: Serving, **options: Any) -> Ends:
    path = connect.expect(extensions=[PermessageDeflate()], **options)
    peer = connect.dial()
    peer.open(handshake(path, {"Sec-WebSocket-Extensions": DEFLATE}))
    assert DEFLATE.encode() in peer.head
    return Ends(connect.accepted(path), peer.socket, wire.ZERO_KEY)


def _open_client(listener: Any, **options: Any) -> Ends:
    port = listener.getsockname()[1]
    ws = Client(f"ws://127.0.0.1:{port}/", extensions=[PermessageDeflate()], **options)
    opening = gevent.spawn(ws.wait_open)
    peer, _ = listener.accept()
    peer.settimeout(DEADLINE)
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += peer.recv(2**16)
    key = wire.fields_of(head)[b"sec-websocket-key"].decode()
    peer.sendall(wire.response(key, f"Sec-WebSocket-Extensions: {DEFLATE}".encode()))
    opening.get(timeout=DEADLINE)
    return Ends(ws, peer, b"")


@pytest.fixture(params=["server", "client"])
def open_ends(request: pytest.FixtureRequest, connect: Serving) -> Iterator[Open]:
    """Open connections of which we are one end or the other."""
    if request.param == "server":
        yield lambda **options: _open_server(connect, **options)
        return
    peers: list[Any] = []

    def open_client(**options: Any) -> Ends:
        ends = _open_client(listener, **options)
        peers.append(ends.peer)
        return ends

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        listener.settimeout(DEADLINE)
        yield open_client
        for peer in peers:
            peer.close()


ASTRAL = "x" * (MEBIBYTE - 4) + "\U0001f600"


@pytest.mark.parametrize("message", [bytes(MEBIBYTE), ASTRAL], ids=["bytes", "an astral character"])
def test_compressed_messages_are_inflated_when_there_is_room_for_them(
    open_ends: Open, message: str | bytes
) -> None:
    ends = open_ends()
    stream = ends.deflated(*[message] * MANY)
    tracemalloc.start()
    try:
        ends.peer.sendall(stream)
        wait_for(lambda: is_stalled(ends.ws), "the peer has to wait")
        held, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # One message of four mebibytes, and what it was before and while it became that.
    assert held < 5 * MEBIBYTE
    assert peak < 12 * MEBIBYTE
    for _ in range(MANY):
        assert ends.ws.receive(DEADLINE) == message
    ends.peer.sendall(ends.deflated("and another"))
    assert ends.ws.receive(DEADLINE) == "and another"


def test_a_peer_is_read_again_when_the_last_of_what_has_waited_fills_the_inbox(
    open_ends: Open,
) -> None:
    ends = open_ends()
    message = bytes(700 * 1024)
    # Two fill the inbox. The other two do that once more, and then nothing is left to wait.
    ends.peer.sendall(ends.deflated(*[message] * 4))
    wait_for(lambda: is_stalled(ends.ws), "the peer has to wait")
    for _ in range(2):
        assert ends.ws.receive(DEADLINE) == message
    wait_for(lambda: inbox_of(ends.ws).messages, "the others have come")
    for _ in range(2):
        assert ends.ws.receive(DEADLINE) == message
    ends.peer.sendall(ends.deflated("and another"))
    assert ends.ws.receive(DEADLINE) == "and another"


def test_listeners_hear_all_that_has_waited(open_ends: Open) -> None:
    ends = open_ends()
    go_on = Event()
    heard: list[int] = []

    def message(event: Any) -> None:
        go_on.wait()
        heard.append(len(event.data))

    ends.ws.on("message", message)
    ends.peer.sendall(ends.deflated(*[bytes(MEBIBYTE)] * MANY, "the last"))
    wait_for(lambda: is_stalled(ends.ws), "the peer has to wait")
    go_on.set()
    wait_for(lambda: heard == [MEBIBYTE] * MANY + [8], "all are heard")


def test_what_stands_behind_a_full_inbox_waits_its_turn(open_ends: Open) -> None:
    ends = open_ends()
    messages = [bytes(MEBIBYTE)] * 3
    ping, close = ends.frame(wire.PING, b"?"), ends.frame(wire.CLOSE, wire.close_payload(4000))
    ends.peer.sendall(ends.deflated(*messages) + ping + ends.deflated("the last") + close)
    wait_for(lambda: is_stalled(ends.ws), "the peer has to wait")
    for message in messages:
        assert ends.ws.receive(DEADLINE) == message
    # The ping is answered as soon as it is come to, though nobody receives any more.
    assert ends.read_frame() == (wire.PONG, b"?")
    assert ends.ws.receive(DEADLINE) == "the last"
    with pytest.raises(ConnectionClosed) as caught:
        ends.ws.receive(DEADLINE)
    assert caught.value.code == 4000
    assert ends.read_frame() == (wire.CLOSE, wire.close_payload(4000))


def test_messages_before_a_violation_can_be_answered_however_long_they_are(
    open_ends: Open,
) -> None:
    ends = open_ends()
    ends.ws.on("message", lambda event: ends.ws.send(str(len(event.data))))
    ends.peer.sendall(ends.deflated(*[bytes(MEBIBYTE)] * 5) + ends.frame(0x83))
    assert [ends.read_frame() for _ in range(5)] == [(wire.WHOLE_TEXT, b"1048576")] * 5
    first, payload = ends.read_frame()
    assert (first, payload[:2]) == (wire.CLOSE, wire.close_payload(1002))


def test_a_peer_that_is_gone_is_noticed_behind_a_full_inbox(open_ends: Open) -> None:
    ends = open_ends(ping=0.1, ping_timeout=0.1)
    ends.peer.sendall(ends.deflated(*[bytes(MEBIBYTE)] * MANY))
    wait_for(lambda: is_stalled(ends.ws), "the peer has to wait")
    ends.peer.close()
    assert ends.ws.wait_closed(DEADLINE).code == 1006
    assert ends.ws.receive() == bytes(MEBIBYTE)


def test_who_receives_what_a_peer_has_left_gets_all_of_it(open_ends: Open) -> None:
    ends = open_ends(ping=0.1, ping_timeout=0.1)
    ends.peer.sendall(ends.deflated(*[bytes(MEBIBYTE)] * MANY))
    assert ends.ws.receive(DEADLINE) == bytes(MEBIBYTE)
    ends.peer.close()
    wait_for(lambda: endpoint_of(ends.ws).phase is Phase.ENDING, "the end of the bytes has come")
    for _ in range(MANY - 1):
        assert ends.ws.receive(DEADLINE) == bytes(MEBIBYTE)
    with pytest.raises(ConnectionClosed) as caught:
        ends.ws.receive(DEADLINE)
    assert caught.value.code == 1006


# After our close

NUMBERS = 60_000


def _numbers(ends: Ends) -> list[bytes]:
    """Return numbered messages, and the answer to our close, as a peer sends them."""
    frames = [ends.frame(wire.WHOLE_TEXT, b"%8d" % number) for number in range(NUMBERS)]
    close = ends.frame(wire.CLOSE, wire.close_payload(1000))
    return [b"".join(frames[at : at + 1000]) for at in range(0, NUMBERS, 1000)] + [close]


def _receive_all(ws: Connection) -> tuple[list[str | bytes], int]:
    """Return what can still be received, and the code of the end."""
    received: list[str | bytes] = []
    try:
        while True:
            received.append(ws.receive(DEADLINE))
    except ConnectionClosed as error:
        return received, error.code


def _assert_no_hole(received: list[str | bytes]) -> None:
    assert received == [f"{number:8}" for number in range(len(received))]


def test_after_our_close_a_reader_gets_all_that_comes_before_the_peers(open_ends: Open) -> None:
    ends = open_ends()
    sending = ends.send_more(*_numbers(ends))
    received = [ends.ws.receive(DEADLINE)]
    wait_for(lambda: is_stalled(ends.ws), "the peer has to wait")
    ends.ws.close()
    for message in ends.ws:
        received.append(message)
        if len(received) % 10 == 0:
            gevent.sleep(0)
    _assert_no_hole(received)
    assert len(received) == NUMBERS
    sending.get(timeout=DEADLINE)


def test_after_our_close_the_peers_is_found_behind_what_nobody_receives(open_ends: Open) -> None:
    ends = open_ends()
    sending = ends.send_more(*_numbers(ends))
    wait_for(lambda: is_stalled(ends.ws), "the peer has to wait")
    ends.ws.close()
    assert ends.ws.wait_closed(DEADLINE).was_clean
    sending.get(timeout=DEADLINE)
    received = list(ends.ws)
    _assert_no_hole(received)
    assert 5000 < len(received) < NUMBERS


def test_a_reader_who_comes_and_goes_after_our_close_gets_no_holes(open_ends: Open) -> None:
    ends = open_ends()
    pieces = _numbers(ends)
    ends.send_more(*pieces)
    wait_for(lambda: is_stalled(ends.ws), "the peer has to wait")
    received: list[str | bytes] = []

    def receive_some() -> None:
        received.extend(ends.ws.receive(DEADLINE) for _ in range(5000))

    gevent.spawn(receive_some).get(timeout=DEADLINE)
    ends.ws.close()
    gevent.spawn(receive_some).get(timeout=DEADLINE)
    assert ends.ws.wait_closed(DEADLINE).was_clean
    received += ends.ws
    _assert_no_hole(received)


def test_a_reader_who_is_too_slow_for_our_close_gets_no_holes_and_no_clean_end(
    open_ends: Open,
) -> None:
    ends = open_ends(close_timeout=1)
    ends.send_more(*_numbers(ends))
    received = [ends.ws.receive(DEADLINE)]
    wait_for(lambda: is_stalled(ends.ws), "the peer has to wait")
    ends.ws.close()
    wait_for(lambda: ends.ws.ready_state == Connection.CLOSED, "the time is up")
    rest, code = _receive_all(ends.ws)
    received += rest
    assert code == 1006
    _assert_no_hole(received)
    assert 5000 < len(received) < NUMBERS


def test_a_peer_that_leaves_messages_which_nobody_receives_is_noticed(
    open_ends: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watches, "LOOK", 0.1)
    ends = open_ends()
    numbers = [str(number) for number in range(100_000)]
    sender = ends.send_more(*[ends.frame(serving.TEXT, number.encode()) for number in numbers])
    wait_for(lambda: is_stalled(ends.ws), "the peer has to wait")
    sender.kill()
    ends.peer.close()
    wait_for(lambda: endpoint_of(ends.ws).transport is None, "the descriptor is free")
    assert ends.ws.wait_closed(DEADLINE).code == 1006
    received = []
    with contextlib.suppress(ConnectionClosed):
        for message in ends.ws:
            received.append(message)
    assert received == numbers[: len(received)]


def test_a_peer_that_leaves_while_we_pause_is_heard_to_its_end(
    open_ends: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watches, "LOOK", 0.1)
    ends = open_ends()
    heard: list[str] = []
    ends.ws.on("message", lambda event: heard.append(event.data))
    ends.ws.pause()
    for number in range(10):
        ends.peer.sendall(ends.frame(serving.TEXT, str(number).encode()))
    ends.peer.close()
    with pytest.raises(TimeoutError):
        ends.ws.wait_closed(1.5)
    ends.ws.resume()
    assert ends.ws.wait_closed(DEADLINE).code == 1006
    assert heard == [str(number) for number in range(10)]


def test_what_another_thread_has_taken_makes_room() -> None:
    parts = Parts(Here())
    try:
        assert not parts.inbox.wants_none()
        parts.inbox.pause(True)
        assert parts.inbox.wants_none()
    finally:
        parts.close()
