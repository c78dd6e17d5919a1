"""The server's end of an event stream, on gevent's pywsgi and by itself."""

from __future__ import annotations

import gc
import os
import re
import socket as plain_socket
import ssl
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import gevent
import gevent.event
import pytest
from gevent import socket
from gevent.pywsgi import WSGIServer
from gevent.ssl import SSLContext

from faye_ws import EventSource, ReadyState, WebSocket, broadcast
from faye_ws.eventsource.response import Response
from support.certificates import Certificates
from support.serving import count_objects
from support.stream_parts import run_in_thread

DEADLINE = 30.0
ACCEPT = b"Accept: text/event-stream\r\n"


class Served:
    """Event streams that a server serves, as an application sees them."""

    def __init__(self) -> None:
        self.options: dict[str, Any] = {"ping": None}
        self.prepare: Callable[[EventSource], object] = lambda es: None
        self.streams: list[EventSource] = []
        self.events: list[str] = []
        self.port = 0
        self.peers: list[Peer] = []

    def connect(self, *request: bytes, **line: bytes) -> Peer:
        self.peers.append(Peer(self.port, *request, **line))
        return self.peers[-1]

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        es = EventSource(environ, **self.options)
        self.streams.append(es)
        for type in ("open", "close"):
            es.on(type, lambda event: self.events.append(event.type))
        self.prepare(es)
        return es(environ, start_response)

    def wait_for(self, *events: str) -> None:
        with gevent.Timeout(DEADLINE):
            while self.events != list(events):
                gevent.sleep(0.005)


class Peer:
    """A client, byte by byte."""

    def __init__(self, port: int, head: bytes = ACCEPT, line: bytes = b"GET / HTTP/1.0") -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.settimeout(DEADLINE)
        self.socket.sendall(line + b"\r\nHost: h\r\n" + head + b"\r\n")
        self.seen = b""

    def read_until(self, end: bytes) -> bytes:
        while end not in self.seen:
            data = self.socket.recv(65536)
            assert data, self.seen
            self.seen += data
        before, _, self.seen = self.seen.partition(end)
        return before + end

    def read_all(self) -> bytes:
        self.seen += b"".join(iter(lambda: self.socket.recv(65536), b""))
        return self.seen


@pytest.fixture
def served() -> Iterator[Served]:
    app = Served()
    server = WSGIServer(("127.0.0.1", 0), app, log=None)
    server.start()
    app.port = int(server.address[1])
    yield app
    for peer in app.peers:
        peer.socket.close()
    server.stop(timeout=1)


# Requests


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("text/event-stream", True),
        ("TEXT/Event-Stream", True),
        ("text/html, text/event-stream;q=0.5", True),
        ("text/event-stream; charset=utf-8", True),
        ("text/event-stream;q=0", False),
        ("text/event-stream; Q=0.000", False),
        ("text/event-stream;q=0.001", True),
        ("*/*", False),
        ("text/*", False),
        ("", False),
        ("text/event-streams", False),
        (None, False),
    ],
)
def test_a_request_that_accepts_event_streams_by_name_is_one_for_them(
    accept: str | None, expected: bool
) -> None:
    environ = {"REQUEST_METHOD": "GET"} | ({} if accept is None else {"HTTP_ACCEPT": accept})
    assert EventSource.is_eventsource(environ) is expected
    assert not EventSource.is_eventsource({**environ, "REQUEST_METHOD": "POST"})
    assert not WebSocket.is_websocket(environ)


def test_the_request_is_told_as_it_was_meant() -> None:
    environ = {
        "REQUEST_METHOD": "GET",
        "wsgi.url_scheme": "https",
        "HTTP_HOST": "example.com",
        "PATH_INFO": "/feed",
        "QUERY_STRING": "a=b",
        "HTTP_LAST_EVENT_ID": "\u2026".encode().decode("latin-1"),
    }
    es = EventSource(environ)
    assert (es.url, es.last_event_id) == ("https://example.com/feed?a=b", "\u2026")
    assert EventSource({"HTTP_LAST_EVENT_ID": "\xff"}).last_event_id == "\ufffd"
    assert EventSource({}).last_event_id == ""


@pytest.mark.parametrize(
    "options",
    [
        {"ping": 0},
        {"ping": "1"},
        {"retry": -1},
        {"retry": "1"},
        {"max_backlog": 0},
        {"headers": {"a b": "c"}},
        {"headers": {"X": "a\r\nb"}},
        {"headers": {"Content-Type": "text/plain"}},
        {"headers": {"content-length": "5"}},
        {"what": 1},
    ],
)
def test_a_wrong_option_is_an_error(options: dict[str, Any]) -> None:
    with pytest.raises((TypeError, ValueError)):
        EventSource({}, **options)


# The response


def test_the_head_and_the_first_bytes_go_out_at_once(served: Served) -> None:
    served.options = {"ping": None, "headers": {"X-A": "b", "cache-control": "private"}}
    peer = served.connect()
    head = peer.read_until(b"\r\n\r\n")
    assert head.partition(b"\r\n")[0].endswith(b" 200 OK")
    for line in (
        b"Content-Type: text/event-stream; charset=utf-8\r\n",
        b"X-Accel-Buffering: no\r\n",
        b"X-A: b\r\n",
        b"cache-control: private\r\n",
    ):
        assert line in head
    assert head.lower().count(b"cache-control") == 1
    assert peer.read_until(b"\n\n") == b"retry: 5000\n\n"
    served.wait_for("open")
    assert served.streams[0].ready_state is ReadyState.OPEN


@pytest.mark.parametrize(
    ("retry", "first"), [(0, b"retry: 0\n\n"), (1.5, b"retry: 1500\n\n"), (None, b":\n\n")]
)
def test_retry_means_what_it_says(served: Served, retry: float | None, first: bytes) -> None:
    served.options["retry"] = retry
    peer = served.connect()
    peer.read_until(b"\r\n\r\n")
    assert peer.read_until(b"\n\n") == first


def test_events_comments_and_pings_come_in_order(served: Served) -> None:
    def prepare(es: EventSource) -> None:
        assert es.ready_state is ReadyState.CONNECTING
        assert es.send("before it is open")

        @es.on("open")
        def opened(event: Any) -> None:
            assert es.send("Hello\nworld", event="notification", id=99)
            assert es.comment("a comment")
            assert es.ping()
            assert es.write("written")
            es.end("last")
            assert not es.send("too late")
            assert not es.ping()
            assert not es.comment("x")

    served.prepare = prepare
    peer = served.connect()
    peer.read_until(b"retry: 5000\n\n")
    assert peer.read_all() == (
        b"data: before it is open\n\n"
        b"event: notification\nid: 99\ndata: Hello\ndata: world\n\n"
        b": a comment\n\n"
        b":\n\n"
        b"data: written\n\n"
        b"data: last\n\n"
    )
    served.wait_for("open", "close")


def test_a_head_request_gets_the_head_only(served: Served) -> None:
    peer = served.connect(line=b"HEAD / HTTP/1.0")
    assert peer.read_all().endswith(b"\r\n\r\n")
    served.wait_for("close")
    assert not served.streams[0].send("x")


def test_it_answers_one_request(served: Served) -> None:
    served.connect().read_until(b"\n\n")
    served.wait_for("open")
    with pytest.raises(RuntimeError, match="one request"):
        served.streams[0]({}, lambda *args: None)


def test_pings_are_sent_when_nothing_else_is(served: Served) -> None:
    served.options["ping"] = 0.2
    peer = served.connect()
    peer.read_until(b"retry: 5000\n\n")
    for _ in range(2):
        assert peer.read_until(b"\n\n") == b":\n\n"
    es = served.streams[0]
    # A busy machine may make a pause as long as it likes, but only a pause brings a ping.
    may_come = 0
    before = time.monotonic() - 0.2
    for number in range(20):
        es.send(f"{number}")
        now = time.monotonic()
        may_come += int((now - before) / 0.2)
        before = now
        gevent.sleep(0.03)
    es.close()
    assert peer.read_all().count(b":\n\n") <= may_come


# Who has gone


@pytest.mark.parametrize("how", ["closes", "resets", "closes with bytes left"])
def test_a_client_that_goes_away_is_noticed_at_once(served: Served, how: str) -> None:
    peer = served.connect()
    peer.read_until(b"retry: 5000\n\n")
    served.wait_for("open")
    if how == "resets":
        peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    if how == "closes with bytes left":
        peer.socket.sendall(b"GET /pipelined HTTP/1.1\r\n\r\n")
        gevent.sleep(0.05)
    peer.socket.close()
    served.wait_for("open", "close")
    assert not served.streams[0].send("x")
    assert served.streams[0].buffered_amount == 0


def test_a_client_that_goes_away_over_tls_is_noticed(certificates: Certificates) -> None:
    served = Served()
    context = SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates.cert, certificates.key)
    server = WSGIServer(("127.0.0.1", 0), served, log=None, ssl_context=context)
    server.start()
    trusted = SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trusted.load_verify_locations(certificates.ca)
    with socket.create_connection(("127.0.0.1", server.server_port)) as sock:
        client = trusted.wrap_socket(sock, server_hostname="localhost")
        client.sendall(b"GET / HTTP/1.0\r\n\r\n")
        while b"retry" not in client.recv(65536):
            """Not open yet."""
        client.close()
    served.wait_for("open", "close")
    server.stop()


def test_nothing_is_left_of_streams_that_are_over(served: Served) -> None:
    def count() -> int:
        return len(os.listdir("/proc/self/fd"))

    served.connect().socket.close()
    served.wait_for("open", "close")
    before = count()
    served.options["ping"] = 100
    peers = [served.connect() for _ in range(50)]
    for peer in peers:
        peer.read_until(b"retry: 5000\n\n")
    for number, peer in enumerate(peers):
        if number % 2:
            served.streams[-number - 1].close()
        peer.socket.close()
    with gevent.Timeout(DEADLINE):
        while served.events.count("close") < 51 or count() > before:
            gevent.sleep(0.01)
    streams = [weakref.ref(es) for es in served.streams]
    served.streams.clear()
    gc.collect()
    assert [stream() for stream in streams if stream() is not None] == []


def test_a_stream_that_is_over_is_freed_without_the_garbage_collector(served: Served) -> None:
    gc.disable()
    try:
        peer = served.connect()
        peer.read_until(b"retry: 5000\n\n")
        gone = weakref.ref(served.streams[0])
        count = count_objects(Response)
        served.streams.pop().close()
        peer.read_all()
        served.wait_for("open", "close")
        with gevent.Timeout(DEADLINE):
            while count_objects(Response) == count:
                gevent.sleep(0.01)
        assert gone() is None
    finally:
        gc.enable()


# Senders


def test_a_slow_client_makes_its_sender_wait_and_nobody_else(served: Served) -> None:
    served.options["max_backlog"] = 2**16
    progress: list[int] = []

    def prepare(es: EventSource) -> None:
        @es.on("open")
        def opened(event: Any) -> None:
            for number in range(400):
                if not es.send("x" * 2**16, id=number):
                    return
                progress.append(number)
            es.close()

    served.prepare = prepare
    slow = served.connect()
    served.wait_for("open")
    with gevent.Timeout(DEADLINE):
        while served.streams[0].buffered_amount <= 2**16:
            gevent.sleep(0.005)
    served.prepare = lambda es: es.send("quick")
    served.connect().read_until(b"data: quick\n\n")
    # All of it would be more than the kernel takes.
    assert len(progress) < 400
    assert served.streams[0].buffered_amount <= 2**16 + 2**17
    text = slow.read_all()
    assert re.findall(rb"id: (\d+)\n", text) == [b"%d" % number for number in range(400)]


def test_a_sender_that_waits_is_released_when_the_client_leaves(served: Served) -> None:
    results: list[bool] = []
    done = gevent.event.Event()

    def prepare(es: EventSource) -> None:
        @es.on("open")
        def opened(event: Any) -> None:
            while es.send("x" * 2**20):
                results.append(True)
            done.set()

    served.prepare = prepare
    peer = served.connect()
    served.wait_for("open")
    with gevent.Timeout(DEADLINE):
        while not served.streams[0].buffered_amount:
            gevent.sleep(0.005)
    peer.socket.close()
    assert done.wait(DEADLINE)
    served.wait_for("open", "close")


def test_other_threads_may_send_and_close(served: Served) -> None:
    peer = served.connect()
    served.wait_for("open")
    es = served.streams[0]
    results: list[Any] = []

    def talk() -> None:
        results.append([es.send(f"{number}", id=number) for number in range(100)])
        es.close()
        results.append(es.send("too late"))

    thread = threading.Thread(target=talk)
    thread.start()
    text = peer.read_all()
    gevent.get_hub().threadpool.apply(thread.join)
    assert re.findall(rb"id: (\d+)\n", text) == [b"%d" % number for number in range(100)]
    assert results == [[True] * 100, False]


def test_a_listener_that_raises_is_logged_and_the_stream_goes_on(
    served: Served, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(event: Any) -> None:
        raise ZeroDivisionError

    served.prepare = lambda es: es.on("open", fail)
    peer = served.connect()
    served.wait_for("open")
    peer.read_until(b"retry: 5000\n\n")
    assert served.streams[0].send("still here")
    peer.read_until(b"data: still here\n\n")
    assert "ZeroDivisionError" in caplog.text


def test_it_can_be_waited_for(served: Served) -> None:
    peer = served.connect()
    served.wait_for("open")
    with pytest.raises(TimeoutError):
        served.streams[0].wait_closed(0.01)
    gevent.spawn_later(0.05, peer.socket.close)
    served.streams[0].wait_closed(DEADLINE)


def test_closing_before_it_is_open_sends_what_there_is(served: Served) -> None:
    def prepare(es: EventSource) -> None:
        es.send("all")
        es.close()

    served.prepare = prepare
    assert served.connect().read_all().endswith(b"retry: 5000\n\ndata: all\n\n")
    assert served.events == ["close"]


def test_it_may_be_closed_and_waited_for_again(served: Served) -> None:
    served.connect().read_until(b"\n\n")
    served.wait_for("open")
    es = served.streams[0]
    es.end()
    es.close()
    es.wait_closed(0)
    served.wait_for("open", "close")


def test_other_threads_may_wait_for_it(served: Served) -> None:
    peer = served.connect()
    served.wait_for("open")
    es = served.streams[0]
    with pytest.raises(TimeoutError, match="not closed"):
        run_in_thread(lambda: es.wait_closed(0.01))
    gevent.spawn_later(0.05, peer.socket.close)
    run_in_thread(lambda: es.wait_closed(DEADLINE))
    assert es.ready_state is ReadyState.CLOSED


# Broadcasts


def test_a_broadcast_reaches_streams_and_connections(served: Served) -> None:
    peers = [served.connect() for _ in range(3)]
    for peer in peers:
        peer.read_until(b"retry: 5000\n\n")
    served.streams[0].close()
    assert broadcast(served.streams, "news", event="bulletin", id=1) == 2
    for peer in peers[1:]:
        assert peer.read_until(b"\n\n") == b"event: bulletin\nid: 1\ndata: news\n\n"
    with pytest.raises(TypeError, match="binary"):
        broadcast(served.streams, b"news")
    with pytest.raises(ValueError, match="id"):
        broadcast(served.streams, "news", id="a\nb")


def test_a_broadcast_drops_who_does_not_read(served: Served) -> None:
    served.options["max_backlog"] = 2**16
    served.connect()
    served.wait_for("open")
    es = served.streams[0]
    with gevent.Timeout(DEADLINE):
        while broadcast([es], "x" * 2**16):
            gevent.sleep(0)
    served.wait_for("open", "close")
    assert es.ready_state is ReadyState.CLOSED


def test_a_websocket_can_be_piped_into_a_stream(served: Served) -> None:
    peer = served.connect()
    served.wait_for("open")
    es = served.streams[0]

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        ws = WebSocket(environ)
        ws.pipe(es)
        return ws(environ, start_response)

    server = WSGIServer(("127.0.0.1", 0), app, log=None)
    server.start()
    with WebSocket.Client(f"ws://127.0.0.1:{server.server_port}/") as ws:
        ws.send("through the pipe")
        peer.read_until(b"data: through the pipe\n\n")
    assert peer.read_all() == b""
    server.stop()


def test_half_a_request_behind_the_first_does_not_spin(served: Served) -> None:
    with plain_socket.create_connection(("127.0.0.1", served.port)) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: h\r\n\r\nGET")
        served.wait_for("open")
        turns = 0

        def count() -> None:
            nonlocal turns
            turns += 1

        watcher = gevent.get_hub().loop.prepare()
        watcher.start(count)
        gevent.sleep(0.3)
        watcher.stop()
        watcher.close()
        assert turns < 100
    served.wait_for("open", "close")
