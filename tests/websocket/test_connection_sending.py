"""What a connection sends: messages and pings, at once or when the peer can follow."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import gevent
import pytest
from gevent import GreenletExit
from gevent.event import Event

from faye_ws import ReadyState, WebSocket
from support import serving
from support.parts import endpoint_of, inbox_of
from support.serving import (
    BINARY,
    CLOSE,
    DEADLINE,
    PING,
    PONG,
    TEXT,
    Serving,
    frame,
    text,
    wait_for,
)

connect = serving.connect

# More than the kernel takes on its own.
FLOOD = 2**21


@pytest.mark.parametrize(
    ("message", "sent"),
    [
        ("Grüße", (TEXT, "Grüße".encode())),
        ("", (TEXT, b"")),
        (b"\x00\xff", (BINARY, b"\x00\xff")),
        (b"", (BINARY, b"")),
        (bytearray(b"array"), (BINARY, b"array")),
        (memoryview(b"a view"), (BINARY, b"a view")),
        (memoryview(b"every other")[::2], (BINARY, b"eeyohr")),
    ],
)
@pytest.mark.parametrize("verb", [WebSocket.send, WebSocket.write])
def test_text_is_sent_as_text_and_bytes_as_binary(
    connect: Serving, verb: Callable[[WebSocket, Any], bool], message: Any, sent: object
) -> None:
    ws, peer = connect()
    assert verb(ws, message) is True
    assert peer.read_frame() == sent


@pytest.mark.parametrize("message", [None, 1, 1.5, ["text"], object(), {"a": 1}])
@pytest.mark.parametrize("state", list(ReadyState))
def test_sending_anything_else_is_a_type_error_in_every_state(
    connect: Serving, state: ReadyState, message: Any
) -> None:
    def check(ws: WebSocket) -> None:
        assert ws.ready_state is state
        with pytest.raises(TypeError, match="a message must be str or bytes"):
            ws.send(message)

    ws, peer = connect(check if state is ReadyState.CONNECTING else None)
    if state is ReadyState.OPEN:
        check(ws)
    if state > ReadyState.OPEN:
        ws.close()
    if state is ReadyState.CLOSED:
        peer.send(serving.close())
        ws.wait_closed(DEADLINE)
    if state > ReadyState.OPEN:
        check(ws)
    else:
        ws.send("nothing else was sent")
        assert peer.read_text() == "nothing else was sent"


def test_text_with_a_lone_surrogate_is_a_value_error(connect: Serving) -> None:
    ws, peer = connect()
    with pytest.raises(ValueError, match="surrogates"):
        ws.send("\ud800")
    ws.send("nothing else was sent")
    assert peer.read_text() == "nothing else was sent"


def test_a_buffer_may_change_after_it_was_sent(connect: Serving) -> None:
    ws, peer = connect()
    buffer = bytearray(FLOOD)
    sender = gevent.spawn(ws.send, buffer)
    wait_for(lambda: ws.buffered_amount, "the kernel takes no more")
    buffer[:] = b"\xff" * FLOOD
    assert peer.read_frame() == (BINARY, bytes(FLOOD))
    sender.join()


def test_what_is_asked_for_before_the_connection_opens_waits_for_that_in_order(
    connect: Serving,
) -> None:
    def accept(ws: WebSocket) -> None:
        assert ws.send("first")
        assert ws.ping("second")
        buffer = bytearray(b"third")
        assert ws.send(buffer)
        buffer[:] = b"wrong"
        ws.on("open", lambda event: ws.send("fourth"))

    _, peer = connect(accept)
    assert peer.read_frames(4) == [
        (TEXT, b"first"),
        (PING, b"second"),
        (BINARY, b"third"),
        (TEXT, b"fourth"),
    ]


def test_more_than_the_peer_can_take_may_be_sent_before_the_connection_opens(
    connect: Serving,
) -> None:
    def accept(ws: WebSocket) -> None:
        ws.send(bytes(FLOOD))
        ws.send("second")
        ws.on("open", lambda event: ws.send("third"))

    _, peer = connect(accept, max_backlog=1000)
    assert peer.read_frames(3) == [(BINARY, bytes(FLOOD)), (TEXT, b"second"), (TEXT, b"third")]


def test_nothing_is_sent_once_the_connection_is_closing(connect: Serving) -> None:
    ws, peer = connect()
    ws.close(4000)
    assert ws.send("no") is False
    assert ws.write(b"no") is False
    assert ws.ping() is False
    peer.send(serving.close(4000))
    ws.wait_closed(DEADLINE)
    assert ws.send("no") is False
    assert ws.ping() is False
    assert peer.read_frame()[0] == CLOSE
    assert peer.read_to_end() == b""


def test_send_waits_for_a_peer_that_does_not_read_and_goes_on_when_it_does(
    connect: Serving,
) -> None:
    ws, peer = connect(max_backlog=2**16)
    message = bytes(2**16)
    sent: list[int] = []

    def send() -> None:
        for number in range(100):
            assert ws.send(message)
            sent.append(number)

    sender = gevent.spawn(send)
    wait_for(lambda: endpoint_of(ws).is_congested, "the sender waits")
    count = len(sent)
    for _ in range(20):
        gevent.sleep(0)
    assert len(sent) == count < 100
    assert ws.buffered_amount <= 2 * 2**16 + 100
    assert peer.read_frames(100) == [(BINARY, message)] * 100
    sender.get(timeout=DEADLINE)
    assert ws.buffered_amount == 0


@pytest.mark.parametrize("interruption", ["kill", "timeout"])
def test_a_sender_that_is_interrupted_in_its_wait_has_sent_its_message(
    connect: Serving, interruption: str
) -> None:
    ws, peer = connect(max_backlog=1000)
    ended: list[BaseException] = []

    def send() -> None:
        try:
            if interruption == "timeout":
                with gevent.Timeout(0.05):
                    ws.send(bytes(FLOOD))
            else:
                ws.send(bytes(FLOOD))
        except (GreenletExit, gevent.Timeout) as error:
            ended.append(error)

    sender = gevent.spawn(send)
    wait_for(lambda: endpoint_of(ws).is_congested, "the sender waits")
    if interruption == "kill":
        sender.kill(timeout=DEADLINE)
    wait_for(lambda: ended, "the sender is interrupted")
    last = gevent.spawn(ws.send, "and this")
    assert peer.read_frames(2) == [(BINARY, bytes(FLOOD)), (TEXT, b"and this")]
    last.get(timeout=DEADLINE)
    peer.send(text("fine"))
    assert ws.receive(DEADLINE) == "fine"


@pytest.mark.parametrize("end", ["reset", "hang_up", "close"])
def test_a_sender_that_waits_goes_on_when_the_connection_ends(connect: Serving, end: str) -> None:
    ws, peer = connect(max_backlog=1000, close_timeout=0.2)
    sender = gevent.spawn(ws.send, bytes(FLOOD))
    wait_for(lambda: endpoint_of(ws).is_congested, "the sender waits")
    if end == "close":
        ws.close()
    else:
        getattr(peer, end)()
    sender.get(timeout=DEADLINE)
    assert ws.wait_closed(DEADLINE).code == 1006


def test_a_sender_that_never_pauses_hears_that_the_peer_has_gone(connect: Serving) -> None:
    ws, peer = connect()
    peer.reset()
    count = 0
    while ws.send("anybody?"):
        count += 1
        assert count < 10**5, "send() says yes for ever, and the hub never runs"
    assert ws.wait_closed(DEADLINE).code == 1006


def test_a_peer_that_does_not_read_holds_up_no_other(connect: Serving) -> None:
    slow, lazy = connect(max_backlog=1000)
    sender = gevent.spawn(slow.send, bytes(FLOOD))
    wait_for(lambda: endpoint_of(slow).is_congested, "the sender waits")
    _, other = connect(lambda ws: ws.on("message", lambda event: ws.send(event.data)))
    assert other.echoes("hello")
    lazy.hang_up()
    sender.get(timeout=DEADLINE)


def test_a_peer_that_sends_all_before_it_reads_is_heard_while_we_send_to_it(
    connect: Serving,
) -> None:
    # Both ends would wait for each other for ever if we stopped reading to make it read.
    ws, peer = connect(max_backlog=2**16)
    message = bytes(FLOOD)
    sender = gevent.spawn(ws.send, message)
    wait_for(lambda: endpoint_of(ws).is_congested, "we wait for the peer")
    received: list[str | bytes] = []
    receiver = gevent.spawn(lambda: received.extend(ws.receive(DEADLINE) for _ in range(8)))
    for _ in range(8):
        peer.send(frame(BINARY, message))
    assert peer.read_frame() == (BINARY, message)
    both: list[Any] = [sender, receiver]
    gevent.joinall(both, timeout=DEADLINE, raise_error=True)
    assert received == [message] * 8


def test_frames_of_many_senders_do_not_mix(connect: Serving) -> None:
    ws, peer = connect(max_backlog=2**16)
    sizes = (0, 1, 125, 126, 2**16, 3 * 2**16)

    def send(number: int) -> None:
        for size in sizes:
            ws.send(bytes((number,)) * size)

    senders = [gevent.spawn(send, number) for number in range(30)]
    wait_for(lambda: endpoint_of(ws).is_congested, "the senders wait")
    frames = peer.read_frames(30 * len(sizes))
    for number in range(30):
        own = [payload for _, payload in frames if payload[:1] == bytes((number,))]
        assert own == [bytes((number,)) * size for size in sizes if size]
    gevent.joinall(senders, timeout=DEADLINE, raise_error=True)


def test_the_backlog_is_told_and_its_end_is_an_event(connect: Serving) -> None:
    drained: list[int] = []
    ws, peer = connect(
        lambda ws: ws.on("drain", lambda event: drained.append(ws.buffered_amount)),
        max_backlog=2**16,
    )
    assert ws.buffered_amount == 0
    sender = gevent.spawn(ws.send, bytes(FLOOD))
    wait_for(lambda: ws.buffered_amount > 2**16, "the kernel takes no more")
    assert not drained
    peer.read_frame()
    wait_for(lambda: drained, "the event has come")
    assert drained == [0]
    sender.get(timeout=DEADLINE)


class CountingSocket:
    """A socket that counts how often something is sent."""

    def __init__(self, socket: Any) -> None:
        self._socket = socket
        self.sends = 0

    def send(self, data: bytes) -> int:
        """Send and count."""
        self.sends += 1
        sent: int = self._socket.send(data)
        return sent

    def __getattr__(self, name: str) -> Any:
        return getattr(self._socket, name)


def test_the_replies_to_messages_that_came_together_go_out_together(connect: Serving) -> None:
    ws, peer = connect(lambda ws: ws.on("message", lambda event: ws.send(event.data)))
    assert peer.echoes("open")
    assert endpoint_of(ws).transport is not None
    counting = endpoint_of(ws).transport.socket = CountingSocket(endpoint_of(ws).transport.socket)
    peer.send(b"".join(text(str(number)) for number in range(100)))
    assert [peer.read_text() for _ in range(100)] == [str(number) for number in range(100)]
    assert counting.sends == 1


def test_the_replies_held_together_go_out_when_the_listener_blocks(connect: Serving) -> None:
    go_on = Event()

    def accept(ws: WebSocket) -> None:
        @ws.on("message")
        def message(event: object) -> None:
            ws.send("wait a moment")
            go_on.wait()
            ws.send("done")

    _, peer = connect(accept)
    peer.send(text("go"))
    assert peer.read_text() == "wait a moment"
    go_on.set()
    assert peer.read_text() == "done"


def test_the_pong_to_a_ping_calls_back(connect: Serving) -> None:
    ws, peer = connect()
    ponged = Event()
    assert ws.ping("¿qué?", ponged.set) is True
    assert peer.read_frame() == (PING, "¿qué?".encode())
    peer.send(frame(PONG, b"nobody asked"))
    peer.send(text("after the pong"))
    assert ws.receive(DEADLINE) == "after the pong"
    assert not ponged.is_set()
    peer.send(frame(PONG, "¿qué?".encode()))
    assert ponged.wait(DEADLINE)


def test_the_pong_to_a_later_ping_answers_the_ones_before_it(connect: Serving) -> None:
    ws, peer = connect()
    ponged: list[str] = []
    for name in ("a", "b", "c"):
        ws.ping(name, partial(ponged.append, name))
    peer.send(frame(PONG, b"b"))
    wait_for(lambda: len(ponged) == 2, "two are called")
    peer.send(frame(PONG, b"a") + frame(PONG, b"c"))
    wait_for(lambda: len(ponged) == 3, "all are called")
    assert ponged == ["a", "b", "c"]


def test_a_callback_for_a_pong_may_block_and_receive(connect: Serving) -> None:
    ws, peer = connect()
    received: list[str | bytes] = []
    ws.ping("x", lambda: received.append(ws.receive(DEADLINE)))
    peer.send(frame(PONG, b"x"))
    peer.send(text("after the pong"))
    wait_for(lambda: received == ["after the pong"], "the callback has the message")


def test_a_ping_takes_125_bytes_of_text_or_bytes(connect: Serving) -> None:
    ws, peer = connect()
    for message in ("x" * 126, "é" * 63, bytes(126)):
        with pytest.raises(ValueError, match="125 bytes"):
            ws.ping(message)
    assert ws.ping("é" * 62)
    assert ws.ping(bytearray(125))
    assert peer.read_frames(2) == [(PING, "é".encode() * 62), (PING, bytes(125))]


@pytest.mark.parametrize("message", [5, None, [1, 2], 10**12])
def test_a_ping_of_anything_else_is_a_type_error(connect: Serving, message: Any) -> None:
    ws, _ = connect()
    with pytest.raises(TypeError):
        ws.ping(message)


def test_callbacks_for_pongs_that_never_come_are_bounded(connect: Serving) -> None:
    ws, peer = connect()
    reader = gevent.spawn(peer.read_frames, 2000)
    for number in range(2000):
        ws.ping(str(number), lambda: None)
        gevent.sleep(0)
    reader.get(timeout=DEADLINE)
    assert len(inbox_of(ws).pongs or ()) < 1000
