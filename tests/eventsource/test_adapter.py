"""The connections of an event stream's client, with peers that never pause, or drip."""

from __future__ import annotations

import gzip
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import gevent
import gevent.event
import pytest
import requests
from gevent import socket
from gevent.server import StreamServer
from requests.adapters import HTTPAdapter

from faye_ws.errors import EventStreamError
from faye_ws.eventsource.client import EventSourceClient
from support.certificates import Certificates
from support.redirecting import context_of
from support.stream_servers import HEAD, STOP, Script, flood, read_head

DEADLINE = 30.0
CHUNKED = HEAD.replace(b"Connection", b"Transfer-Encoding: chunked\r\nConnection")
PACKED = HEAD.replace(b"Connection", b"Content-Encoding: gzip\r\nConnection")


def first_error(url: str, **options: Any) -> str:
    """Return what a client says of its first connection, which others do not wait for."""
    said: gevent.event.AsyncResult[str] = gevent.event.AsyncResult()
    with EventSourceClient(url, retry=100, **options) as es:
        es.on("error", lambda event: said.set(event.message))
        message = said.get(timeout=DEADLINE)
    assert message is not None
    return message


# Peers that never pause


def take_turns(es: EventSourceClient) -> None:
    """Have a few turns while a stream is read. If there are none, no timeout fires either."""
    begun = time.monotonic()
    opened = gevent.event.Event()
    es.on("open", lambda event: opened.set())
    assert opened.wait(DEADLINE)
    for _ in range(20):
        gevent.sleep(0.001)
    assert time.monotonic() - begun < DEADLINE
    assert es.ready_state is es.OPEN


@pytest.mark.parametrize(
    ("first", "piece"),
    [
        pytest.param(HEAD, b":\n", id="comments"),
        pytest.param(HEAD, b": " + b"x" * 2**16 + b"\n", id="long comments"),
        pytest.param(HEAD, b"event: other\ndata\n\n", id="events"),
        pytest.param(HEAD, b"data: " + b"x" * 2**16 + b"\n\n", id="long events"),
        pytest.param(CHUNKED, b"1\r\n:\r\n", id="small chunks"),
        pytest.param(PACKED, gzip.compress(b":\n" * 2**22), id="compressed"),
        pytest.param(PACKED, gzip.compress(b""), id="nothing, compressed"),
    ],
)
def test_a_stream_without_a_pause_holds_up_nobody(first: bytes, piece: bytes) -> None:
    with flood(first, piece) as url, EventSourceClient(url, retry=100) as es:
        es.on("other", lambda event: None)
        es.on("message", lambda event: None)
        take_turns(es)


@pytest.mark.parametrize("status", [b"100 Continue", b"102 Processing", b"103 Early Hints"])
def test_interim_responses_without_an_end_are_not_passed_over(status: bytes) -> None:
    with flood(b"", b"HTTP/1.1 " + status + b"\r\n\r\n") as url:
        assert "more than 8 interim responses" in first_error(url)


def test_an_interim_response_without_an_end_is_not_passed_over() -> None:
    with flood(b"HTTP/1.1 100 Continue\r\n", b"A: b\r\n") as url:
        assert "an interim response of more than 16384 bytes" in first_error(url)


def test_a_trailer_without_an_end_is_not_waited_for() -> None:
    with flood(CHUNKED + b"0\r\n", b"A: b\r\n") as url:
        assert "a trailer of more than 16384 bytes" in first_error(url)


def test_interim_responses_are_passed_over() -> None:
    hints = b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\n"
    interim = b"HTTP/1.1 100 Continue\r\n\r\n" + hints + b"HTTP/1.1 102 Processing\r\n\r\n"
    server = Script([interim + HEAD, b"data: a\n\n", 1000])
    with server, EventSourceClient(server.url) as es:
        assert es.receive(DEADLINE).data == "a"
        assert es.status_code == 200


def test_what_changes_the_protocol_is_final() -> None:
    with Script([b"HTTP/1.1 101 Switching Protocols\r\n\r\n", 1000]) as server:
        assert "101" in first_error(server.url)


# Peers that drip


@contextmanager
def drip(drops: bytes, asked: bool = True) -> Iterator[int]:
    """Send a byte every now and then, to each client that comes; without a request even."""

    def talk(sock: Any, address: object) -> None:
        try:
            if asked:
                read_head(sock)
            for place in range(len(drops)):
                sock.sendall(drops[place : place + 1])
                gevent.sleep(0.02)
            gevent.sleep(1000)
        except OSError:
            pass  # The client has had enough.

    server = StreamServer(("127.0.0.1", 0), talk)
    server.start()
    yield int(server.address[1])
    server.stop(timeout=0)


DROPS = b"HTTP/1.1 200 OK\r\nX: " + b"x" * 2**16
IN_TIME = "no response within 0.3 seconds"


def test_a_head_that_drips_is_not_waited_for() -> None:
    with drip(DROPS) as port:
        url = f"http://127.0.0.1:{port}/"
        assert first_error(url, connect_timeout=0.3) == IN_TIME


def test_a_head_that_drips_after_a_redirect_is_not_waited_for() -> None:
    with drip(DROPS) as port:
        location = f"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:{port}/\r\n\r\n"
        with Script([location.encode()]) as server:
            assert first_error(server.url, connect_timeout=0.3) == IN_TIME


def test_tls_that_drips_is_not_waited_for() -> None:
    with drip(b"\x16\x03\x03\x40\0" + bytes(2**14), asked=False) as port:
        url = f"https://127.0.0.1:{port}/"
        assert first_error(url, connect_timeout=0.3) == IN_TIME


@pytest.mark.parametrize("scheme", ["http", "https", "socks5", "socks5h"])
def test_a_proxy_that_drips_is_not_waited_for(scheme: str) -> None:
    greeting = {"http": DROPS, "https": b"\x16\x03\x03\x40\0" + bytes(2**14)}
    with drip(greeting.get(scheme, b"\x05"), asked=scheme == "http") as port:
        proxies = {"https": f"{scheme}://127.0.0.1:{port}"}
        url = "https://127.0.0.1:1/"
        assert first_error(url, proxies=proxies, connect_timeout=0.3) == IN_TIME


def test_a_server_that_says_nothing_is_not_waited_for() -> None:
    with Script([1000]) as server:
        assert first_error(server.url, connect_timeout=0.3) == IN_TIME


def test_a_stream_may_last_longer_than_connecting() -> None:
    server = Script([HEAD, 0.5, b"data: late\n\n", 1000])
    with server, EventSourceClient(server.url, connect_timeout=0.2) as es:
        assert es.receive(DEADLINE).data == "late"


def test_a_server_can_not_make_us_wait_before_the_next_try() -> None:
    session = requests.Session()
    session.mount("http://", HTTPAdapter(max_retries=3))
    # urllib3 would sleep for so long, and the whole thread with it.
    busy = [b"HTTP/1.1 503 Busy\r\nRetry-After: 3600\r\nContent-Length: 0\r\n\r\n"]
    with Script(busy, STOP) as server:
        es = EventSourceClient(server.url, session=session, retry=0.02)
        with pytest.raises(EventStreamError, match="204"):
            es.wait_closed(DEADLINE)


# Ways


@contextmanager
def socks(passed: list[bytes], refuse: bool = False) -> Iterator[int]:
    """Run a SOCKS5 proxy, which notes what it is asked for."""

    def talk(sock: Any, address: object) -> None:
        sock.recv(100)
        sock.sendall(b"\x05\0")
        asked = sock.recv(100)
        passed.append(asked)
        if refuse:
            sock.sendall(b"\x05\x05\0\x01" + bytes(6))
            return
        sock.sendall(b"\x05\0\0\x01" + bytes(6))
        port = int.from_bytes(asked[-2:], "big")
        with socket.create_connection(("127.0.0.1", port)) as onward:
            back = gevent.spawn(relay, onward, sock)
            relay(sock, onward)
            back.kill()

    server = StreamServer(("127.0.0.1", 0), talk)
    server.start()
    yield int(server.address[1])
    server.stop(timeout=0)


def relay(source: Any, target: Any) -> None:
    """Pass on what comes, to its end."""
    try:
        while data := source.recv(2**16):
            target.sendall(data)
    except OSError:
        pass  # One of them has gone.


@pytest.mark.parametrize(("scheme", "kind"), [("socks5", 1), ("socks5h", 3)])
def test_it_goes_through_a_socks_proxy_in_its_own_greenlet(scheme: str, kind: int) -> None:
    passed: list[bytes] = []
    with Script([HEAD, b"data: a\n\n", 1000]) as server, socks(passed) as port:
        url = server.url.replace("127.0.0.1", "localhost")
        proxies = {"http": f"{scheme}://127.0.0.1:{port}"}
        with EventSourceClient(url, proxies=proxies) as es:
            assert es.receive(DEADLINE).data == "a"
    assert passed[0][:4] == bytes((5, 1, 0, kind))
    assert server.heads[0].startswith(b"GET /feed?a=b ")


def test_a_socks_proxy_that_refuses_says_why() -> None:
    passed: list[bytes] = []
    with socks(passed, refuse=True) as port:
        proxies = {"http": f"socks5h://127.0.0.1:{port}"}
        assert "connection refused" in first_error("http://localhost:1/", proxies=proxies)


@pytest.mark.parametrize("url", ["socks4://127.0.0.1:1", "socks5://user:" + "x" * 256 + "@h:1"])
def test_a_socks_proxy_that_can_not_be_spoken_to_ends_it(url: str) -> None:
    es = EventSourceClient("http://localhost:1/", proxies={"http": url})
    with pytest.raises(EventStreamError):
        es.wait_closed(DEADLINE)


@pytest.mark.parametrize("host", ["a..b", "a" * 70 + ".example"])
def test_a_name_that_can_be_none_ends_it(host: str, capfd: pytest.CaptureFixture[str]) -> None:
    location = f"HTTP/1.1 302 Found\r\nLocation: http://{host}/\r\n\r\n"
    with Script([location.encode()]) as server:
        es = EventSourceClient(server.url, retry=100)
        with pytest.raises(EventStreamError, match="a label is empty or too long"):
            es.wait_closed(DEADLINE)
    assert capfd.readouterr().err == ""


def test_a_program_may_be_patched_after_it_has_imported_everything(
    certificates: Certificates,
) -> None:
    program = """
import sys
import faye_ws, requests
from gevent import monkey
monkey.patch_all()
from gevent.pywsgi import WSGIServer
from gevent.ssl import SSLContext, PROTOCOL_TLS_SERVER

def app(environ, start_response):
    es = faye_ws.EventSource(environ)
    es.on("open", lambda event: es.send("a"))
    return es(environ, start_response)

ca, cert, key = sys.argv[1:]
context = SSLContext(PROTOCOL_TLS_SERVER)
context.load_cert_chain(cert, key)
server = WSGIServer(("127.0.0.1", 0), app, log=None, ssl_context=context)
server.start()
url = f"https://localhost:{server.server_port}/"
with faye_ws.EventSource.Client(url, verify=ca) as es:
    print(es.receive(10).data)
"""
    files = [certificates.ca, certificates.cert, certificates.key]
    # gevent itself warns of those who patch so late.
    command = [sys.executable, "-c", program, *files]
    done = subprocess.run(command, capture_output=True, text=True, timeout=40)
    assert done.stdout == "a\n", done.stderr
    assert "Traceback" not in done.stderr


def test_tls_is_read_in_pieces_between_which_others_have_their_turn(
    certificates: Certificates,
) -> None:
    def talk(sock: Any, address: object) -> None:
        try:
            read_head(sock)
            sock.sendall(HEAD)
            while True:
                sock.sendall(b":\n" * 2**20)
        except OSError:
            pass  # The client has had enough.

    stop = threading.Event()
    ports: list[int] = []
    ready = threading.Event()

    def serve() -> None:
        # A hub of its own, which waits for nobody.
        context = context_of(certificates.cert, certificates.key)
        server = StreamServer(("127.0.0.1", 0), talk, ssl_context=context)
        server.start()
        ports.append(int(server.address[1]))
        ready.set()
        while not stop.is_set():
            gevent.sleep(0.01)
        server.stop(timeout=0)
        gevent.get_hub().destroy(destroy_loop=True)

    thread = threading.Thread(target=serve)
    thread.start()
    assert ready.wait(DEADLINE)
    try:
        with EventSourceClient(f"https://localhost:{ports[0]}/", verify=certificates.ca) as es:
            take_turns(es)
    finally:
        stop.set()
        thread.join(DEADLINE)
