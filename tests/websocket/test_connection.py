"""The life of a connection, and its end from either side."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Callable

import gevent
import pytest
from gevent import Greenlet
from gevent.event import Event

from faye_ws import (
    CloseEvent,
    Connection,
    ConnectionClosed,
    ErrorEvent,
    MessageEvent,
    ProtocolError,
    ReadyState,
    WebSocket,
)
from faye_ws.websocket.endpoint import Endpoint
from faye_ws.websocket.phase import LIMITS, Phase
from support import serving
from support.parts import inbox_of, is_stalled
from support.serving import (
    DEADLINE,
    PING,
    TEXT,
    Peer,
    Serving,
    count_objects,
    frame,
    text,
    wait_for,
)

connect = serving.connect


def test_the_states_have_their_names_and_numbers_on_the_class() -> None:
    states = (Connection.CONNECTING, Connection.OPEN, Connection.CLOSING, Connection.CLOSED)
    assert states == (0, 1, 2, 3)


def test_a_connection_goes_through_the_four_states(connect: Serving) -> None:
    before_open: list[ReadyState] = []
    ws, peer = connect(lambda ws: before_open.append(ws.ready_state))
    assert before_open == [ReadyState.CONNECTING]
    assert ws.ready_state is ReadyState.OPEN
    ws.close()
    assert ws.ready_state is ReadyState.CLOSING
    peer.send(serving.close())
    ws.wait_closed(DEADLINE)
    assert ws.ready_state is ReadyState.CLOSED


@pytest.mark.parametrize("code", [*range(1000, 1004), *range(1007, 1015), 3000, 3999, 4000, 4999])
def test_the_code_and_reason_of_close_go_to_the_peer(connect: Serving, code: int) -> None:
    ws, peer = connect()
    ws.close(code, "Auf Wiedersehen, Jürgen")
    assert peer.read_close() == (code, "Auf Wiedersehen, Jürgen")


def test_close_says_1000_and_no_reason_by_itself(connect: Serving) -> None:
    ws, peer = connect()
    ws.close()
    assert peer.read_close() == (1000, "")


@pytest.mark.parametrize("code", [-1, 0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 2**16])
def test_close_refuses_a_code_that_is_not_to_be_sent(connect: Serving, code: int) -> None:
    ws, peer = connect()
    with pytest.raises(ValueError, match="closes with"):
        ws.close(code)
    assert ws.send("still open")
    assert peer.read_text() == "still open"


@pytest.mark.parametrize("code", ["1000", None, 1000.0, True])
def test_close_refuses_a_code_that_is_no_integer(connect: Serving, code: object) -> None:
    ws, _ = connect()
    with pytest.raises(TypeError, match="close code"):
        ws.close(code)  # type: ignore[arg-type]
    assert ws.ready_state is ReadyState.OPEN


def test_close_refuses_a_reason_that_is_no_text_or_too_long(connect: Serving) -> None:
    ws, peer = connect()
    with pytest.raises(TypeError, match="close reason"):
        ws.close(1000, b"reason")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="123 bytes"):
        ws.close(1000, "x" * 124)
    with pytest.raises(ValueError, match="123 bytes"):
        ws.close(1000, "é" * 62)
    ws.close(1000, "x" * 123)
    assert peer.read_close() == (1000, "x" * 123)


@pytest.mark.parametrize("state", ["connecting", "closing", "closed"])
def test_close_checks_its_arguments_in_every_state(connect: Serving, state: str) -> None:
    def check(ws: WebSocket) -> None:
        with pytest.raises(ValueError, match="closes with"):
            ws.close(1005)

    ws, peer = connect(check if state == "connecting" else None)
    if state != "connecting":
        ws.close()
        check(ws)
        peer.send(serving.close())
        ws.wait_closed(DEADLINE)
        check(ws)


def test_a_connection_closed_before_it_opens_opens_and_then_closes(connect: Serving) -> None:
    heard: list[str] = []

    def accept(ws: WebSocket) -> None:
        ws.on("open", lambda event: heard.append("open"))
        ws.on("close", lambda event: heard.append(f"close {event.code}"))
        ws.send("first")
        ws.close(4001, "not today")
        assert ws.ready_state is ReadyState.CLOSING
        assert not ws.send("too late")
        ws.close(4002)

    ws, peer = connect(accept)
    assert peer.read_text() == "first"
    assert peer.read_close() == (4001, "not today")
    peer.send(serving.close(4001))
    ws.wait_closed(DEADLINE)
    wait_for(lambda: heard == ["open", "close 4001"], "the listeners have heard both")


def test_closing_twice_sends_one_close(connect: Serving) -> None:
    ws, peer = connect()
    ws.close(4000)
    ws.close(4001)
    assert peer.read_close() == (4000, "")
    peer.send(serving.close(4000))
    assert ws.wait_closed(DEADLINE).code == 4000
    ws.close(4002)
    assert peer.read_to_end() == b""


@pytest.mark.parametrize(
    ("sent", "code", "reason", "answer"),
    [
        (serving.close(1000), 1000, "", 1000),
        (serving.close(1001, "tab closed"), 1001, "tab closed", 1001),
        (serving.close(4321, "für immer"), 4321, "für immer", 4321),
        (frame(serving.CLOSE), 1005, "", 1005),
    ],
    ids=["1000", "1001", "4321", "no code"],
)
def test_the_peers_close_is_answered_and_told(
    connect: Serving, sent: bytes, code: int, reason: str, answer: int
) -> None:
    told: list[CloseEvent] = []
    ws, peer = connect(lambda ws: ws.on("close", told.append))
    peer.send(sent)
    assert peer.read_close()[0] == answer
    assert peer.read_to_end() == b""
    event = ws.wait_closed(DEADLINE)
    wait_for(lambda: told, "the listener has heard it")
    for close in (event, told[0]):
        assert (close.code, close.reason, close.was_clean) == (code, reason, True)
        assert (close.type, close.target) == ("close", ws)


@pytest.mark.parametrize("leave", [Peer.hang_up, Peer.reset, Peer.finish])
def test_a_peer_that_leaves_without_a_close_is_1006(
    connect: Serving, leave: Callable[[Peer], None]
) -> None:
    ws, peer = connect()
    leave(peer)
    event = ws.wait_closed(DEADLINE)
    assert (event.code, event.reason, event.was_clean) == (1006, "", False)


@pytest.mark.parametrize(
    ("violation", "code"),
    [
        pytest.param(frame(TEXT, b"unmasked", key=b""), 1002, id="unmasked"),
        pytest.param(frame(0x83, b"opcode"), 1002, id="unknown opcode"),
        pytest.param(frame(0xC1, b"bit"), 1002, id="reserved bit"),
        pytest.param(frame(0x80, b"more"), 1002, id="continuation of nothing"),
        pytest.param(frame(0x09, b"ping"), 1002, id="fragmented ping"),
        pytest.param(frame(PING, bytes(126)), 1002, id="long ping"),
        pytest.param(frame(serving.CLOSE, b"\x03"), 1002, id="half a close code"),
        pytest.param(serving.close(1005), 1002, id="close code not to be sent"),
        pytest.param(frame(TEXT, b"\xff"), 1007, id="text that is not UTF-8"),
        pytest.param(frame(0x01, b"\xe4") + frame(0x80, b"\xe4"), 1007, id="fragments not UTF-8"),
        pytest.param(frame(serving.BINARY, bytes(1001)), 1009, id="long frame"),
        pytest.param(frame(0x02, bytes(600)) + frame(0x80, bytes(600)), 1009, id="long message"),
        pytest.param(b"GET / HTTP/1.1\r\n\r\n", 1002, id="HTTP"),
        pytest.param(b"\xff" * 100, 1002, id="ones"),
        pytest.param(bytes(100), 1002, id="zeros"),
    ],
)
def test_a_violation_is_an_error_and_a_close_with_its_code(
    connect: Serving, violation: bytes, code: int
) -> None:
    heard: list[ErrorEvent | CloseEvent] = []

    def accept(ws: WebSocket) -> None:
        ws.on("message", lambda event: ws.send(event.data))
        ws.on("error", heard.append)
        ws.on("close", heard.append)

    ws, peer = connect(accept, max_length=1000)
    peer.send(text("before") + violation)
    assert peer.read_text() == "before"
    assert peer.read_close()[0] == code
    wait_for(lambda: len(heard) == 2, "both events have come")
    error, close = heard
    assert isinstance(error, ErrorEvent)
    assert isinstance(error.error, ProtocolError)
    assert error.message
    assert isinstance(close, CloseEvent)
    assert (close.code, close.was_clean) == (code, False)
    assert ws.ready_state is ReadyState.CLOSED


def test_a_close_behind_messages_is_answered_after_them(connect: Serving) -> None:
    def accept(ws: WebSocket) -> None:
        @ws.on("message")
        def message(event: MessageEvent) -> None:
            gevent.sleep(0.01)
            ws.send(event.data)

    _, peer = connect(accept)
    peer.send(text("a") + text("b") + text("c") + serving.close(4000))
    assert [peer.read_text() for _ in range(3)] == ["a", "b", "c"]
    assert peer.read_close() == (4000, "")


@pytest.mark.parametrize("ask", [WebSocket.wait_closed, WebSocket.receive])
def test_a_close_is_answered_after_the_message_whoever_else_waits_for_it(
    connect: Serving, ask: Callable[[WebSocket], object]
) -> None:
    answering, go_on = Event(), Event()

    def accept(ws: WebSocket) -> None:
        @ws.on("message")
        def message(event: MessageEvent) -> None:
            answering.set()
            go_on.wait()
            ws.send("answer")

    ws, peer = connect(accept)
    peer.send(text("question"))
    assert answering.wait(DEADLINE)
    waiter = Greenlet(ask, ws)
    waiter.start()
    wait_for(lambda: inbox_of(ws).readers.waiting, "somebody waits for the end")
    peer.send(serving.close(4000))
    gevent.sleep(0.05)
    go_on.set()
    assert peer.read_text() == "answer"
    assert peer.read_close() == (4000, "")
    waiter.join(DEADLINE)
    assert waiter.ready()
    connect.errors.text = ""


def test_a_close_behind_a_message_that_was_received_is_answered_after_it(connect: Serving) -> None:
    ws, peer = connect()
    peer.send(text("question") + serving.close())
    assert ws.receive(DEADLINE) == "question"
    gevent.sleep(0.01)
    assert ws.send("answer")
    assert peer.read_text() == "answer"
    assert peer.read_close() == (1000, "")


def test_a_close_is_answered_although_a_listener_blocks(connect: Serving) -> None:
    go_on = Event()
    ws, peer = connect(lambda ws: ws.on("message", lambda event: go_on.wait()))
    peer.send(text("a") + text("b") + serving.close())
    assert peer.read_close() == (1000, "")
    assert ws.wait_closed(DEADLINE).code == 1000
    go_on.set()


def test_a_close_is_answered_although_nobody_takes_the_messages(connect: Serving) -> None:
    ws, peer = connect()
    peer.send(text("a") + serving.close())
    assert peer.read_close() == (1000, "")
    assert ws.receive(DEADLINE) == "a"
    with pytest.raises(ConnectionClosed):
        ws.receive(DEADLINE)


def _wait_for_the_end(ws: WebSocket) -> None:
    ws.wait_closed()


def _receive_to_the_end(ws: WebSocket) -> None:
    for message in ws:
        ws.send(message)


@pytest.mark.parametrize("wait", [_wait_for_the_end, _receive_to_the_end])
@pytest.mark.parametrize("type", ["open", "message"])
def test_a_close_is_answered_at_once_if_the_listener_waits_for_it(
    connect: Serving,
    monkeypatch: pytest.MonkeyPatch,
    wait: Callable[[WebSocket], None],
    type: str,
) -> None:
    # A listener that waits for more has answered all that came: it needs no time for that.
    monkeypatch.setitem(LIMITS, Phase.ENDING, DEADLINE + 2)
    ended = Event()

    def listen(ws: WebSocket) -> None:
        wait(ws)
        ended.set()

    ws, peer = connect(lambda ws: ws.on(type, lambda event: listen(ws)))
    if type == "message":
        peer.send(text("to the listener"))
    wait_for(lambda: inbox_of(ws).readers.waiting, "the listener waits")
    peer.send(serving.close())
    assert peer.read_close() == (1000, "")
    assert ended.wait(DEADLINE)


def test_a_peer_that_never_answers_a_close_is_dropped(connect: Serving) -> None:
    ws, peer = connect(close_timeout=0.2)
    ws.close(4000)
    event = ws.wait_closed(DEADLINE)
    assert (event.code, event.was_clean) == (1006, False)
    assert peer.read_close() == (4000, "")


def test_a_peer_that_talks_on_but_never_answers_a_close_is_dropped(connect: Serving) -> None:
    ws, peer = connect(close_timeout=0.2)
    ws.close()

    def talk() -> None:
        with contextlib.suppress(OSError):
            while True:
                peer.send(text("I was not finished"))
                gevent.sleep(0.01)

    talker = gevent.spawn(talk)
    assert ws.wait_closed(DEADLINE).code == 1006
    wait_for(talker.ready, "the talker is cut off")


def test_a_peer_that_never_hangs_up_after_the_closes_is_dropped(connect: Serving) -> None:
    ws, peer = connect(close_timeout=0.2)
    peer.send(serving.close())
    assert ws.wait_closed(DEADLINE).was_clean
    wait_for(connect.is_idle, "the socket is released")
    assert peer.read_close() == (1000, "")
    assert peer.read_to_end() == b""


def test_what_was_sent_before_a_close_arrives_before_it(connect: Serving) -> None:
    ws, peer = connect(max_backlog=2**25)
    message = bytes(2**22)
    ws.send(message)
    ws.close()
    peer.send(b"".join(text("unheard") for _ in range(1000)))
    assert peer.read_frame() == (serving.BINARY, message)
    assert peer.read_close() == (1000, "")
    peer.send(serving.close())
    assert ws.wait_closed(DEADLINE).was_clean


@pytest.mark.parametrize("state", ["paused", "flooded"])
def test_the_peers_answer_to_a_close_is_heard_although_messages_wait(
    connect: Serving, state: str
) -> None:
    ws, peer = connect(close_timeout=3)
    waiting = [] if state == "paused" else [frame(serving.BINARY, bytes(2**16))] * 64
    if state == "paused":
        ws.pause()

    def send_all() -> None:
        for data in (*waiting, serving.close(4000)):
            peer.send(data)

    sender = gevent.spawn(send_all)
    wait_for(lambda: is_stalled(ws), "the peer has to wait")
    ws.close(4000)
    event = ws.wait_closed(DEADLINE)
    assert (event.code, event.was_clean) == (4000, True)
    sender.join()


def test_a_closed_connection_is_freed_without_the_garbage_collector(connect: Serving) -> None:
    def accept(ws: WebSocket) -> None:
        ws.on("message", lambda event: ws.send(event.data))
        ws.on("close", lambda event: ws.send("no use"))
        ws.onerror = lambda event: ws.close()

    before = count_objects(WebSocket)
    gc.disable()
    try:
        ws, peer = connect(accept)
        assert peer.echoes("hello")
        assert count_objects(WebSocket) == before + 1
        peer.send(serving.close())
        peer.read_close()
        peer.hang_up()
        del ws
        wait_for(lambda: count_objects(WebSocket) == before, "the connection is freed")
    finally:
        gc.enable()


def test_a_connection_that_failed_is_freed_without_the_garbage_collector(
    connect: Serving,
) -> None:
    # The traceback of an error holds the frames through which it has come.
    before = count_objects(Endpoint)
    gc.disable()
    try:
        ws, peer = connect()
        peer.send(b"\xff" * 20)
        peer.read_close()
        peer.hang_up()
        del ws
        wait_for(lambda: count_objects(Endpoint) == before, "the connection is freed")
    finally:
        gc.enable()
