"""The client's end of an event stream, against servers that do as they are told."""

from __future__ import annotations

import gc
import gzip
import os
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import gevent
import gevent.event
import pytest
import requests
from gevent import socket
from gevent.pywsgi import WSGIServer
from greenlet import greenlet

from faye_ws import EventSource, EventStreamError, ReadyState, WebSocket
from faye_ws.events import StreamMessageEvent
from faye_ws.eventsource.client import EventSourceClient
from faye_ws.runtime.reactor import Reactor, find_hub
from support import programs
from support.certificates import Certificates
from support.redirecting import context_of
from support.serving import wait_for
from support.stream_parts import run_in_thread
from support.stream_servers import FOREVER, HEAD, STOP, Script

DEADLINE = 30.0
QUICK: dict[str, Any] = {"retry": 0.02}
CHUNKED = HEAD.replace(b"Connection", b"Transfer-Encoding: chunked\r\nConnection")


def hear(url: str, **options: Any) -> tuple[list[tuple[str, str, str]], EventStreamError]:
    """Return what a stream says until its final answer, and that."""
    heard = []
    es = EventSourceClient(url, **{**QUICK, **options})

    def iterate() -> None:
        for event in es:
            heard.append((event.type, event.data, event.last_event_id))

    with pytest.raises(EventStreamError) as raised:
        iterate()
    assert es.ready_state is ReadyState.CLOSED
    return heard, raised.value


def test_events_come_with_type_data_id_and_origin() -> None:
    with Script([HEAD, b"event: tick\nid: 1\ndata: a\ndata: b\n\ndata: c\n\n"], STOP) as server:
        with EventSource.Client(server.url, **QUICK) as es:
            first, second = es.receive(DEADLINE), es.receive(DEADLINE)
            assert (first.type, first.data, first.last_event_id) == ("tick", "a\nb", "1")
            assert (second.type, second.data, second.last_event_id) == ("message", "c", "1")
            assert first.origin == server.url.partition("/feed")[0]
            assert first.target is es
        assert es.ready_state is ReadyState.CLOSED


def test_the_request_is_what_browsers_send() -> None:
    with Script(STOP) as server:
        hear(server.url, headers={"X-Name": "value"}, last_event_id="\u2026")
        head = server.heads[0].lower()
    for line in (
        b"get /feed?a=b http/1.1",
        b"accept: text/event-stream",
        b"cache-control: no-cache",
        b"x-name: value",
        b"last-event-id: \xe2\x80\xa6",
    ):
        assert line + b"\r\n" in head


def test_a_stream_that_ends_is_taken_up_where_it_has_ended() -> None:
    with Script(
        [HEAD, b"id: 1\ndata: a\n\nid: 2\ndata: cut off\n"],
        [HEAD, b"data: b\n\n", None],
        [HEAD, b"id:\ndata: c\n\n"],
        STOP,
    ) as server:
        heard, error = hear(server.url)
        ids = [b"Last-Event-ID: 1\r\n" in head for head in server.heads]
    assert heard == [("message", "a", "1"), ("message", "b", "1"), ("message", "c", "")]
    assert ids == [False, True, True, False]
    assert error.status == 204


def test_listeners_hear_the_life_of_a_stream() -> None:
    heard: list[Any] = []
    stream = b"data: a\n\nevent: tick\ndata: b\n\nevent: other\ndata\n\n"
    with Script([HEAD, stream], STOP) as server:
        es = WebSocket.EventSource.Client(server.url, **QUICK)
        es.on("open", lambda event: heard.append("open"))
        es.onmessage = lambda event: heard.append(event.data)
        es.on("tick", lambda event: heard.append((event.type, event.data)))
        es.on("error", lambda event: heard.append((es.ready_state.name, event.message)))
        with pytest.raises(EventStreamError, match="204"):
            es.wait_closed(DEADLINE)
        gevent.sleep(0)
    assert heard[:3] == ["open", "a", ("tick", "b")]
    assert [state for state, _ in heard[3:]] == ["CONNECTING", "CLOSED"]
    assert "nothing to wait for" in heard[-1][1]


@pytest.mark.parametrize("location", [b"\xff", b"http://[", b"gopher://h/", b"http://\x00/"])
def test_a_redirect_to_no_url_ends_it(location: bytes) -> None:
    with Script([b"HTTP/1.1 301 Moved\r\nLocation: " + location + b"\r\n\r\n"]) as server:
        heard, error = hear(server.url)
    assert heard == []
    assert error.__cause__ is not None


@pytest.mark.parametrize("framing", [b"A: b", b"Content-Length: 9", b"Transfer-Encoding: chunked"])
def test_what_comes_with_a_redirect_is_not_waited_for(framing: bytes) -> None:
    redirect = b"HTTP/1.1 302 Found\r\nLocation: /there\r\n" + framing + b"\r\n\r\n"
    server = Script([redirect, 1000], [HEAD, b"data: a\n\n", 1000])
    with server, EventSource.Client(server.url, **QUICK) as es:
        assert es.receive(DEADLINE).data == "a"
    assert [head.split()[1] for head in server.heads] == [b"/feed?a=b", b"/there"]


def test_what_a_session_raises_ends_it() -> None:
    class Broken(requests.Session):
        def request(self, *args: Any, **kwargs: Any) -> Any:
            raise LookupError("no credentials")

    error = hear("http://127.0.0.1:1/", session=Broken())[1]
    assert "no credentials" in str(error)
    assert isinstance(error.__cause__, LookupError)


@pytest.mark.parametrize("status", [204, 205, 210, 299, 400, 401, 403, 404, 410])
def test_answers_that_stay_end_it(status: int) -> None:
    with Script([b"HTTP/1.1 %d Answer\r\nContent-Length: 0\r\n\r\n" % status]) as server:
        heard, error = hear(server.url)
    assert (heard, error.status) == ([], status)
    assert str(status) in str(error)
    assert len(server.heads) == 1


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_answers_that_pass_are_waited_out(status: int) -> None:
    busy = [b"HTTP/1.1 %d Busy\r\nContent-Length: 0\r\n\r\n" % status]
    with Script(busy, busy, [HEAD, b"data: back\n\n"], STOP) as server:
        assert hear(server.url)[0] == [("message", "back", "")]


@pytest.mark.parametrize(
    ("content_type", "is_stream"),
    [
        (b"text/event-stream", True),
        (b"text/event-stream;", True),
        (b"Text/Event-Stream; charset=windows-1252", True),
        (b"text/x-bogus", False),
        (b"x bogus", False),
        (b"text/event-streams", False),
        (b"text/html", False),
        (b"text/html, text/event-stream", True),
        (b"text/html\r\nContent-Type: text/event-stream", True),
        (b"text/event-stream\r\nContent-Type: text/html", False),
    ],
)
def test_only_event_streams_are_read(content_type: bytes, is_stream: bool) -> None:
    head = HEAD.replace(b"text/event-stream", content_type)
    with Script([head, "data: ok\u2026\n\n".encode()], STOP) as server:
        heard, error = hear(server.url)
    assert heard == ([("message", "ok\u2026", "")] if is_stream else [])
    assert error.status == (204 if is_stream else 200)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_followed_and_the_origin_is_that_of_the_end(status: int) -> None:
    with Script([HEAD, b"data: here\n\n", 1000]) as target:
        answer = f"HTTP/1.1 {status} Moved\r\nLocation: {target.url}\r\nContent-Length: 0\r\n\r\n"
        with Script([answer.encode()]) as server, EventSourceClient(server.url) as es:
            event = es.receive(DEADLINE)
            assert event.data == "here"
            assert event.origin == target.url.partition("/feed")[0]


@pytest.mark.parametrize("way", ["plain", "chunked", "chunks cut anywhere", "gzip"])
def test_events_come_the_moment_their_bytes_do(way: str) -> None:
    head = HEAD
    pieces = [b"data: 1\n\n", b"data: 2\n\nda"]
    if way.startswith("chunk"):
        head = head.replace(b"Connection", b"Transfer-Encoding: chunked\r\nConnection")
        pieces = [b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces]
    if way == "chunks cut anywhere":
        pieces = [b"100\r\ndata: 1\n\n", b"data: 2\n\nda"]
    if way == "gzip":
        head = head.replace(b"Connection", b"Content-Encoding: gzip\r\nConnection")
        packed = gzip.compress(pieces[0])
        pieces = [packed, gzip.compress(pieces[1])]
    script = [head, pieces[0], 0.2, pieces[1], 1000]
    with Script(script) as server, EventSourceClient(server.url) as es:
        assert [es.receive(DEADLINE).data for _ in range(2)] == ["1", "2"]
        with pytest.raises(TimeoutError):
            es.receive(0.05)


def test_nobody_at_the_port_is_waited_for() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/"
        errors: list[str] = []
        es = EventSourceClient(url, **QUICK)
        es.on("error", lambda event: errors.append(event.message))
        with gevent.Timeout(DEADLINE):
            while len(errors) < 3:
                gevent.sleep(0.01)
        assert es.ready_state is ReadyState.CONNECTING
        es.close()
        assert "refused" in errors[0].lower()


def test_a_server_that_falls_silent_is_left() -> None:
    with Script([HEAD, b"data: a\n\n", 1000], [HEAD, b"data: b\n\n"], STOP) as server:
        assert [data for _, data, _ in hear(server.url, timeout=1.0)[0]] == ["a", "b"]


def test_the_server_may_set_the_delay() -> None:
    with Script([HEAD, b"retry: 130\ndata: a\n\n"], STOP) as server:
        es = EventSourceClient(server.url, retry=0.01)
        with pytest.raises(EventStreamError):
            es.wait_closed(DEADLINE) if es.receive(DEADLINE) else None
        assert es.retry == 0.13


def test_delays_grow_from_the_least_to_their_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    delays: list[float] = []
    sleep = gevent.sleep
    es = EventSourceClient("http://127.0.0.1:1/", retry=1.0)
    monkeypatch.setattr(gevent, "sleep", lambda seconds=0: (delays.append(seconds), sleep(0)))
    with gevent.Timeout(DEADLINE):
        while len(delays) < 10:
            sleep(0.01)
    es.close()
    for delay, least in zip(delays, [1, 2, 4, 8, 16, 32, 60, 60, 60], strict=False):
        assert least <= delay <= min(least * 1.5, 60)


@pytest.mark.parametrize("moment", ["at once", "connecting", "open", "waiting"])
def test_it_can_be_closed_at_any_moment(moment: str) -> None:
    scripts: dict[str, list[Any]] = {"connecting": [1000], "open": FOREVER, "waiting": [HEAD]}
    errors: list[Any] = []
    with Script(scripts.get(moment, FOREVER)) as server:
        es = EventSourceClient(server.url, retry=100)
        opened = gevent.event.Event()
        es.on("open", lambda event: opened.set())
        es.on("error", errors.append)
        if moment == "open":
            assert opened.wait(DEADLINE)
        elif moment == "connecting":
            wait_for(lambda: server.heads, "the server is asked")
        elif moment == "waiting":
            wait_for(lambda: errors, "the connection is lost")
        iterating = gevent.spawn(list, es)
        gevent.sleep(0)
        es.close()
        es.close()
        es.wait_closed(DEADLINE)
        assert iterating.get(timeout=DEADLINE) == []
        assert es.ready_state is ReadyState.CLOSED
        assert len(errors) == (moment == "waiting")
        with pytest.raises(EventStreamError):
            es.receive(DEADLINE)


def test_a_listener_may_close_it() -> None:
    heard: list[str] = []
    with Script([HEAD, b"data: 1\n\ndata: 2\n\n", 1000]) as server:
        es = EventSourceClient(server.url)
        es.on("message", lambda event: (heard.append(event.data), es.close()))
        es.wait_closed(DEADLINE)
    assert heard == ["1"]


def test_other_threads_may_listen_and_close() -> None:
    with Script([HEAD, b"data: 1\n\n", 1000]) as server:
        es = EventSourceClient(server.url)
        heard: list[str] = []

        def talk() -> None:
            heard.append(es.receive(DEADLINE).data)
            es.close()
            es.wait_closed(DEADLINE)

        thread = threading.Thread(target=talk)
        thread.start()
        gevent.get_hub().threadpool.apply(thread.join)
    assert heard == ["1"]


def test_a_listener_that_raises_is_logged_and_the_stream_goes_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(event: Any) -> None:
        raise ZeroDivisionError

    heard: list[str] = []
    with Script([HEAD, b"data: 1\n\ndata: 2\n\n"], STOP) as server:
        es = EventSourceClient(server.url, **QUICK)
        es.on("message", fail)
        es.on("message", lambda event: heard.append(event.data))
        with pytest.raises(EventStreamError):
            es.wait_closed(DEADLINE)
    assert heard == ["1", "2"]
    assert caplog.text.count("a listener raised") == 2


def test_who_does_not_take_events_keeps_the_server_waiting() -> None:
    sent = 0

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterator[bytes]:
        nonlocal sent
        start_response("200 OK", [("Content-Type", "text/event-stream")])
        for sent in range(1000):
            yield b"data: %d %s\n\n" % (sent, b"x" * 2**16)

    server = WSGIServer(("127.0.0.1", 0), app, log=None)
    server.start()
    with EventSourceClient(f"http://127.0.0.1:{server.server_port}/", retry=100) as es:
        gevent.sleep(0.3)
        assert sent < 900
        numbers = [int(es.receive(DEADLINE).data.partition(" ")[0]) for _ in range(1000)]
    assert numbers == list(range(1000))
    server.stop()


def test_an_event_that_is_too_long_ends_it() -> None:
    with Script([HEAD, b"data: " + b"x" * 1000 + b"\n\n", 1000]) as server:
        assert "more than 100 bytes" in str(hear(server.url, max_length=100)[1])


# What is the user's own


def test_a_session_is_used_and_left_as_it_is() -> None:
    session = requests.Session()
    session.auth = ("user", "secret")
    session.headers["X-Session"] = "yes"
    session.cookies.set("a", "b")
    adapter = session.get_adapter("http://h")
    with Script(STOP) as server:
        hear(server.url, session=session, params={"c": "d"})
        head = server.heads[0]
    assert b"Authorization: Basic dXNlcjpzZWNyZXQ=\r\n" in head
    assert b"X-Session: yes\r\n" in head
    assert b"Cookie: a=b\r\n" in head
    assert b"a=b&c=d" in head
    assert session.get_adapter("http://h") is adapter


def test_another_method_and_its_data_are_sent() -> None:
    with Script([HEAD, b"data: a\n\n"], STOP) as server:
        hear(server.url, method="POST", json={"question": 1})
        assert all(head.startswith(b"POST") for head in server.heads)


def test_it_speaks_tls_and_knows_whom_to_trust(certificates: Certificates) -> None:
    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        es = EventSource(environ)
        es.on("open", lambda event: es.send("secret"))
        return es(environ, start_response)

    context = context_of(certificates.cert, certificates.key)
    server = WSGIServer(("127.0.0.1", 0), app, log=None, error_log=None, ssl_context=context)
    server.start()
    url = f"https://localhost:{server.server_port}/"
    with EventSourceClient(url, verify=certificates.ca) as es:
        assert es.receive(DEADLINE).data == "secret"
    with pytest.warns(match="Unverified HTTPS"), EventSourceClient(url, verify=False) as es:
        assert es.receive(DEADLINE).data == "secret"
    assert "certificate" in str(hear(url)[1])
    server.stop()
    server = WSGIServer(("127.0.0.2", 0), app, log=None, error_log=None, ssl_context=context)
    server.start()
    wrong = f"https://127.0.0.2:{server.server_port}/"
    assert "127.0.0.2" in str(hear(wrong, verify=certificates.ca)[1])
    server.stop()


@pytest.mark.parametrize("tls", [False, True], ids=["", "TLS to the proxy"])
def test_it_goes_through_proxies(certificates: Certificates, tls: bool) -> None:
    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        es = EventSource(environ)
        es.on("open", lambda event: es.send("through"))
        return es(environ, start_response)

    context = context_of(certificates.cert, certificates.key)
    server = WSGIServer(("127.0.0.1", 0), app, log=None, ssl_context=context)
    server.start()
    options = ["--cert", certificates.cert, "--key", certificates.key] if tls else []
    script = programs.ROOT / "examples" / "proxy_server.py"
    with programs.python(script, "0", "--password", "user:secret", *options) as proxy:
        port = proxy.wait_for_line(r"port (\d+)$")[1]
        origin = f"http{'s' * tls}://user:secret@localhost:{port}"
        with EventSourceClient(
            f"https://localhost:{server.server_port}/",
            proxies={"https": origin},
            verify=certificates.ca,
        ) as es:
            assert es.receive(DEADLINE).data == "through"
    server.stop()


@pytest.mark.parametrize("patched", [False, True], ids=["", "monkey-patched"])
def test_streams_do_not_keep_each_other_waiting(patched: bool) -> None:
    program = """
import sys
if "patched" in sys.argv:
    from gevent import monkey; monkey.patch_all()
import gevent
from gevent.pywsgi import WSGIServer
from greenlet import greenlet
from faye_ws import EventSource

def app(environ, start_response):
    es = EventSource(environ)
    es.on("open", lambda event: es.send(environ["QUERY_STRING"]))
    return es(environ, start_response)

server = WSGIServer(("127.0.0.1", 0), app, log=None)
server.start()
streams = [EventSource.Client(f"http://127.0.0.1:{server.server_port}/?{n}") for n in range(50)]
print(sum(int(es.receive(10).data) for es in streams))
for es in streams:
    es.close()
"""
    command = [sys.executable, "-W", "error", "-c", program, "patched" if patched else ""]
    done = subprocess.run(command, capture_output=True, text=True, timeout=40)
    assert (done.stdout, done.stderr) == ("1225\n", "")


def test_without_requests_it_says_what_to_install() -> None:
    program = """
import sys
sys.modules["requests"] = None
from faye_ws import EventSource
try:
    EventSource.Client("http://localhost/")
except ImportError as error:
    print(error)
"""
    command = [sys.executable, "-W", "error", "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30)
    assert "pip install faye_ws[eventsource]" in done.stdout


def test_without_requests_it_can_not_be_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("faye_ws.eventsource.client.IS_INSTALLED", False)
    with pytest.raises(ImportError, match="pip install"):
        EventSourceClient("http://localhost/")


def test_it_can_not_begin_when_the_process_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    reactor = Reactor(gevent.get_hub())
    reactor.end()
    monkeypatch.setattr("faye_ws.eventsource.client.place_of_client", lambda: (reactor, None))
    with pytest.raises(RuntimeError, match="the process ends"):
        run_in_thread(lambda: EventSourceClient("http://localhost/"))


def test_events_may_be_called_as_a_server_likes_but_not_nothing() -> None:
    with Script(FOREVER) as server, EventSourceClient(server.url) as es:
        es.on("what ever", print)
        for type in ("", None, 1):
            with pytest.raises(ValueError, match="not a type of events"):
                es.on(type, print)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "arguments",
    [
        {"url": "no url"},
        {"url": "http://"},
        {"retry": 0},
        {"retry": "1"},
        {"timeout": -1},
        {"connect_timeout": 0},
        {"connect_timeout": None},
        {"last_event_id": "a\nb"},
        {"last_event_id": 1},
        {"headers": {"X": "a\r\nb"}},
        {"what": 1},
    ],
)
def test_a_wrong_argument_is_an_error_at_once(arguments: dict[str, Any]) -> None:
    with pytest.raises((TypeError, ValueError)):
        EventSourceClient(**{"url": "http://localhost/", **arguments})


def test_nothing_is_left_of_streams_that_are_over() -> None:
    with Script([HEAD, b"data: 1\n\n", 1000]) as server:

        def visit() -> None:
            with EventSourceClient(server.url) as es:
                es.receive(DEADLINE)

        visit()
        gevent.sleep(0.05)
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(20):
            visit()
        gevent.killall(server._greenlets[1:])
        with gevent.Timeout(DEADLINE):
            while len(os.listdir("/proc/self/fd")) > before:
                gevent.sleep(0.01)


HOSTILE: dict[str, list[Any]] = {
    "no HTTP": [b"\0\xff" * 1000],
    "no head": [b"HTTP/1.1 200 OK\r\nContent-Ty"],
    "too many fields": [b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 1000 + b"\r\n"],
    "a line without an end": [b"HTTP/1.1 200 OK\r\nA: " + b"x" * 2**20],
    "no number of bytes": [CHUNKED, b"xyz\r\ndata: a\r\n"],
    "less than no bytes": [CHUNKED, b"-9\r\ndata: a\n\n"],
    "a size without an end": [CHUNKED, b"1" * 2**17],
    "the middle of a chunk": [CHUNKED, b"100\r\ndata: a\n\n"],
    "no end of chunks": [CHUNKED, b"9\r\ndata: a\n\n\r\n"],
    "less than it said": [HEAD.replace(b"\r\n\r\n", b"\r\nContent-Length: 99\r\n\r\n"), b"data"],
    "no gzip": [HEAD.replace(b"\r\n\r\n", b"\r\nContent-Encoding: gzip\r\n\r\n"), b"data: a\n\n"],
    "a reset": [HEAD, b"data: a\n\nda", None],
    "a reset at once": [None],
    "nothing": [],
}


@pytest.mark.parametrize("script", HOSTILE.values(), ids=HOSTILE)
def test_a_broken_response_is_a_lost_connection(
    script: list[Any], capfd: pytest.CaptureFixture[str]
) -> None:
    lost: list[str] = []
    with Script(script, script, [HEAD, b"data: at last\n\n"], STOP) as server:
        es = EventSourceClient(server.url, **QUICK)
        es.on("error", lambda event: lost.append(event.message))
        said = [event.data for event in iterate_until_end(es)]
    assert said[-1] == "at last"
    assert len(lost) == 4
    assert all(lost)
    assert capfd.readouterr().err == ""


def iterate_until_end(es: EventSourceClient) -> Iterator[Any]:
    """Iterate over what comes before the final answer."""
    with pytest.raises(EventStreamError, match="204"):
        yield from es


def test_a_response_without_a_body_is_an_end_like_any_other() -> None:
    with Script([HEAD], STOP) as server:
        assert hear(server.url, method="HEAD")[1].status == 204
        assert server.heads[0].startswith(b"HEAD ")


@pytest.mark.parametrize("moment", [*HOSTILE, "connecting", "open", "reading", "redirect"])
def test_nothing_is_left_after_close(moment: str) -> None:
    scripts = {
        **HOSTILE,
        "connecting": [1000],
        "open": FOREVER,
        "reading": [HEAD, b"data: a\n\n" * 100, 1000],
        "redirect": [b"HTTP/1.1 302 Found\r\nLocation: http://[\r\n\r\n", 1000],
    }

    def visit() -> None:
        with EventSourceClient(server.url, **QUICK) as es:
            errors.append(es)
            gevent.sleep(0.05)

    errors: list[Any] = []
    with Script(scripts[moment]) as server:
        visit()
        forget(server)
        before = os.listdir("/proc/self/fd"), count_greenlets()
        for _ in range(5):
            visit()
        # What was said of it is kept, and what that refers to: no connection.
        forget(server)
        wait_for(lambda: len(os.listdir("/proc/self/fd")) <= len(before[0]), "all are closed")
        wait_for(lambda: count_greenlets() <= before[1], "all greenlets have ended")


def forget(server: Script) -> None:
    """End the conversations of a server."""
    gevent.killall(server._greenlets[1:])
    del server._greenlets[1:]
    gevent.sleep(0)


def count_greenlets() -> int:
    """Return how many greenlets live."""
    gc.collect()
    return sum(isinstance(it, greenlet) and bool(it) for it in gc.get_objects())


# Those who wait


def test_all_who_wait_hear_of_the_end() -> None:
    with Script(FOREVER) as server:
        es = EventSourceClient(server.url)
        iterating = [gevent.spawn(list, es) for _ in range(10)]
        closing = [gevent.spawn(es.wait_closed) for _ in range(10)]
        receiving = [gevent.spawn(pytest.raises, EventStreamError, es.receive) for _ in range(10)]
        gevent.sleep(0.05)
        es.close()
        waiting: list[Any] = [*iterating, *closing, *receiving]
        assert len(gevent.joinall(waiting, timeout=DEADLINE)) == 30
        assert [greenlet.get() for greenlet in iterating] == [[]] * 10


def test_all_who_wait_hear_of_a_final_answer() -> None:
    with Script([HEAD, 0.1, b"data: a\n\n"], STOP) as server:
        es = EventSourceClient(server.url, **QUICK)

        def wait() -> None:
            with pytest.raises(EventStreamError):
                list(es)

        waiting = [gevent.spawn(wait) for _ in range(10)]
        assert len(gevent.joinall(waiting, timeout=DEADLINE)) == 10
        assert all(greenlet.successful() for greenlet in waiting)


def test_an_event_goes_to_one_who_waits_and_none_is_lost() -> None:
    events = b"".join(b"data: %d\n\n" % number for number in range(100))
    heard: list[int] = []
    with Script([HEAD, 0.05, events], STOP) as server:
        es = EventSourceClient(server.url, **QUICK)

        def receive() -> None:
            for event in iterate_until_end(es):
                heard.append(int(event.data))
                gevent.sleep(0)

        gevent.joinall([gevent.spawn(receive) for _ in range(7)], timeout=DEADLINE)
    assert sorted(heard) == list(range(100))


def test_it_can_be_referenced_weakly() -> None:
    with Script(FOREVER) as server:
        room = weakref.WeakSet([EventSourceClient(server.url)])
        (es,) = room
        es.close()
        del es
        gc.collect()
        assert not room


@pytest.mark.parametrize("is_heard", [False, True])
def test_a_closed_stream_is_freed_without_the_garbage_collector(is_heard: bool) -> None:
    gc.disable()
    try:
        with Script(FOREVER) as server:
            es = EventSourceClient(server.url)
            if is_heard:
                opened = gevent.event.Event()
                es.onopen = lambda event: opened.set()
                assert opened.wait(DEADLINE)
            parts = [weakref.ref(part) for part in (es, es._inbox, es._reader)]
            es.close()
            del es
            with gevent.Timeout(DEADLINE):
                while any(part() is not None for part in parts):
                    gevent.sleep(0.01)
    finally:
        gc.enable()


# Listeners that block, or raise what is not theirs


@pytest.mark.parametrize("type", ["open", "message", "error"])
def test_closing_ends_a_listener_that_blocks(type: str) -> None:
    ended: list[object] = []
    heard: list[str] = []
    blocked = gevent.event.Event()

    def block(event: Any) -> None:
        blocked.set()
        try:
            gevent.sleep(1000)
        except BaseException as error:
            ended.append(error.__class__)
            raise

    with Script([HEAD, b"data: a\n\ndata: b\n\n", 0.1]) as server:
        es = EventSourceClient(server.url, retry=1000, timeout=1000)
        es.on(type, block)
        es.on(type, lambda event: heard.append(event.type))
        assert blocked.wait(DEADLINE)
        with gevent.Timeout(DEADLINE):
            es.close()
        assert ended == [gevent.GreenletExit]
        es.wait_closed(0)
        gevent.sleep(0)
    assert heard == []


class Turns:
    """The turns that the hub has while it has always something to do."""

    def __init__(self) -> None:
        self.count = 0
        self._greenlet = gevent.spawn(self._run)

    def _run(self) -> None:
        while True:
            gevent.sleep(0)
            self.count += 1

    def __enter__(self) -> Turns:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._greenlet.kill()


@pytest.mark.parametrize("type", ["open", "message", "error"])
def test_closing_does_not_wait_for_a_listener_that_will_not_end(type: str) -> None:
    blocked, over = gevent.event.Event(), gevent.event.Event()

    def block(event: Any) -> None:
        blocked.set()
        try:
            gevent.sleep(1000)
        except gevent.GreenletExit:
            over.wait()

    with Script([HEAD, b"data: a\n\ndata: b\n\n", 0.1]) as server:
        es = EventSourceClient(server.url, retry=1000)
        es.on(type, block)
        assert blocked.wait(DEADLINE)
        with Turns() as turns:
            es.close()
            # In a second it would have a hundred thousand.
            assert turns.count < 1000
        over.set()
        es.wait_closed(0)
        assert len(server.heads) == 1


def test_a_listener_that_blocks_holds_up_no_connection_but_what_comes_over_it() -> None:
    heard: list[str] = []
    blocked, go_on = gevent.event.Event(), gevent.event.Event()

    def lose(event: Any) -> None:
        heard.append("lost")
        blocked.set()
        go_on.wait()
        heard.append("noticed")

    server = Script([HEAD, b"data: 1\n\n"], [HEAD, b"data: 2\n\n", 1000])
    with server, EventSourceClient(server.url, **QUICK) as es:
        es.on("open", lambda event: heard.append("open"))
        es.on("message", lambda event: heard.append(event.data))
        es.once("error", lose)
        assert blocked.wait(DEADLINE)
        wait_for(lambda: len(server.heads) == 2 and es.ready_state is ReadyState.OPEN)
        with Turns() as turns:
            wait_for(lambda: turns.count > 100)
        assert heard == ["open", "1", "lost"]
        go_on.set()
        wait_for(lambda: heard[-1] == "2")
    assert heard == ["open", "1", "lost", "noticed", "open", "2"]


def test_a_listener_may_wait_for_the_stream_that_it_listens_to() -> None:
    heard: list[str] = []

    def answer(event: Any) -> None:
        heard.append(event.data)
        try:
            es.wait_closed()
        except EventStreamError as error:
            heard.append(str(error))

    with Script([HEAD, b"data: a\n\n", 1000]) as server:
        es = EventSourceClient(server.url, **QUICK)
        es.on("message", answer)
        wait_for(lambda: heard == ["a"])
        es.close()
    with Script(STOP) as server:
        es = EventSourceClient(server.url, **QUICK)
        es.on("error", lambda event: answer(StreamMessageEvent("", es, "b", "", "")))
        wait_for(lambda: len(heard) == 3)
    assert heard[:2] == ["a", "b"]
    assert "204" in heard[2]


def test_listeners_have_heard_of_the_end_before_those_who_wait_for_it() -> None:
    heard: list[str] = []
    with Script(STOP) as server:
        es = EventSourceClient(server.url, **QUICK)
        es.on("error", lambda event: (gevent.sleep(0.01), heard.append(event.message)))
        with pytest.raises(EventStreamError, match="204"):
            es.wait_closed(DEADLINE)
    assert len(heard) == 1


def test_a_listener_that_is_added_late_hears_what_nobody_has_taken() -> None:
    heard: list[str] = []
    events = b"".join(b"data: %d\n\n" % number for number in range(20))
    with Script([HEAD, events], STOP) as server:
        es = EventSourceClient(server.url, last_event_id="x", **QUICK)
        wait_for(lambda: es.last_event_id == "x" and es.ready_state is ReadyState.OPEN)
        with Turns() as turns:
            wait_for(lambda: turns.count > 100)
        es.on("message", lambda event: heard.append(event.data))
        with pytest.raises(EventStreamError, match="204"):
            es.wait_closed(DEADLINE)
    assert heard == [str(number) for number in range(20)]


def test_what_nobody_listens_to_is_dropped_unless_somebody_iterates() -> None:
    heard: list[str] = []
    stream = b"event: other\ndata: 1\n\n" * 20 + b"data: 2\n\n"
    with Script([HEAD, stream, 1000]) as server, EventSourceClient(server.url) as es:
        es.on("message", lambda event: heard.append(event.data))
        wait_for(lambda: heard == ["2"])
        with pytest.raises(TimeoutError):
            es.receive(0)
    server = Script([HEAD, stream, 1000])
    with server, EventSourceClient(server.url) as es:
        es.on("message", lambda event: heard.append(event.data))
        assert [es.receive(DEADLINE).data for _ in range(20)] == ["1"] * 20
        wait_for(lambda: heard == ["2", "2"])


def test_a_listener_may_end_itself() -> None:
    heard: list[str] = []

    def leave(event: Any) -> None:
        raise gevent.GreenletExit

    with Script([HEAD, b"data: 1\n\ndata: 2\n\n"], STOP) as server:
        es = EventSourceClient(server.url, **QUICK)
        for type in ("open", "message", "error"):
            es.on(type, leave)
        es.on("message", lambda event: heard.append(event.data))
        with pytest.raises(EventStreamError, match="204"):
            es.wait_closed(DEADLINE)
    assert heard == ["1", "2"]


@pytest.mark.parametrize("type", ["open", "message", "error"])
@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_what_ends_a_program_reaches_its_main_greenlet(
    type: str, error: type[BaseException]
) -> None:
    def interrupt(event: Any) -> None:
        raise error

    server = Script([HEAD, b"data: 1\n\n"], [1000])
    with server, EventSourceClient(server.url, retry=1000) as es:
        es.once(type, interrupt)
        with pytest.raises(error), gevent.Timeout(DEADLINE):
            es.wait_closed()


@pytest.mark.parametrize(("said", "kept"), [("0", 0.1), ("99", 0.1), ("999999999999999", 3600.0)])
def test_a_server_can_neither_make_it_spin_nor_wait_for_ever(said: str, kept: float) -> None:
    with Script([HEAD, f"retry: {said}\ndata: a\n\n".encode()], STOP) as server:
        es = EventSourceClient(server.url, retry=0.01)
        assert es.receive(DEADLINE).data == "a"
        with gevent.Timeout(DEADLINE):
            while es.ready_state is EventSourceClient.OPEN:
                gevent.sleep(0.005)
        assert es.retry == kept
        es.close()


# In a thread without a hub


def wait_without_hub(is_met: Callable[[], bool]) -> None:
    """Wait until a condition is met, by no call of the library."""
    deadline = time.monotonic() + DEADLINE
    while not is_met():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def test_nothing_is_lost_that_comes_before_a_thread_has_added_its_listeners() -> None:
    heard: list[str] = []

    def note(event: Any) -> None:
        heard.append(event.data if isinstance(event, StreamMessageEvent) else event.type)

    def listen() -> None:
        es = EventSourceClient(server.url, **QUICK)
        wait_without_hub(lambda: es.ready_state is ReadyState.CLOSED)
        # The last to happen is the first to be listened to.
        for type in ("error", "tick", "message", "open"):
            es.on(type, note)
        with pytest.raises(EventStreamError, match="204"):
            es.wait_closed(DEADLINE)
        assert find_hub() is None

    first = b"data: 1\n\nevent: tick\ndata: 2\n\n"
    with Script([HEAD, first], [HEAD, b"data: 3\n\n"], STOP) as server:
        run_in_thread(listen)
    assert heard == ["open", "1", "2", "error", "open", "3", "error", "error"]


def test_nothing_is_lost_that_comes_between_one_listener_and_the_next() -> None:
    heard: list[str] = []

    def listen() -> None:
        es = EventSourceClient(server.url, **QUICK)
        es.on("tick", lambda event: heard.append("tick"))
        wait_without_hub(lambda: es.ready_state is ReadyState.OPEN)
        es.on("other", lambda event: heard.append("other"))
        with pytest.raises(EventStreamError, match="204"):
            es.wait_closed(DEADLINE)

    stream = b"event: other\nid: 1\ndata\n\nevent: tick\ndata\n\nevent: more\ndata\n\n"
    with Script([HEAD, stream], STOP) as server:
        run_in_thread(listen)
    assert heard == ["other", "tick"]


def test_what_a_thread_has_no_listeners_for_is_left_to_its_iteration() -> None:
    heard: list[str] = []

    def listen() -> None:
        with EventSourceClient(server.url, **QUICK) as es:
            wait_without_hub(lambda: es.last_event_id == "5")
            heard.extend(es.receive(DEADLINE).data for _ in range(20))
            with pytest.raises(TimeoutError, match="no event has come"):
                es.receive(0.01)
            with pytest.raises(TimeoutError, match="not closed"):
                es.wait_closed(0.01)
            assert find_hub() is None
        es.wait_closed()

    events = b"".join(b"id: %d\ndata: %d\n\n" % (number, number) for number in range(1, 21))
    with Script([HEAD, events, 1000]) as server:
        run_in_thread(listen)
    assert heard == [str(number) for number in range(1, 21)]


@pytest.mark.parametrize("type", ["open", "message", "error"])
@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_what_ends_a_program_reaches_the_thread_that_listens(
    type: str, error: type[BaseException]
) -> None:
    def interrupt(event: Any) -> None:
        raise error

    def listen() -> None:
        with EventSourceClient(server.url, retry=1000) as es:
            es.once(type, interrupt)
            with pytest.raises(error):
                es.wait_closed(DEADLINE)
            assert es.ready_state is not ReadyState.CLOSED

    with Script([HEAD, b"data: 1\n\n"], [1000]) as server:
        run_in_thread(listen)


def test_a_listener_in_a_thread_may_close_it() -> None:
    heard: list[str] = []

    def listen() -> None:
        es = EventSourceClient(server.url)
        es.on("message", lambda event: (heard.append(event.data), es.close()))
        es.wait_closed(DEADLINE)

    with Script([HEAD, b"data: 1\n\ndata: 2\n\n", 1000]) as server:
        run_in_thread(listen)
    assert heard == ["1"]
