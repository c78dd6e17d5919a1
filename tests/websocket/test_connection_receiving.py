"""How messages come to the application that waits for them, and how they wait for it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import gevent
import pytest
from gevent import Greenlet, GreenletExit
from gevent.event import Event

from faye_ws import ConnectionClosed, MessageEvent, WebSocket
from support import serving
from support.parts import inbox_of, is_stalled
from support.serving import BINARY, DEADLINE, PING, PONG, Peer, Serving, frame, text, wait_for

connect = serving.connect


def test_text_is_received_as_str_and_binary_as_bytes_in_order(connect: Serving) -> None:
    ws, peer = connect()
    peer.send(text("Grüße") + text("") + frame(BINARY, b"\x00\xff") + frame(BINARY))
    received = [ws.receive(DEADLINE) for _ in range(4)]
    assert received == ["Grüße", "", b"\x00\xff", b""]
    assert [type(message) for message in received] == [str, str, bytes, bytes]


def test_a_message_behind_the_handshake_is_a_message(connect: Serving) -> None:
    ws, peer = connect(early=text("early") + text("bird"))
    assert ws.receive(DEADLINE) == "early"
    assert ws.receive(DEADLINE) == "bird"
    peer.send(text("more"))
    assert ws.receive(DEADLINE) == "more"


def test_receive_opens_the_connection(connect: Serving) -> None:
    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        ws = WebSocket(environ)
        for message in ws:
            ws.send(message)
        return ws(environ, start_response)

    peer = connect.dial()
    peer.open(serving.handshake(connect.expect(app=app)))
    assert peer.echoes("hello")
    peer.send(serving.close())
    assert peer.read_close() == (1000, "")
    assert peer.read_to_end() == b""


def test_a_receive_that_times_out_loses_nothing(connect: Serving) -> None:
    ws, peer = connect()
    for timeout in (0.02, 0, -1):
        with pytest.raises(TimeoutError):
            ws.receive(timeout)
    first, second = text("in two")[:4], text("in two")[4:]
    peer.send(first)
    with pytest.raises(TimeoutError):
        ws.receive(0.02)
    peer.send(second)
    assert ws.receive(DEADLINE) == "in two"


@pytest.mark.parametrize("timeout", [None, 1e300, float("inf")])
def test_a_receive_may_wait_for_ever(connect: Serving, timeout: float | None) -> None:
    ws, peer = connect()
    receiver = gevent.spawn(ws.receive, timeout)
    wait_for(lambda: inbox_of(ws).readers.waiting, "it waits")
    peer.send(text("at last"))
    assert receiver.get(timeout=DEADLINE) == "at last"


def _kill(greenlet: Greenlet[..., Any]) -> None:
    greenlet.kill(block=False)


def _time_out(greenlet: Greenlet[..., Any]) -> None:
    greenlet.kill(gevent.Timeout(), block=False)


@pytest.mark.parametrize("interrupt", [_kill, _time_out])
@pytest.mark.parametrize("order", ["before", "after"])
def test_a_receive_that_is_interrupted_loses_nothing(
    connect: Serving, interrupt: Callable[[Greenlet[..., Any]], None], order: str
) -> None:
    ws, peer = connect()
    for number in range(50):
        message = str(number)
        received: list[str | bytes] = []

        def receive(received: list[str | bytes] = received) -> None:
            with contextlib.suppress(GreenletExit, gevent.Timeout):
                received.append(ws.receive())

        receiver = gevent.spawn(receive)
        gevent.sleep(0)
        if order == "before":
            interrupt(receiver)
        peer.send(text(message))
        for _ in range(number % 5):
            gevent.sleep(0)
        if order == "after":
            interrupt(receiver)
        receiver.join()
        if not received:
            received.append(ws.receive(DEADLINE))
        assert received == [message]


def test_each_of_several_receivers_gets_a_message(connect: Serving) -> None:
    ws, peer = connect()
    receivers = [gevent.spawn(ws.receive) for _ in range(3)]
    wait_for(
        lambda: inbox_of(ws).readers.waiting and len(inbox_of(ws).readers.waiting) == 3, "they wait"
    )
    peer.send(text("a") + text("b"))
    peer.send(text("c"))
    received = [receiver.get(timeout=DEADLINE) for receiver in receivers]
    assert sorted(received) == ["a", "b", "c"]


@pytest.mark.parametrize("end", [serving.close(1000), serving.close(1001), frame(serving.CLOSE)])
def test_iteration_ends_with_a_clean_close(connect: Serving, end: bytes) -> None:
    ws, peer = connect()
    peer.send(text("a") + text("b") + end)
    assert list(ws) == ["a", "b"]
    assert list(ws) == []


@pytest.mark.parametrize(
    ("end", "code", "reason", "was_clean"),
    [
        (serving.close(4000, "enough"), 4000, "enough", True),
        (serving.close(1011), 1011, "", True),
        (frame(0x83), 1002, "unknown opcode 0x3", False),
        (b"", 1006, "", False),
    ],
    ids=["4000", "1011", "violation", "gone"],
)
def test_iteration_raises_what_else_closed_the_connection(
    connect: Serving, end: bytes, code: int, reason: str, was_clean: bool
) -> None:
    ws, peer = connect()
    peer.send(text("a") + end)
    if not end:
        peer.hang_up()
    messages = iter(ws)
    assert next(messages) == "a"
    with pytest.raises(ConnectionClosed) as caught:
        next(messages)
    error = caught.value
    assert (error.code, error.reason, error.was_clean) == (code, reason, was_clean)
    assert str(code) in str(error)
    assert reason in str(error)


def test_receive_raises_for_ever_once_the_connection_is_closed(connect: Serving) -> None:
    ws, peer = connect()
    receiver = gevent.spawn(_closing_code, ws)
    wait_for(lambda: inbox_of(ws).readers.waiting, "it waits")
    peer.send(serving.close(4000))
    assert receiver.get(timeout=DEADLINE) == 4000
    assert [_closing_code(ws) for _ in range(2)] == [4000, 4000]


def _closing_code(ws: WebSocket) -> int:
    with pytest.raises(ConnectionClosed) as caught:
        ws.receive()
    return caught.value.code


def test_messages_that_came_before_the_end_are_received_after_it(connect: Serving) -> None:
    ws, peer = connect()
    peer.send(text("a") + text("b"))
    wait_for(lambda: inbox_of(ws).messages, "they have come")
    peer.reset()
    wait_for(lambda: ws.ready_state == WebSocket.CLOSED, "the connection is closed")
    assert [ws.receive(), ws.receive()] == ["a", "b"]
    assert _closing_code(ws) == 1006


def test_our_own_close_lets_receive_get_what_was_on_its_way(connect: Serving) -> None:
    ws, peer = connect()
    ws.close()
    peer.send(text("crossing") + serving.close())
    assert ws.receive(DEADLINE) == "crossing"
    assert list(ws) == []


def test_wait_closed_waits_for_the_close_event(connect: Serving) -> None:
    ws, peer = connect()
    waiters = [gevent.spawn(ws.wait_closed) for _ in range(3)]
    with pytest.raises(TimeoutError):
        ws.wait_closed(0.02)
    peer.send(serving.close(4000, "enough"))
    for waiter in waiters:
        event = waiter.get(timeout=DEADLINE)
        assert (event.code, event.reason, event.target) == (4000, "enough", ws)
    assert ws.wait_closed(0).code == 4000


def test_wait_closed_lets_listeners_have_the_messages(connect: Serving) -> None:
    def accept(ws: WebSocket) -> None:
        ws.on("message", lambda event: ws.send(event.data))
        ws.on("open", lambda event: None)

    ws, peer = connect(accept)
    waiter = gevent.spawn(ws.wait_closed)
    assert peer.echoes("hello")
    peer.send(serving.close())
    assert waiter.get(timeout=DEADLINE).code == 1000


def test_wait_closed_in_an_open_listener_ends_with_the_connection(connect: Serving) -> None:
    heard: list[object] = []

    def accept(ws: WebSocket) -> None:
        ws.on("open", lambda event: heard.append(ws.wait_closed().code))
        ws.on("close", lambda event: heard.append(event.type))

    _, peer = connect(accept)
    peer.reset()
    wait_for(lambda: heard == [1006, "close"], "both listeners have heard it")


def test_receive_in_a_listener_takes_the_next_message(connect: Serving) -> None:
    def accept(ws: WebSocket) -> None:
        @ws.on("message")
        def message(event: MessageEvent) -> None:
            ws.send(f"{event.data} and {ws.receive(DEADLINE)}")

    _, peer = connect(accept)
    peer.send(text("a") + text("b") + text("c"))
    assert peer.read_text() == "a and b"
    gevent.sleep(0)
    peer.send(text("d"))
    assert peer.read_text() == "c and d"


def test_a_receive_that_waits_goes_before_the_listeners(connect: Serving) -> None:
    heard: list[str] = []
    ws, peer = connect(lambda ws: ws.on("message", lambda event: heard.append(event.data)))
    receiver = gevent.spawn(ws.receive)
    wait_for(lambda: inbox_of(ws).readers.waiting, "it waits")
    peer.send(text("for the receiver") + text("for the listener"))
    assert receiver.get(timeout=DEADLINE) == "for the receiver"
    wait_for(lambda: heard, "the listener has heard the other")
    assert heard == ["for the listener"]


def test_a_listener_that_comes_late_hears_what_has_waited(connect: Serving) -> None:
    ws, peer = connect()
    peer.send(text("a") + text("b"))
    wait_for(lambda: inbox_of(ws).messages, "they have come")
    heard: list[str] = []
    ws.on("message", lambda event: heard.append(event.data))
    wait_for(lambda: heard == ["a", "b"], "it has heard both")
    peer.send(text("c"))
    wait_for(lambda: heard == ["a", "b", "c"], "it has heard all")


def test_messages_wait_again_when_the_listener_is_off(connect: Serving) -> None:
    heard: list[str] = []
    ws, peer = connect(lambda ws: ws.once("message", lambda event: heard.append(event.data)))
    peer.send(text("a") + text("b"))
    wait_for(lambda: heard, "the listener has heard one")
    assert ws.receive(DEADLINE) == "b"
    assert heard == ["a"]


class Flood:
    """A peer that sends as much as it can."""

    def __init__(self, peer: Peer, count: int, size: int = 2**14) -> None:
        self._peer = peer
        self._frame = frame(BINARY, bytes(size))
        self.sent = 0
        self._sender = gevent.spawn(self._send, count)

    def _send(self, count: int) -> None:
        with contextlib.suppress(OSError):
            for _ in range(count):
                self._peer.send(self._frame)
                self.sent += len(self._frame)

    def wait_until_it_stalls(self) -> None:
        """Wait until nothing is taken any more."""
        sent = -1
        while sent != self.sent:
            sent = self.sent
            gevent.sleep(0.1)
        assert not self._sender.ready()

    def wait_until_it_ends(self) -> None:
        """Wait until all is sent."""
        self._sender.get(timeout=DEADLINE)


def _do_nothing(ws: WebSocket) -> None:
    pass


def _pause(ws: WebSocket) -> None:
    ws.pause()


@pytest.mark.parametrize("accept", [_do_nothing, _pause])
def test_a_peer_has_to_wait_for_an_application_that_does_not_read(
    connect: Serving, accept: Callable[[WebSocket], None]
) -> None:
    count, size = 1024, 2**14
    ws, peer = connect(accept)
    flood = Flood(peer, count, size)
    flood.wait_until_it_stalls()
    assert flood.sent < 2**22
    ws.resume()
    for _ in range(count):
        assert ws.receive(DEADLINE) == bytes(size)
    flood.wait_until_it_ends()
    ws.send("fine")
    assert peer.read_text() == "fine"


@pytest.mark.parametrize("message", [text(""), frame(PING, b"x"), frame(PONG)])
def test_a_flood_of_the_smallest_frames_is_bounded_too(connect: Serving, message: bytes) -> None:
    ws, peer = connect()
    sent = [0]

    def flood() -> None:
        while sent[0] < 2**18:
            peer.send(message * 1000)
            sent[0] += 1000
            gevent.sleep(0)

    flooding = gevent.spawn(flood)
    wait_for(lambda: is_stalled(ws) or flooding.ready(), "the peer has to wait, or is heard")
    assert len(inbox_of(ws).messages or ()) < 2**15
    assert ws.buffered_amount < 2**21
    flooding.kill()
    peer.hang_up()
    with contextlib.suppress(ConnectionClosed):
        while True:
            ws.receive(DEADLINE)


@pytest.mark.parametrize("leave", [Peer.reset, Peer.hang_up])
def test_a_peer_that_leaves_while_it_has_to_wait_is_noticed_by_the_pings(
    connect: Serving, leave: Callable[[Peer], None]
) -> None:
    ws, peer = connect(ping=0.1, ping_timeout=0.1)
    Flood(peer, 1024).wait_until_it_stalls()
    leave(peer)
    assert ws.wait_closed(DEADLINE).code == 1006


def test_a_peer_has_to_wait_for_a_listener_that_blocks(connect: Serving) -> None:
    go_on = Event()
    heard: list[int] = []

    def accept(ws: WebSocket) -> None:
        @ws.on("message")
        def message(event: MessageEvent) -> None:
            go_on.wait()
            heard.append(len(event.data))

    _, peer = connect(accept)
    flood = Flood(peer, 512)
    flood.wait_until_it_stalls()
    assert flood.sent < 2**22
    go_on.set()
    wait_for(lambda: len(heard) == 512, "all are heard")
    flood.wait_until_it_ends()


def test_pings_are_answered_while_a_listener_blocks(connect: Serving) -> None:
    go_on = Event()
    ws, peer = connect(lambda ws: ws.on("message", lambda event: go_on.wait()))
    peer.send(text("block"))
    wait_for(
        lambda: inbox_of(ws).listening.worker and not inbox_of(ws).messages, "the listener blocks"
    )
    peer.send(frame(PING, b"still there?"))
    assert peer.read_frame() == (PONG, b"still there?")
    go_on.set()


def test_pings_are_answered_while_nobody_receives(connect: Serving) -> None:
    _, peer = connect()
    peer.send(text("unheard") + frame(PING, b"still there?"))
    assert peer.read_frame() == (PONG, b"still there?")
