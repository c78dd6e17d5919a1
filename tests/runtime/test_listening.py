"""Listeners: when they are called, by whom, and what becomes of what they raise."""

from __future__ import annotations

import contextvars
import logging
from collections.abc import Callable

import gevent
import pytest
from gevent import GreenletExit
from gevent.event import Event
from greenlet import getcurrent, greenlet

from faye_ws import MessageEvent, WebSocket
from support import serving
from support.parts import endpoint_of, inbox_of
from support.serving import DEADLINE, PONG, TEXT, Serving, frame, text, wait_for

connect = serving.connect


def _echo(ws: WebSocket) -> None:
    ws.on("message", lambda event: ws.send(event.data))


def _errors(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [record for record in caplog.records if record.levelno > logging.DEBUG]


def test_listeners_are_called_in_the_order_they_were_added(connect: Serving) -> None:
    heard: list[str] = []

    def accept(ws: WebSocket) -> None:
        ws.on("message", lambda event: heard.append("first"))
        ws.onmessage = lambda event: heard.append("second")

        @ws.on("message")
        def third(event: MessageEvent) -> None:
            heard.append(f"{event.type} {event.data} {event.target is ws}")

        ws.add_event_listener("message", lambda event: ws.send("done"))

    _, peer = connect(accept)
    peer.send(text("x"))
    assert peer.read_text() == "done"
    assert heard == ["first", "second", "message x True"]


def test_a_listener_can_be_taken_off_and_replaced(connect: Serving) -> None:
    heard: list[str] = []

    def listener(event: MessageEvent) -> None:
        heard.append(str(event.data))

    def accept(ws: WebSocket) -> None:
        ws.on("message", listener)
        ws.once("message", lambda event: heard.append("once"))
        ws.onmessage = lambda event: ws.send("old")

    ws, peer = connect(accept)
    peer.send(text("a"))
    assert peer.read_text() == "old"
    ws.off("message", listener)
    ws.onmessage = lambda event: ws.send("new")
    peer.send(text("b"))
    assert peer.read_text() == "new"
    assert heard == ["a", "once"]


def test_a_listener_for_an_event_that_there_is_not_is_a_value_error(connect: Serving) -> None:
    ws, _ = connect()
    with pytest.raises(ValueError, match="messsage"):
        ws.on("messsage", print)
    with pytest.raises(TypeError, match="callable"):
        ws.on("message", "print")  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="callable"):
        ws.onopen = 1  # type: ignore[assignment]


def test_open_comes_before_the_messages_and_close_after_them(connect: Serving) -> None:
    heard: list[str] = []

    def accept(ws: WebSocket) -> None:
        ws.on("open", lambda event: (gevent.sleep(0.01), heard.append("open")))
        for type in ("message", "data"):
            ws.on(type, lambda event: heard.append(f"{event.type} {event.data}"))
        for type in ("error", "end", "close"):
            ws.on(type, lambda event: heard.append(event.type))

    _, peer = connect(accept, early=text("a") + text("b") + frame(0x83))
    assert peer.read_close()[0] == 1002
    wait_for(lambda: "close" in heard, "the close event has come")
    assert heard == [
        "open",
        "message a",
        "data a",
        "message b",
        "data b",
        "error",
        "end",
        "close",
    ]


def test_a_listener_waits_until_the_one_before_it_is_done(
    connect: Serving, caplog: pytest.LogCaptureFixture
) -> None:
    running: list[object] = []

    def accept(ws: WebSocket) -> None:
        @ws.on("message")
        def message(event: MessageEvent) -> None:
            running.append(event)
            gevent.sleep(0.003)
            assert running == [event]
            running.clear()
            ws.send(event.data)

    _, peer = connect(accept)
    messages = [str(number) for number in range(30)]
    for message in messages:
        # One at a time: the next comes while the listener is still at the last.
        peer.send(text(message))
        gevent.sleep(0.001)
    assert [peer.read_text() for _ in messages] == messages
    # Nor did a second worker try.
    assert not _errors(caplog)


def test_a_listener_that_blocks_holds_up_its_own_connection_only(connect: Serving) -> None:
    go_on = Event()

    def block(ws: WebSocket) -> None:
        @ws.on("message")
        def message(event: MessageEvent) -> None:
            go_on.wait()
            ws.send(event.data)

    blocked = [connect(block)[1] for _ in range(100)]
    for peer in blocked:
        peer.send(text("block"))
    _, other = connect(_echo)
    assert other.echoes("not held up")
    go_on.set()
    assert [peer.read_text() for peer in blocked] == ["block"] * 100


def test_no_messages_are_heard_once_the_application_has_closed(connect: Serving) -> None:
    heard: list[str] = []

    def accept(ws: WebSocket) -> None:
        @ws.on("message")
        def message(event: MessageEvent) -> None:
            heard.append(str(event.data))
            ws.close(4000)

    ws, peer = connect(accept)
    peer.send(text("a") + text("b"))
    assert peer.read_close() == (4000, "")
    peer.send(text("c") + serving.close(4000))
    assert ws.wait_closed(DEADLINE).was_clean
    assert heard == ["a"]


@pytest.mark.parametrize("type", ["open", "message", "data", "pong"])
@pytest.mark.parametrize(
    "error",
    [ValueError("oh"), gevent.Timeout(5), TimeoutError()],
    ids=["ValueError", "Timeout", "TimeoutError"],
)
def test_a_listener_that_raises_is_logged_once_and_closes_the_connection(
    connect: Serving, caplog: pytest.LogCaptureFixture, type: str, error: BaseException
) -> None:
    heard: list[str] = []

    def fail(*args: object) -> None:
        raise error

    def accept(ws: WebSocket) -> None:
        if type == "pong":
            ws.ping("x", fail)
        else:
            ws.on(type, fail)
            ws.on(type, lambda event: heard.append(event.type))
        ws.on("close", lambda event: heard.append(f"close {event.code}"))

    ws, peer = connect(accept)
    peer.send(text("a") + text("b") + frame(PONG, b"x"))
    if type == "pong":
        peer.read_frame()
    assert peer.read_close() == (1011, "a listener raised")
    peer.send(serving.close(1011))
    assert ws.wait_closed(DEADLINE).code == 1011
    wait_for(lambda: "close 1011" in heard, "the close event has come")
    assert heard == ([type] if type != "pong" else []) + ["close 1011"]
    (record,) = _errors(caplog)
    assert record.name == "faye_ws"
    assert record.exc_info is not None
    assert record.exc_info[1] is error
    # The traceback would keep the connection alive until the test has ended.
    caplog.clear()


def test_what_a_close_listener_raises_is_logged(
    connect: Serving, caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[str] = []

    def accept(ws: WebSocket) -> None:
        ws.on("close", lambda event: 1 / 0)
        ws.on("close", lambda event: heard.append("close"))

    _, peer = connect(accept)
    peer.hang_up()
    wait_for(lambda: heard, "the other listener has heard it")
    (record,) = _errors(caplog)
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], ZeroDivisionError)


def _exit() -> None:
    raise GreenletExit


def _kill_listener() -> None:
    gevent.spawn(gevent.kill, getcurrent())
    gevent.sleep(DEADLINE)


@pytest.mark.parametrize("end", [_exit, _kill_listener])
def test_a_listener_that_is_killed_closes_the_connection_quietly(
    connect: Serving, caplog: pytest.LogCaptureFixture, end: Callable[[], None]
) -> None:
    heard: list[str] = []

    def accept(ws: WebSocket) -> None:
        ws.on("message", lambda event: end())
        ws.on("message", lambda event: heard.append("the other listener"))
        ws.on("close", lambda event: heard.append("close"))

    _, peer = connect(accept)
    peer.send(text("die"))
    assert peer.read_close()[0] == 1011
    peer.send(serving.close(1011))
    wait_for(lambda: heard == ["the other listener", "close"], "both listeners have heard it")
    assert not _errors(caplog)
    _, peer = connect(_echo)
    assert peer.echoes("the next connection is served")


def test_a_worker_that_is_killed_at_rest_is_replaced(connect: Serving) -> None:
    workers: list[greenlet] = []

    def accept(ws: WebSocket) -> None:
        _echo(ws)
        ws.on("message", lambda event: workers.append(getcurrent()))

    _, peer = connect(accept)
    assert peer.echoes("a")
    gevent.kill(workers[0])
    wait_for(lambda: workers[0].dead, "the worker is dead")
    assert peer.echoes("b")


def test_a_listener_that_ends_with_the_connection_ends_quietly(
    connect: Serving, caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[int] = []

    def accept(ws: WebSocket) -> None:
        ws.on("message", lambda event: ws.receive())
        ws.on("close", lambda event: heard.append(event.code))

    ws, peer = connect(accept)
    peer.send(text("a"))
    wait_for(lambda: inbox_of(ws).readers.waiting, "the listener waits for a second message")
    peer.send(serving.close(4000))
    assert peer.read_close() == (4000, "")
    wait_for(lambda: heard == [4000], "the close event has come")
    assert not _errors(caplog)


def test_a_listener_that_ends_with_another_connection_is_logged(
    connect: Serving, caplog: pytest.LogCaptureFixture
) -> None:
    # Its own peer is still there, and is told that something went wrong: what is it?
    other, others = connect()
    _, peer = connect(lambda ws: ws.on("message", lambda event: other.receive()))
    peer.send(text("a"))
    wait_for(lambda: inbox_of(other).readers.waiting, "the listener waits for the other connection")
    others.send(serving.close(4000))
    assert peer.read_close()[0] == 1011
    assert len(_errors(caplog)) == 1
    caplog.clear()


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_an_interrupt_in_a_listener_reaches_the_main_greenlet(
    connect: Serving, caplog: pytest.LogCaptureFixture, error: type[BaseException]
) -> None:
    def fail(event: MessageEvent) -> None:
        raise error

    _, peer = connect(lambda ws: ws.on("message", fail))
    peer.send(text("a"))
    with pytest.raises(error):
        gevent.sleep(DEADLINE)
    assert peer.read_close()[0] == 1011
    _, peer = connect(_echo)
    assert peer.echoes("the hub goes on")
    caplog.clear()
    connect.errors.text = ""


def test_the_listeners_of_a_connection_share_a_context_that_others_do_not_see(
    connect: Serving,
) -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")
    variable.set("by the test")
    workers: set[int] = set()

    def accept(ws: WebSocket) -> None:
        variable.set("by the request")

        @ws.on("message")
        def message(event: MessageEvent) -> None:
            workers.add(id(getcurrent()))
            ws.send(variable.get())
            variable.set(str(event.data))
            gevent.sleep(0)

    _, first = connect(accept)
    _, second = connect(accept)
    first.send(text("by the first"))
    assert first.read_text() == "unset"
    second.send(text("by the second"))
    assert second.read_text() == "unset"
    first.send(text("again"))
    assert first.read_text() == "by the first"
    second.send(text("again"))
    assert second.read_text() == "by the second"
    assert variable.get() == "by the test"
    assert len(workers) == 1


def test_a_thousand_messages_of_many_connections_need_few_greenlets(connect: Serving) -> None:
    workers: set[greenlet] = set()

    def accept(ws: WebSocket) -> None:
        _echo(ws)
        ws.on("message", lambda event: workers.add(getcurrent()))

    peers = [connect(accept)[1] for _ in range(50)]
    for number in range(20):
        for peer in peers:
            peer.send(text(str(number)))
        for peer in peers:
            assert peer.read_frame() == (TEXT, str(number).encode())
    assert len(workers) == 1


def test_a_listener_may_send_to_others_and_wait_for_them(connect: Serving) -> None:
    slow, lazy = connect(max_backlog=1000)

    def accept(ws: WebSocket) -> None:
        @ws.on("message")
        def message(event: MessageEvent) -> None:
            slow.send(bytes(2**21))
            ws.send("done")

    _, peer = connect(accept)
    peer.send(text("go"))
    wait_for(lambda: endpoint_of(slow).is_congested, "the listener waits for the other peer")
    _, other = connect(_echo)
    assert other.echoes("not held up")
    assert lazy.read_frame() == (serving.BINARY, bytes(2**21))
    assert peer.read_text() == "done"


def test_a_listener_may_close_others_and_wait_for_their_end(connect: Serving) -> None:
    victim, other = connect()

    def accept(ws: WebSocket) -> None:
        @ws.on("message")
        def message(event: MessageEvent) -> None:
            victim.close(4000)
            ws.send(str(victim.wait_closed(DEADLINE).code))

    _, peer = connect(accept)
    peer.send(text("go"))
    assert other.read_close() == (4000, "")
    other.send(serving.close(4000))
    assert peer.read_text() == "4000"
