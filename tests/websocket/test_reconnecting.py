"""A client that connects again and again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import gevent
import pytest
from gevent import socket
from gevent.pywsgi import WSGIServer

from faye_ws import (
    Client,
    ConnectionClosed,
    HandshakeError,
    InvalidStatus,
    ReadyState,
    WebSocket,
    reconnect,
)
from support.certificates import Certificates
from support.redirecting import context_of

QUICK: dict[str, Any] = {"min_delay": 0.01, "max_delay": 0.02}


class Server:
    """A server that can be stopped and started at one port.

    Attributes:
        statuses: what it answers the next requests with; afterwards it accepts.
        opened: how many connections it has accepted.
    """

    def __init__(self, **options: Any) -> None:
        self._options = options
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self.statuses: list[str] = []
        self.opened = 0
        self._server: WSGIServer | None = None

    def start(self) -> None:
        self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind(("127.0.0.1", self.port))
        self._listener.listen()
        self._server = WSGIServer(self._listener, self._answer, log=None, **self._options)
        self._server.start()

    def stop(self) -> None:
        if self._server is not None:
            self._server.stop()
            self._listener.close()
            self._server = None

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/"

    def _answer(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        if self.statuses:
            start_response(self.statuses.pop(0), [("Content-Length", "0")])
            return [b""]
        self.opened += 1
        ws = WebSocket(environ)
        ws.on("open", lambda event: ws.send("welcome"))
        ws.on("message", lambda event: ws.close(int(event.data)))
        return ws(environ, start_response)


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    server.start()
    yield server
    server.stop()


def test_each_connection_is_open_when_it_comes_and_closed_when_the_next_one_does(
    server: Server,
) -> None:
    seen: list[Client] = []
    for ws in reconnect(server.url, **QUICK):
        assert ws.ready_state is ReadyState.OPEN
        assert ws.receive(5) == "welcome"
        assert all(old.ready_state is ReadyState.CLOSED for old in seen)
        seen.append(ws)
        if len(seen) == 3:
            break
    assert seen[-1].ready_state is ReadyState.CLOSED
    assert server.opened == 3


def test_it_goes_on_after_a_connection_that_the_server_has_closed(server: Server) -> None:
    codes: list[int] = []
    for ws in reconnect(server.url, **QUICK):
        ws.receive(5)
        ws.send(["1000", "1012", "4001"][len(codes)])
        try:
            list(ws)
        except ConnectionClosed as error:
            codes.append(error.code)
        else:
            codes.append(ws.wait_closed(5).code)
        if len(codes) == 3:
            break
    assert codes == [1000, 1012, 4001]


def test_it_waits_for_a_server_that_is_down() -> None:
    server = Server()
    gevent.spawn_later(0.1, server.start)
    try:
        for ws in reconnect(server.url, **QUICK):
            assert ws.receive(5) == "welcome"
            if server.opened == 2:
                break
            server.stop()
            gevent.spawn_later(0.1, server.start)
    finally:
        server.stop()


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_answers_that_pass_are_waited_out(server: Server, status: int) -> None:
    server.statuses = [f"{status} Not now"] * 3
    for ws in reconnect(server.url, **QUICK):
        assert ws.receive(5) == "welcome"
        break
    assert server.opened == 1


@pytest.mark.parametrize("status", [200, 302, 400, 401, 403, 404, 410, 426])
def test_answers_that_stay_are_raised(server: Server, status: int) -> None:
    server.statuses = [f"{status} Never"]
    with pytest.raises(InvalidStatus, match=str(status)):
        next(reconnect(server.url, **QUICK))
    assert server.opened == 0


def test_a_bad_certificate_is_raised(certificates: Certificates) -> None:
    server = Server(ssl_context=context_of(certificates.cert, certificates.key), error_log=None)
    server.start()
    url = server.url.replace("ws:", "wss:").replace("127.0.0.1", "localhost")
    with pytest.raises(HandshakeError, match="certificate"):
        next(reconnect(url, **QUICK))
    for ws in reconnect(url, ca=certificates.ca, **QUICK):
        assert ws.receive(5) == "welcome"
        break
    server.stop()


def test_another_protocol_at_the_port_is_raised() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()

        def answer() -> None:
            peer, _ = listener.accept()
            peer.recv(1000)
            peer.sendall(b"220 mail.example.com ESMTP\r\n\r\n")
            peer.close()

        gevent.spawn(answer)
        with pytest.raises(HandshakeError, match="220"):
            next(reconnect(f"ws://127.0.0.1:{listener.getsockname()[1]}/", **QUICK))


def test_delays_grow_to_their_bound_and_begin_anew_after_a_long_connection(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    delays: list[float] = []
    sleep = gevent.sleep

    def note(seconds: float = 0) -> None:
        if seconds:
            delays.append(seconds)
        sleep(0)

    monkeypatch.setattr(gevent, "sleep", note)
    server.statuses = ["503 Busy"] * 6
    connections: Any = reconnect(server.url, min_delay=0.1, max_delay=1.0)
    ws = next(connections)
    for delay, bound in zip(delays, [0.1, 0.2, 0.4, 0.8, 1.0, 1.0], strict=True):
        assert bound / 2 <= delay <= bound
    ws.receive(5)
    # It has lasted longer than the longest delay.
    # There only: a heartbeat that believes this would wait until it is so.
    late = SimpleNamespace(monotonic=lambda: 1e9)
    monkeypatch.setattr("faye_ws.websocket.reconnecting.time", late)
    next(connections)
    assert 0.05 <= delays[-1] <= 0.1
    connections.close()


@pytest.mark.parametrize(
    "options",
    [
        {"min_delay": 0},
        {"min_delay": 5, "max_delay": 4},
        {"min_delay": "1"},
    ],
)
def test_a_wrong_option_is_an_error_at_once(options: dict[str, Any]) -> None:
    with pytest.raises((TypeError, ValueError)):
        reconnect("ws://localhost/", **options)
    with pytest.raises(ValueError, match="not a ws or wss URL"):
        reconnect("ftp://localhost/")


def test_a_connected_socket_can_not_be_connected_again() -> None:
    with socket.socket() as sock, pytest.raises(ValueError, match="again"):
        reconnect("ws://localhost/", net=sock)


def test_headers_that_can_be_read_once_only_are_sent_every_time(server: Server) -> None:
    fields = iter([("X-Name", "value")])
    for number, ws in enumerate(reconnect(server.url, headers=fields, **QUICK)):
        ws.receive(5)
        if number == 1:
            break
    assert server.opened == 2
