"""WebSockets on every WSGI server that is supported, plain and with TLS, raw and in Flask."""

from __future__ import annotations

import itertools
import os
import re
import socket
import ssl
import struct
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import requests
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from support import drafts, programs
from support.certificates import Certificates
from support.streams import Cut, bytewise

HERE = Path(__file__).parent
SERVED = HERE / "served.py"
DEADLINE = 15.0
MESSAGES: list[str | bytes] = ["hi", b"bytes", "", b"", "é" * 10_000, b"x" * 2**20]

_GUNICORN = {"gevent": ["-k", "gevent"], "gthread": ["-k", "gthread", "--threads", "8"]}
SERVERS = ["pywsgi", "gevent", "gthread", "werkzeug"]

pytestmark = pytest.mark.timeout(120)


class Served:
    """A server that runs, and what it has logged."""

    def __init__(self, program: programs.Program, port: int, tls: Certificates | None) -> None:
        self.program = program
        self.port = port
        self.trust = ssl.create_default_context(cafile=tls.ca) if tls else None
        if self.trust:
            # The client of `websockets` reads in one thread and writes in another. In TLS 1.3
            # the tickets after the handshake make the two meet, and a request can be lost.
            self.trust.maximum_version = ssl.TLSVersion.TLSv1_2
        self._seen = 0
        self._numbers = itertools.count()

    def own(self, path: str) -> str:
        """Return a path that is the same to the application, and that no other test asks for.

        What others have done may be logged at any time: servers log when they come to it.
        """
        return f"{path}?{next(self._numbers)}"

    def connect(self, path: str, **options: Any) -> Any:
        scheme = "wss" if self.trust else "ws"
        options.setdefault("compression", None)
        return connect(
            f"{scheme}://localhost:{self.port}{path}",
            ssl=self.trust,
            max_size=None,
            proxy=None,
            **options,
        )

    def log(self) -> str:
        """Return what was logged since the last `wait_for_access` or the start."""
        return self.program.errors()[self._seen :]

    def wait_for_access(self, path: str, status: int) -> str:
        """Wait for one line of the access log, and return all that was logged with it."""
        path = re.escape(path)
        pattern = re.compile(rf'GET {path} HTTP/1.1\S*"? \S*{status}\b')
        wait_for(lambda: pattern.search(self.log()), f"{path} {status} in the log", self.log)
        log = self.log()
        self._seen += len(log)
        assert len(re.findall(rf"GET {path} HTTP/1.1", log)) == 1, log
        return log

    def descriptors(self) -> int:
        """Return how many descriptors the process that serves has open."""
        pid = self.program.process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return len(os.listdir(f"/proc/{children[0] if children else pid}/fd"))


def wait_for(condition: Callable[[], object], what: str, log: Callable[[], str]) -> None:
    deadline = time.monotonic() + DEADLINE
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"not after {DEADLINE} s: {what}\n{log()}")
        time.sleep(0.01)


def start(server: str, app: str, tls: Certificates | None) -> tuple[programs.Program, int | None]:
    if server in _GUNICORN:
        command = [
            sys.executable,
            "-m",
            "gunicorn",
            *_GUNICORN[server],
            "-b",
            "localhost:0",
            "--chdir",
            str(HERE),
            "--access-logfile",
            "-",
            "--graceful-timeout",
            "2",
            "--no-control-socket",
        ]
        if tls:
            command += ["--certfile", tls.cert, "--keyfile", tls.key]
        command[command.index("localhost:0")] = "127.0.0.1:0"
        # Its access log goes to the standard output.
        shell = 'exec "$@" >&2'
        return programs.Program(["bash", "-c", shell, "gunicorn", *command, f"served:{app}"]), None
    options = [tls.cert, tls.key] if tls else []
    return programs.Program([sys.executable, "-u", str(SERVED), server, app, *options]), 0


@pytest.fixture(
    scope="module",
    params=[
        f"{server} {app}{tls}"
        for server in SERVERS
        for app, tls in (("wsgi", ""), ("flask_app", ""), ("wrapped", ""), ("flask_app", " TLS"))
    ],
)
def served(request: pytest.FixtureRequest, certificates: Certificates) -> Iterator[Served]:
    server, app, *rest = request.param.split()
    tls = certificates if rest else None
    program, port = start(server, app, tls)
    with program:
        if port is None:
            port = program.wait_for_gunicorn()
        else:
            port = int(program.wait_for_line(r"port (\d+)")[1])
        running = Served(program, port, tls)
        url = f"http{'s' if tls else ''}://localhost:{port}/"
        verify = certificates.ca if tls else False
        assert requests.get(url, verify=verify, timeout=DEADLINE).text == "page\n"
        running.wait_for_access("/", 200)
        yield running
        assert requests.get(url, verify=verify, timeout=DEADLINE).text == "page\n"


@pytest.mark.parametrize("path", ["/echo", "/loop", "/open"])
def test_messages_come_back_and_one_line_is_logged(served: Served, path: str) -> None:
    path = served.own(path)
    with served.connect(path, subprotocols=["irc"]) as ws:
        assert ws.subprotocol == "irc"
        for message in MESSAGES:
            ws.send(message)
            assert ws.recv(DEADLINE) == message
        ws.close(4000, "enough")
    # Over TLS on Python 3.10 the client of `websockets` stops reading when it closes.
    if served.trust is None or sys.version_info >= (3, 11):
        assert (ws.close_code, ws.close_reason) == (4000, "enough")
    assert "Traceback" not in served.wait_for_access(path, 101)


def test_the_server_closes_with_a_code_and_a_reason(served: Served) -> None:
    path = served.own("/close")
    with served.connect(path) as ws, pytest.raises(ConnectionClosed) as raised:
        ws.recv(DEADLINE)
    assert raised.value.rcvd is not None
    assert (raised.value.rcvd.code, raised.value.rcvd.reason) == (4001, "that is all")
    assert "Traceback" not in served.wait_for_access(path, 101)


def test_a_listener_that_raises_is_one_traceback_and_1011(served: Served) -> None:
    path = served.own("/fail")
    with served.connect(path) as ws:
        ws.send("please fail")
        with pytest.raises(ConnectionClosed) as raised:
            ws.recv(DEADLINE)
    assert raised.value.rcvd is not None
    assert raised.value.rcvd.code == 1011
    log = served.wait_for_access(path, 101)
    assert log.count("Traceback") == 1
    assert "this listener always fails" in log


def test_an_application_that_raises_after_opening_is_1011_and_no_page_follows(
    served: Served,
) -> None:
    with served.connect("/broken") as ws:
        ws.send("please fail")
        with pytest.raises(ConnectionClosed) as raised:
            ws.recv(DEADLINE)
    assert raised.value.rcvd is not None
    assert raised.value.rcvd.code == 1011
    wait_for(lambda: "this application always fails" in served.log(), "it is logged", served.log)
    # pywsgi and Werkzeug log what they wanted to answer, gunicorn nothing.
    served._seen += len(served.log())


@pytest.mark.parametrize(
    ("headers", "status"),
    [({"Origin": "https://elsewhere.example"}, 403), ({"Sec-WebSocket-Version": "8"}, 426)],
)
def test_a_refused_handshake_is_one_line_with_its_status(
    served: Served, headers: dict[str, str], status: int
) -> None:
    path = served.own("/echo")
    if "Origin" in headers:
        with pytest.raises(InvalidStatus) as raised:
            served.connect(path, origin=headers["Origin"])
        assert raised.value.response.status_code == status
    else:
        peer = dial(served)
        peer.sendall(handshake(path, version="8"))
        head = peer.recv(2**16)
        assert f"HTTP/1.1 {status} ".encode() in head or f"HTTP/1.0 {status} ".encode() in head
        assert b"sec-websocket-version: 13" in head.lower()
        peer.close()
    assert "Traceback" not in served.wait_for_access(path, status)


# Requests within what a proxy takes for a body.
BODIES = {
    "Content-Length: 27": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "Transfer-Encoding: chunked": b"1b\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n\r\n0\r\n\r\n",
}


@pytest.mark.parametrize(("field", "body"), BODIES.items(), ids=BODIES)
def test_a_handshake_with_a_body_is_a_400_and_nothing_comes_of_the_body(
    served: Served, field: str, body: bytes
) -> None:
    path = served.own("/echo")
    peer = dial(served)
    peer.sendall(handshake(path, more=f"{field}\r\n") + body)
    answer = b""
    # Closed with what it has not read, the connection may be reset.
    with suppress(OSError):
        while data := peer.recv(2**16):
            answer += data
    peer.close()
    assert answer.partition(b" ")[2].startswith(b"400 "), answer
    assert b"must not have a body\n" in answer
    assert answer.count(b"HTTP/1.") == 1, answer
    assert "Traceback" not in served.wait_for_access(path, 400)


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_page_of_http_gets_no_connection_with_tls(served: Served, scheme: str) -> None:
    path = served.own("/echo")
    origin = f"{scheme}://localhost:{served.port}"
    if served.trust is not None and scheme == "http":
        with pytest.raises(InvalidStatus) as raised:
            served.connect(path, origin=origin)
        assert raised.value.response.status_code == 403
        served.wait_for_access(path, 403)
        return
    with served.connect(path, origin=origin) as ws:
        ws.send("hi")
        assert ws.recv(DEADLINE) == "hi"
    served.wait_for_access(path, 101)


def handshake(path: str, version: str = "13", more: str = "") -> bytes:
    return (
        f"GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: {version}\r\n"
        f"{more}\r\n"
    ).encode()


def dial(served: Served) -> socket.socket:
    peer = socket.create_connection(("127.0.0.1", served.port), DEADLINE)
    if served.trust is not None:
        return served.trust.wrap_socket(peer, server_hostname="localhost")
    return peer


@pytest.mark.parametrize("path", ["/echo", "/loop"])
@pytest.mark.parametrize("end", ["reset", "hang up"])
def test_a_client_that_drops_out_is_one_line_and_no_traceback(
    served: Served, path: str, end: str
) -> None:
    path = served.own(path)
    peer = dial(served)
    peer.sendall(handshake(path))
    assert b"101 Switching Protocols" in peer.recv(2**16)
    if end == "reset":
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.close()
    assert "Traceback" not in served.wait_for_access(path, 101)


def test_frames_in_the_segment_of_the_handshake_are_frames(served: Served) -> None:
    path = served.own("/echo")
    peer = dial(served)
    hello = b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"
    peer.sendall(handshake(path) + hello * 2)
    received = b""
    while received.count(b"\x81\x05Hello") < 2:
        data = peer.recv(2**16)
        assert data, received
        received += data
    # Nothing but frames follows the handshake, until the end.
    peer.sendall(b"\x88\x80\x37\xfa\x21\x3d")
    while data := peer.recv(2**16):
        received += data
    assert received.partition(b"\r\n\r\n")[2] == b"\x81\x05Hello" * 2 + b"\x88\x00"
    peer.close()
    served.wait_for_access(path, 101)


@pytest.mark.parametrize("version", drafts.DRAFTS)
def test_a_conversation_in_an_old_draft(served: Served, version: str, cut: Cut) -> None:
    host = f"localhost:{served.port}"
    path = served.own("/echo")
    client = drafts.Client(dial(served), version, host, path, protocol="irc")
    client.open(cut, early=drafts.text("early"))
    assert client.read_text() == "early"
    client.send(drafts.sized(b"skipped") + drafts.text("héllo"), cut)
    assert client.read_text() == "héllo"
    client.close()
    assert "Traceback" not in served.wait_for_access(path, 101)


def test_the_last_key_of_hixie_76_may_come_after_our_head(served: Served) -> None:
    path = served.own("/echo")
    client = drafts.Client(dial(served), drafts.HIXIE_76, f"localhost:{served.port}", path)
    client.open(bytewise, is_late=True)
    client.send(drafts.text("hello"))
    assert client.read_text() == "hello"
    client.close()
    assert "Traceback" not in served.wait_for_access(path, 101)


def test_a_key_of_hixie_76_that_is_wrong_is_a_400(served: Served) -> None:
    path = served.own("/echo")
    client = drafts.Client(dial(served), drafts.HIXIE_76, f"localhost:{served.port}", path)
    lines = [line for line in client.request.split(b"\r\n") if b"Key2" not in line]
    client.send(b"\r\n".join(lines) + client.last_key)
    answer = b""
    while b"there must be one Sec-WebSocket-Key2\n" not in answer:
        answer += client.take(1)
    assert b" 400 " in answer.partition(b"\r\n")[0]
    client.socket.close()
    assert "Traceback" not in served.wait_for_access(path, 400)


def test_a_connection_may_send_to_one_of_another_thread(served: Served) -> None:
    with served.connect("/tell") as one, served.connect("/tell") as other:
        one.send("one")
        assert one.recv(DEADLINE) == "joined"
        other.send("one: hello")
        assert str(other.recv(DEADLINE)).startswith("True")
        assert one.recv(DEADLINE) == "hello"
    wait_for(lambda: served.log().count("GET /tell") == 2, "both are logged", served.log)
    assert "Traceback" not in served.log()
    served._seen += len(served.log())


def test_descriptors_come_back(served: Served) -> None:
    def talk() -> None:
        with served.connect("/echo") as ws:
            ws.send("hi")
            assert ws.recv(DEADLINE) == "hi"

    for _ in range(10):
        talk()
    before = served.descriptors()
    for _ in range(20):
        talk()
    wait_for(lambda: served.descriptors() <= before + 1, "descriptors come back", served.log)
    served._seen += len(served.log())


def test_a_server_that_hides_its_sockets_is_named(certificates: Certificates) -> None:
    program, _ = start("waitress", "wsgi", None)
    with program:
        port = int(program.wait_for_line(r"port (\d+)")[1])
        with pytest.raises(InvalidStatus) as raised:
            connect(f"ws://127.0.0.1:{port}/echo", proxy=None)
        assert raised.value.response.status_code == 500
        wait_for(lambda: "UnsupportedServer" in program.errors(), "it is told", program.errors)
        assert "waitress keeps its sockets" in program.errors()
        assert "gunicorn" in program.errors()
