"""A connection that is used from other native threads than its own."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, Generic, TypeVar

import gevent
import pytest
from gevent import Timeout
from gevent.event import Event

from faye_ws import ConnectionClosed, MessageEvent, WebSocket, broadcast
from support import serving
from support.parts import endpoint_of, inbox_of
from support.serving import BINARY, DEADLINE, PING, PONG, Peer, Serving, frame, text, wait_for

connect = serving.connect

_T = TypeVar("_T")


class Thread(Generic[_T]):
    """A native thread that calls a function; with a hub of its own, or without."""

    def __init__(self, function: Callable[[], _T], own_hub: bool = False) -> None:
        self._function = function
        self._own_hub = own_hub
        self._value: _T | None = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        if self._own_hub:
            gevent.get_hub()
        try:
            self._value = self._function()
        except BaseException as error:
            self._error = error
        finally:
            if self._own_hub:
                gevent.get_hub().destroy(destroy_loop=True)

    def result(self) -> _T:
        """Wait for what the function returns or raises, while the hub of the test runs."""
        wait_for(lambda: not self._thread.is_alive(), "the thread is done")
        if self._error is not None:
            raise self._error
        return self._value  # type: ignore[return-value]


@pytest.fixture(params=[False, True], ids=["no hub", "own hub"])
def own_hub(request: pytest.FixtureRequest) -> bool:
    value: bool = request.param
    return value


def test_a_thread_can_send_ping_and_close(connect: Serving, own_hub: bool) -> None:
    ws, peer = connect()
    ponged = Event()

    def work() -> list[object]:
        return [
            ws.send("text"),
            ws.write(bytearray(b"bytes")),
            ws.ping("ping", ponged.set),
            ws.close(4000, "done"),
            ws.send("too late"),
            ws.ready_state,
        ]

    thread = Thread(work, own_hub)
    assert thread.result() == [True, True, True, None, False, WebSocket.CLOSING]
    assert peer.read_text() == "text"
    assert peer.read_frame() == (BINARY, b"bytes")
    assert peer.read_frame() == (PING, b"ping")
    assert peer.read_close() == (4000, "done")
    peer.send(frame(PONG, b"ping"))
    assert ponged.wait(DEADLINE)


def test_a_thread_can_receive_and_wait_for_the_end(connect: Serving, own_hub: bool) -> None:
    ws, peer = connect()

    def work() -> tuple[list[str | bytes], int]:
        with pytest.raises(TimeoutError):
            ws.receive(0.02)
        with pytest.raises(TimeoutError):
            ws.wait_closed(0.02)
        messages = list(ws)
        with pytest.raises(ConnectionClosed):
            ws.receive()
        return messages, ws.wait_closed().code

    thread = Thread(work, own_hub)
    gevent.sleep(0.1)
    peer.send(text("a"))
    gevent.sleep(0)
    peer.send(text("b") + serving.close(1001))
    assert thread.result() == (["a", "b"], 1001)


def test_a_thread_gets_the_errors_of_its_own_calls(connect: Serving, own_hub: bool) -> None:
    ws, _ = connect()
    with pytest.raises(TypeError, match="must be str or bytes"):
        Thread(lambda: ws.send(1), own_hub).result()  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="closes with"):
        Thread(lambda: ws.close(1005), own_hub).result()
    with pytest.raises(ValueError, match="125 bytes"):
        Thread(lambda: ws.ping(bytes(126)), own_hub).result()


def test_a_thread_waits_for_a_slow_peer_and_nothing_else_does(
    connect: Serving, own_hub: bool
) -> None:
    ws, peer = connect(max_backlog=1000)
    thread = Thread(lambda: ws.send(bytes(2**21)), own_hub)
    wait_for(lambda: endpoint_of(ws).is_congested, "the thread waits")
    _, other = connect(lambda ws: ws.on("message", lambda event: ws.send(event.data)))
    assert other.echoes("not held up")
    assert peer.read_frame() == (BINARY, bytes(2**21))
    assert thread.result() is True


def test_the_greenlets_of_a_thread_go_on_while_one_of_them_receives(connect: Serving) -> None:
    ws, peer = connect()

    def work() -> tuple[str | bytes, int]:
        receiver = gevent.spawn(ws.receive, DEADLINE)
        turns = 0
        while not receiver.ready():
            gevent.sleep(0.001)
            turns += 1
        return receiver.get(), turns

    thread = Thread(work, own_hub=True)
    gevent.sleep(0.1)
    peer.send(text("a"))
    message, turns = thread.result()
    assert message == "a"
    assert turns > 1


def test_a_receive_that_is_interrupted_in_another_thread_loses_nothing(connect: Serving) -> None:
    ws, peer = connect()

    def work() -> None:
        with pytest.raises(Timeout), Timeout(0.1):
            ws.receive()

    Thread(work, own_hub=True).result()
    peer.send(text("not lost"))
    assert ws.receive(2) == "not lost"


def test_a_message_that_comes_as_its_receiver_is_killed_is_not_lost(connect: Serving) -> None:
    ws, peer = connect()
    waits = threading.Event()

    def work() -> None:
        receiver = gevent.spawn(ws.receive)
        while not inbox_of(ws).readers.waiting:
            gevent.sleep(0.001)
        waits.set()
        # The message comes now, but nothing of this thread runs before the kill.
        time.sleep(0.3)
        receiver.kill()

    thread = Thread(work, own_hub=True)
    wait_for(waits.is_set, "it waits")
    peer.send(text("not lost"))
    thread.result()
    assert ws.receive(2) == "not lost"


def test_a_thread_can_pause_and_resume(connect: Serving, own_hub: bool) -> None:
    heard: list[str] = []
    ws, peer = connect(lambda ws: ws.on("message", lambda event: heard.append(event.data)))
    Thread(ws.pause, own_hub).result()
    peer.send(text("a"))
    for _ in range(10):
        gevent.sleep(0.001)
    assert heard == []
    Thread(ws.resume, own_hub).result()
    wait_for(lambda: heard == ["a"], "the listener has heard it")


def test_a_listener_that_another_thread_adds_hears_what_has_waited(
    connect: Serving, own_hub: bool
) -> None:
    ws, peer = connect()
    peer.send(text("a"))
    wait_for(lambda: inbox_of(ws).messages, "it has come")
    heard = Event()

    def work() -> None:
        # While the loop of the connection sleeps, and nothing else wakes it.
        time.sleep(0.1)
        ws.on("message", lambda event: heard.set())

    thread = Thread(work, own_hub)
    assert heard.wait(DEADLINE)
    thread.result()


def test_a_closed_connection_can_be_used_when_its_thread_is_gone() -> None:
    connections: list[WebSocket] = []
    closed = threading.Event()

    def work() -> None:
        server = Serving()

        def serve() -> None:
            ws = server.accepted(path)
            connections.append(ws)
            peer.send(text("kept"))
            wait_for(lambda: inbox_of(ws).messages, "it has come")
            peer.reset()
            assert ws.wait_closed(DEADLINE).code == 1006

        path = server.expect()
        peer = server.dial()
        peer.open(serving.handshake(path))
        serve()
        server.stop()
        wait_for(server.is_idle, "the connection is gone")
        closed.set()

    Thread(work, own_hub=True).result()
    (ws,) = connections
    assert closed.is_set()
    # Another thread may have the number of the one that has ended.
    assert endpoint_of(ws).reactor is not None
    endpoint_of(ws).reactor.thread = -1
    assert ws.ready_state == WebSocket.CLOSED
    assert ws.send("no") is False
    assert ws.ping() is False
    ws.close()
    ws.resume()
    assert ws.wait_closed(DEADLINE).code == 1006
    assert ws.receive(DEADLINE) == "kept"
    with pytest.raises(ConnectionClosed):
        ws.receive(DEADLINE)


def test_threads_and_greenlets_that_send_at_once_do_not_mix_their_frames(
    connect: Serving,
) -> None:
    ws, peer = connect(max_backlog=2**16)
    count, size = 50, 20_000

    def send(name: bytes) -> None:
        for _ in range(count):
            assert ws.send(name * size)

    threads = [Thread(lambda: send(b"a")), Thread(lambda: send(b"b"), own_hub=True)]
    greenlet = gevent.spawn(send, b"c")
    payloads = [payload for _, payload in peer.read_frames(3 * count)]
    assert sorted(payloads) == sorted([b"a" * size, b"b" * size, b"c" * size] * count)
    for thread in threads:
        thread.result()
    greenlet.get(timeout=DEADLINE)


def test_a_thread_can_broadcast(connect: Serving, own_hub: bool) -> None:
    both = [connect() for _ in range(2)]
    assert Thread(lambda: broadcast([ws for ws, _ in both], "news"), own_hub).result() == 2
    assert [peer.read_text() for _, peer in both] == ["news", "news"]


def test_a_listener_may_call_another_thread_that_calls_back(connect: Serving) -> None:
    def accept(ws: WebSocket) -> None:
        @ws.on("message")
        def message(event: MessageEvent) -> None:
            Thread(lambda: ws.send(event.data)).result()

    _, peer = connect(accept)
    assert peer.echoes("by way of a thread")


def test_the_connections_of_two_threads_talk_to_each_other(connect: Serving) -> None:
    here, near = connect()
    port: list[int] = []
    done = threading.Event()

    def work() -> None:
        server = Serving()

        def accept(ws: WebSocket) -> None:
            here.on("message", lambda event: ws.send(event.data))
            ws.on("message", lambda event: here.send(event.data))

        path = server.expect(accept)
        assert path == "/0"
        port.append(server.port)
        wait_for(done.is_set, "the test is done")
        server.stop()
        wait_for(server.is_idle, "the connection is gone")

    thread = Thread[Any](work, own_hub=True)
    wait_for(lambda: port, "the other server runs")
    far = Peer(port[0])
    far.open(serving.handshake("/0"))
    try:
        for number in range(100):
            far.send(text(f"far {number}"))
            near.send(text(f"near {number}"))
            assert near.read_text() == f"far {number}"
            assert far.read_text() == f"near {number}"
    finally:
        far.hang_up()
        done.set()
    thread.result()
