"""The client against real servers: ours on pywsgi, `websockets`, and ones that misbehave."""

from __future__ import annotations

import gc
import os
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gevent
import pytest
from gevent import socket
from gevent import ssl as gevent_ssl
from gevent.pywsgi import WSGIServer
from websockets.sync.server import ServerConnection, serve

from faye_ws import Client, CloseEvent, ConnectionClosed, HandshakeError, ReadyState, WebSocket
from faye_ws.extensions import PermessageDeflate
from faye_ws.websocket.inbox import Inbox
from support import native
from support.certificates import Certificates
from support.serving import count_objects, wait_for

DEADLINE = 30.0
MESSAGES: list[str | bytes] = ["hi", b"bytes", "", b"", "é" * 100_000, bytes(range(256)) * 5_000]


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
    """Echo, for pages of one origin."""
    if not WebSocket.is_websocket(environ):
        start_response("404 Not Found", [("Content-Length", "19")])
        return [b"here is\n no such way"[:19]]
    ws = WebSocket(
        environ,
        protocols=["irc"],
        origins=["https://example.com"],
        extensions=[PermessageDeflate()],
    )

    @ws.on("message")
    def message(event: Any) -> None:
        if event.data == "/authorization":
            ws.send(environ.get("HTTP_AUTHORIZATION", "none"))
        else:
            ws.send(event.data)

    return ws(environ, start_response)


def serve_application(**options: Any) -> Iterator[WSGIServer]:
    server = WSGIServer(("127.0.0.1", 0), application, log=None, error_log=None, **options)
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def plain() -> Iterator[str]:
    for server in serve_application():
        yield f"ws://127.0.0.1:{server.server_port}/"


@pytest.fixture(scope="module")
def secure(certificates: Certificates) -> Iterator[str]:
    # gevent's, since its handshake must not hold up the hub, which is the client's, too.
    context = gevent_ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates.cert, certificates.key)
    for server in serve_application(ssl_context=context):
        yield f"wss://localhost:{server.server_port}/"


def listen() -> socket.socket:
    """Return a socket at which somebody may connect."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    return listener


def refusal(url: str, **options: Any) -> HandshakeError:
    """Return why a connection can't be opened."""
    with pytest.raises(HandshakeError) as raised, Client(url, **options):
        pytest.fail("it is open")
    return raised.value


def test_a_script_of_a_few_lines_talks_to_a_server(plain: str) -> None:
    with Client(plain, ["irc"]) as ws:
        assert (ws.ready_state, ws.protocol, ws.status_code) == (ReadyState.OPEN, "irc", 101)
        assert ws.headers is not None
        assert ws.headers.get("upgrade") == "websocket"
        for message in MESSAGES:
            ws.send(message)
            assert ws.receive(5) == message
    assert ws.ready_state is ReadyState.CLOSED
    assert ws.wait_closed().was_clean


def test_listeners_hear_the_life_of_a_connection_in_order(plain: str) -> None:
    heard: list[Any] = []
    ws = Client(plain)
    assert ws.send("sent before it is open")

    @ws.on("open")
    def opened(event: Any) -> None:
        heard.append("open")

    @ws.on("message")
    def message(event: Any) -> None:
        heard.append(event.data)
        ws.close(3001, "enough")

    @ws.on("close")
    def closed(event: CloseEvent) -> None:
        heard.append((event.code, event.reason, event.was_clean))

    ws.wait_closed(5)
    gevent.sleep(0)
    assert heard == ["open", "sent before it is open", (3001, "enough", True)]


def test_the_client_of_a_thread_is_freed_without_the_garbage_collector(plain: str) -> None:
    def work() -> None:
        with Client(plain) as ws:
            ws.send("hello")
            assert ws.receive(DEADLINE) == "hello"

    native.call(work)
    before = count_objects(Inbox)
    gc.disable()
    try:
        native.call(work)
        wait_for(lambda: count_objects(Inbox) == before, "the connection is freed")
    finally:
        gc.enable()


def test_listeners_have_heard_of_the_end_when_it_has_been_waited_for(plain: str) -> None:
    heard: list[int] = []
    ws = Client(plain)
    ws.on("open", lambda event: ws.close(3000))
    ws.on("close", lambda event: heard.append(event.code))
    ws.wait_closed(5)
    assert heard == [3000]


def test_a_listener_that_takes_its_time_does_not_hold_up_who_waits_for_the_end(plain: str) -> None:
    ws = Client(plain)
    ws.on("open", lambda event: ws.close())
    ws.on("close", lambda event: gevent.sleep(1000))
    assert ws.wait_closed(5).was_clean


@pytest.mark.parametrize("patched", [False, True], ids=["", "monkey-patched"])
def test_threads_that_have_had_clients_leave_no_descriptors_behind(patched: bool) -> None:
    program = """
import sys
if "patched" in sys.argv:
    from gevent import monkey; monkey.patch_all()
import gevent, os
from gevent.monkey import get_original
from gevent.pywsgi import WSGIServer
from faye_ws import Client, WebSocket

def app(environ, start_response):
    ws = WebSocket(environ)
    ws.on("message", lambda event: ws.send(event.data))
    return ws(environ, start_response)

def visit(waits):
    ws = Client(f"ws://127.0.0.1:{server.server_port}/")
    ws.send("hi")
    assert ws.receive(5) == "hi"
    ws.close()
    if waits:
        ws.wait_closed(5)
    done.append(waits)

def count():
    return len(os.listdir("/proc/self/fd"))

server = WSGIServer(("127.0.0.1", 0), app, log=None)
server.start()
gevent.sleep(0)
done = []
start = get_original("_thread", "start_new_thread")
with gevent.Timeout(20):
    # What the first needs is there for all that follow.
    start(visit, (True,))
    while not done:
        gevent.sleep(0.01)
    before = count()
    for number in range(20):
        start(visit, (number % 2,))
    while len(done) < 21 or count() > before:
        gevent.sleep(0.01)
print("clean")
"""
    command = [sys.executable, "-W", "error", "-c", program, "patched" if patched else ""]
    done = subprocess.run(command, capture_output=True, text=True, timeout=50)
    assert (done.stdout, done.stderr) == ("clean\n", "")


def test_it_speaks_tls_and_knows_the_server_by_its_certificate(
    secure: str, certificates: Certificates
) -> None:
    for options in ({"ca": certificates.ca}, {"tls": certificates.trusted}):
        with Client(secure, **options) as ws:
            for message in MESSAGES:
                ws.send(message)
                assert ws.receive(5) == message


def test_a_server_that_nobody_vouches_for_is_refused(secure: str) -> None:
    assert "certificate" in str(refusal(secure))


def test_a_certificate_for_another_host_is_refused(secure: str, certificates: Certificates) -> None:
    error = refusal(secure, tls={"ca": certificates.ca, "server_hostname": "example.com"})
    assert "example.com" in str(error)


def test_verification_can_be_switched_off(secure: str) -> None:
    with Client(secure, tls={"verify": False}) as ws:
        ws.send("anybody?")
        assert ws.receive(5) == "anybody?"


def test_extensions_are_offered_and_used(plain: str) -> None:
    with Client(plain, extensions=[PermessageDeflate()]) as ws:
        assert ws.extensions.startswith("permessage-deflate")
        ws.send("again and again " * 1000)
        assert ws.receive(5) == "again and again " * 1000


def test_credentials_in_the_url_are_decoded_and_sent(plain: str) -> None:
    url = plain.replace("ws://", "ws://us%20er:p%40ss@")
    with Client(url) as ws:
        assert "us" not in ws.url
        ws.send("/authorization")
        assert ws.receive(5) == "Basic dXMgZXI6cEBzcw=="


def test_a_refused_origin_gives_the_status_and_what_the_server_says(plain: str) -> None:
    ws = Client(plain, origin="https://elsewhere.example")
    errors: list[str] = []
    ws.on("error", lambda event: errors.append(event.message))
    event = ws.wait_closed(5)
    gevent.sleep(0)
    assert (event.code, event.was_clean, ws.status_code) == (1006, False, 403)
    assert errors == [event.reason]
    assert "403 Forbidden" in event.reason
    assert "not allowed" in event.reason


@pytest.mark.parametrize(
    "url",
    [
        "ftp://localhost/",
        "ws://",
        "ws:///path",
        "ws://localhost/#part",
        "ws://localhost:99999/",
        "ws://local host/",
        "ws://localhost/\r\nX: y",
        "localhost",
    ],
)
def test_a_url_that_is_none_is_a_value_error_at_once(url: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        Client(url)


def test_nobody_at_the_port_is_an_error_that_names_it() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        error = refusal(f"ws://127.0.0.1:{port}/")
    assert f"127.0.0.1:{port}" in str(error)
    assert isinstance(error.__cause__, ConnectionRefusedError)


@pytest.mark.parametrize("scheme", ["ws", "wss"])
def test_a_server_that_says_nothing_is_given_up(scheme: str) -> None:
    with listen() as silent:
        url = f"{scheme}://127.0.0.1:{silent.getsockname()[1]}/"
        assert "0.2 seconds" in str(refusal(url, connect_timeout=0.2))


def test_a_server_that_hangs_up_in_the_handshake_is_an_error() -> None:
    with listen() as server:
        ws = Client(f"ws://127.0.0.1:{server.getsockname()[1]}/")
        peer, _ = server.accept()
        peer.close()
        assert ws.wait_closed(5).code == 1006
        with pytest.raises(ConnectionClosed):
            ws.receive(5)


def test_close_before_and_while_connecting_ends_at_once_with_one_event() -> None:
    with listen() as silent:
        for pause in (0, 0.05):
            closes: list[int] = []
            ws = Client(f"ws://127.0.0.1:{silent.getsockname()[1]}/")
            ws.on("close", lambda event, closes=closes: closes.append(event.code))
            gevent.sleep(pause)
            ws.close()
            ws.close()
            assert not ws.send("too late")
            ws.wait_closed(5)
            gevent.sleep(0.01)
            assert closes == [1006]


def test_a_connected_socket_and_a_unix_socket_are_taken(plain: str, tmp_path: Path) -> None:
    port = int(plain.rstrip("/").rpartition(":")[2])
    with Client("ws://elsewhere.example/", net=socket.create_connection(("127.0.0.1", port))) as ws:
        ws.send("hi")
        assert ws.receive(5) == "hi"
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "socket"))
    listener.listen()
    server = WSGIServer(listener, application, log=None)
    server.start()
    with Client("ws://localhost/", net=str(tmp_path / "socket")) as ws:
        ws.send("hi")
        assert ws.receive(5) == "hi"
    server.stop()
    listener.close()


def test_it_talks_to_the_server_of_websockets() -> None:
    def echo(connection: ServerConnection) -> None:
        for message in connection:
            connection.send(message)

    with serve(echo, "127.0.0.1", 0, max_size=None) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        port = server.socket.getsockname()[1]
        with Client(f"ws://127.0.0.1:{port}/", extensions=[PermessageDeflate()]) as ws:
            for message in MESSAGES:
                ws.send(message)
                assert ws.receive(5) == message
        assert ws.wait_closed().was_clean
        server.shutdown()
        thread.join()


def test_hundreds_of_clients_leave_nothing_behind(plain: str) -> None:
    before = len(os.listdir("/proc/self/fd"))
    clients = [Client(plain, connect_timeout=60) for _ in range(300)]
    for ws in clients:
        ws.wait_open()
        ws.send("hi")
    assert [ws.receive(30) for ws in clients] == ["hi"] * len(clients)
    for ws in clients:
        ws.close()
    for ws in clients:
        ws.wait_closed(30)
    with gevent.Timeout(30):
        while len(os.listdir("/proc/self/fd")) > before:
            gevent.sleep(0.01)
