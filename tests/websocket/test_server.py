"""The server's end: from the request to an open connection, or a refusal."""

from __future__ import annotations

import gc
import os
import resource
import weakref
from collections.abc import Callable
from typing import Any

import gevent
import pytest
from greenlet import greenlet

from faye_ws import (
    CloseEvent,
    ConnectionClosed,
    ErrorEvent,
    HandshakeError,
    ReadyState,
    UnsupportedServer,
    WebSocket,
)
from support import serving
from support.parts import endpoint_of
from support.serving import DEADLINE, Serving, count_objects, handshake, text, wait_for

connect = serving.connect

_REQUEST = {
    "REQUEST_METHOD": "GET",
    "PATH_INFO": "/chat",
    "SERVER_NAME": "server",
    "SERVER_PORT": "8000",
    "wsgi.url_scheme": "http",
    "HTTP_HOST": "example.com",
    "HTTP_UPGRADE": "websocket",
    "HTTP_CONNECTION": "Upgrade",
    "HTTP_SEC_WEBSOCKET_KEY": "dGhlIHNhbXBsZSBub25jZQ==",
    "HTTP_SEC_WEBSOCKET_VERSION": "13",
}


@pytest.mark.parametrize(
    ("changes", "answer"),
    [
        ({}, True),
        ({"HTTP_UPGRADE": "WebSocket", "HTTP_CONNECTION": "keep-alive, upgrade"}, True),
        ({"HTTP_SEC_WEBSOCKET_VERSION": "8"}, True),
        ({"REQUEST_METHOD": "POST"}, False),
        ({"HTTP_UPGRADE": "h2c"}, False),
        ({"HTTP_UPGRADE": None}, False),
        ({"HTTP_CONNECTION": "keep-alive"}, False),
        ({"HTTP_CONNECTION": None}, False),
    ],
)
def test_a_request_is_for_websocket_if_it_asks_for_the_upgrade(
    changes: dict[str, str | None], answer: bool
) -> None:
    environ = {key: value for key, value in {**_REQUEST, **changes}.items() if value is not None}
    assert WebSocket.is_websocket(environ) is answer


@pytest.mark.parametrize(
    ("changes", "url"),
    [
        ({}, "ws://example.com/chat"),
        ({"QUERY_STRING": "room=1&lang=de"}, "ws://example.com/chat?room=1&lang=de"),
        ({"SCRIPT_NAME": "/app", "PATH_INFO": "/a b"}, "ws://example.com/app/a%20b"),
        ({"HTTP_HOST": ""}, "ws://server:8000/chat"),
        ({"wsgi.url_scheme": "https"}, "wss://example.com/chat"),
        ({"HTTPS": "on"}, "wss://example.com/chat"),
        ({"HTTP_X_FORWARDED_PROTO": "https"}, "wss://example.com/chat"),
        ({"HTTP_X_FORWARDED_PROTO": "https, http"}, "wss://example.com/chat"),
        ({"HTTP_X_FORWARDED_PROTO": "http, https"}, "ws://example.com/chat"),
        ({"HTTP_X_FORWARDED_SSL": "on"}, "wss://example.com/chat"),
        ({"HTTP_X_FORWARDED_SSL": "off"}, "ws://example.com/chat"),
        ({"HTTP_X_FORWARDED_SCHEME": "https"}, "wss://example.com/chat"),
        ({"HTTP_X_FORWARDED_PROTO": "wss"}, "wss://example.com/chat"),
        ({"wsgi.url_scheme": "https", "HTTP_X_FORWARDED_PROTO": "http"}, "wss://example.com/chat"),
    ],
)
def test_the_url_is_the_one_that_the_client_has_connected_to(
    changes: dict[str, str], url: str
) -> None:
    assert WebSocket({**_REQUEST, **changes}).url == url


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({}, None),
        ({"CONTENT_LENGTH": ""}, None),
        ({"CONTENT_LENGTH": "0"}, None),
        ({"CONTENT_LENGTH": "0", "HTTP_CONTENT_LENGTH": "0"}, None),
        ({"HTTP_ORIGIN": "http://example.com"}, None),
        ({"HTTP_ORIGIN": "https://example.com"}, None),
        ({"HTTP_ORIGIN": "https://example.com", "wsgi.url_scheme": "https"}, None),
        ({"CONTENT_LENGTH": "5"}, 400),
        ({"CONTENT_LENGTH": "x"}, 400),
        ({"CONTENT_LENGTH": "0\0"}, 400),
        ({"CONTENT_LENGTH": "0", "HTTP_CONTENT_LENGTH": "5"}, 400),
        ({"HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input_terminated": True}, 400),
        ({"HTTP_TRANSFER_ENCODING": ""}, 400),
        ({"SERVER_PROTOCOL": "HTTP/1.0"}, 400),
        ({"SERVER_PROTOCOL": "HTTP/2.0"}, 400),
        ({"SERVER_PROTOCOL": "HTTP/2"}, 400),
        ({"HTTP_ORIGIN": "http://example.com", "wsgi.url_scheme": "https"}, 403),
        ({"HTTP_ORIGIN": "http://example.com", "HTTPS": "on"}, 403),
        ({"HTTP_ORIGIN": "http://example.com", "HTTP_X_FORWARDED_SSL": "on"}, 403),
    ],
)
def test_a_request_is_refused_by_what_its_environ_says(
    changes: dict[str, Any], status: int | None
) -> None:
    refusal = endpoint_of(WebSocket({**_REQUEST, **changes})).driver.refusal  # type: ignore[attr-defined]
    assert (refusal and refusal.status) == status


@pytest.mark.parametrize(
    ("option", "value", "error"),
    [
        ("unknown", 1, TypeError),
        ("ping", "30", TypeError),
        ("ping", True, TypeError),
        ("ping", 0, ValueError),
        ("ping", -1, ValueError),
        ("ping", float("nan"), ValueError),
        ("ping", float("inf"), ValueError),
        ("ping_timeout", 0, ValueError),
        ("ping_timeout", "20", TypeError),
        ("close_timeout", 0, ValueError),
        ("close_timeout", None, TypeError),
        ("max_length", 0, ValueError),
        ("max_backlog", 0, ValueError),
        ("max_backlog", None, TypeError),
        ("protocols", ["a b"], ValueError),
        ("headers", {"X-Bad": "a\r\nb"}, ValueError),
        ("extensions", [object()], TypeError),
    ],
)
def test_a_wrong_option_is_refused_at_once(
    option: str, value: object, error: type[Exception]
) -> None:
    with pytest.raises(error):
        WebSocket(_REQUEST, **{option: value})  # type: ignore[arg-type]


def test_a_connection_opens_with_its_attributes(connect: Serving) -> None:
    path = connect.expect(protocols=["irc", "amqp"], headers={"X-Greeting": "hello"})
    peer = connect.dial()
    peer.open(handshake(path, {"Sec-WebSocket-Protocol": "xmpp, amqp, irc"}))
    ws = connect.accepted(path)
    status, *fields = peer.head.decode().split("\r\n")
    assert status == "HTTP/1.1 101 Switching Protocols"
    assert "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in fields
    assert "Sec-WebSocket-Protocol: amqp" in fields
    assert "X-Greeting: hello" in fields
    assert (ws.protocol, ws.version, ws.extensions) == ("amqp", "hybi-13", "")
    assert ws.url == f"ws://localhost{path}"
    assert (ws.ready_state, ws.buffered_amount) == (ReadyState.OPEN, 0)


def test_a_connection_without_a_subprotocol_says_so(connect: Serving) -> None:
    path = connect.expect(protocols=["irc"])
    peer = connect.dial()
    peer.open(handshake(path, {"Sec-WebSocket-Protocol": "xmpp"}))
    assert connect.accepted(path).protocol == ""
    assert b"Sec-WebSocket-Protocol" not in peer.head


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"Sec-WebSocket-Version": "12"}, b"426 "),
        ({"Sec-WebSocket-Key": "short"}, b"400 "),
        ({"Origin": "http://evil.example"}, b"403 "),
        ({"Origin": "http://localhost", "X-Forwarded-Proto": "https"}, b"403 "),
        ({"Transfer-Encoding": "gzip, chunked"}, b"400 "),
        ({"Transfer-Encoding": "identity"}, b"400 "),
        # Fields that no head may have, and that pywsgi lets pass.
        ({"Transfer-Encoding": "a\0b"}, b"400 "),
        ({"Origin": "http://evil.example\0"}, b"403 "),
    ],
)
def test_a_handshake_that_is_wrong_is_refused_and_told(
    connect: Serving, fields: dict[str, str], status: bytes
) -> None:
    heard: list[Any] = []

    def accept(ws: WebSocket) -> None:
        for type in ("open", "error", "close"):
            ws.on(type, heard.append)
        ws.send("never sent")

    path = connect.expect(accept)
    peer = connect.dial()
    peer.open(handshake(path, fields))
    ws = connect.accepted(path)
    assert peer.head.startswith(b"HTTP/1.1 " + status)
    assert b"\r\nConnection: close\r\n" in peer.head + b"\r\n"
    wait_for(lambda: ws.ready_state is ReadyState.CLOSED, "the connection is closed")
    error, close = heard
    assert isinstance(error, ErrorEvent)
    assert isinstance(error.error, HandshakeError)
    assert isinstance(close, CloseEvent)
    assert (close.code, close.was_clean) == (1006, False)
    assert ws.send("no") is False
    assert ws.wait_closed(DEADLINE).code == 1006
    with pytest.raises(ConnectionClosed) as caught:
        ws.receive()
    assert caught.value.code == 1006
    assert peer.read_to_end()
    _, other = connect(lambda ws: ws.on("message", lambda event: ws.send(event.data)))
    assert other.echoes("the next is served")


def test_a_refused_connection_raises_where_the_application_waits(connect: Serving) -> None:
    codes: list[int] = []

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        ws = WebSocket(environ)
        with pytest.raises(ConnectionClosed) as caught:
            ws.receive()
        codes.append(caught.value.code)
        return ws(environ, start_response)

    peer = connect.dial()
    peer.open(handshake(connect.expect(app=app), {"Sec-WebSocket-Version": "99"}))
    assert peer.head.startswith(b"HTTP/1.1 426 ")
    assert codes == [1006]


def test_a_server_whose_socket_cannot_be_reached_is_told_every_time(connect: Serving) -> None:
    answers: list[str] = []

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        del environ["wsgi.input"]
        ws = WebSocket(environ)
        for verb in (ws.receive, ws.wait_closed, lambda: ws(environ, start_response)):
            with pytest.raises(UnsupportedServer, match="gevent's pywsgi"):
                verb()
            answers.append(ws.ready_state.name)
        start_response("200 OK", [("Content-Length", "0"), ("Connection", "close")])
        return []

    peer = connect.dial()
    peer.open(handshake(connect.expect(app=app)))
    assert peer.head.startswith(b"HTTP/1.1 200 ")
    assert answers == ["CONNECTING"] * 3


def test_an_application_that_raises_closes_the_connection_with_1011(connect: Serving) -> None:
    connections: list[WebSocket] = []

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        ws = WebSocket(environ)
        connections.append(ws)
        raise LookupError(ws.receive())

    peer = connect.dial()
    peer.open(handshake(connect.expect(app=app)))
    peer.send(text("which"))
    assert peer.read_close()[0] == 1011
    peer.send(serving.close(1011))
    assert connections[0].wait_closed(DEADLINE).code == 1011
    assert "LookupError: which" in connect.errors.text
    connect.errors.text = ""


def test_a_request_is_answered_by_one_websocket_only(connect: Serving) -> None:
    members: list[bool] = []

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        first, second = WebSocket(environ), WebSocket(environ)
        first(environ, start_response)
        for verb in (second.receive, second.wait_closed):
            with pytest.raises(RuntimeError, match="another WebSocket"):
                verb()
        endpoint = endpoint_of(second)
        members.append(endpoint in endpoint.reactor.members)
        return second(environ, start_response)

    peer = connect.dial()
    peer.open(handshake(connect.expect(app=app)))
    assert peer.read_close() == (1011, "the application raised")
    peer.send(serving.close(1011))
    assert peer.read_to_end() == b""
    assert members == [False]
    assert "another WebSocket" in connect.errors.text
    connect.errors.text = ""


def test_an_application_that_is_killed_closes_the_connection(connect: Serving) -> None:
    greenlets: list[Any] = []

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        greenlets.append(gevent.getcurrent())
        return list(WebSocket(environ))

    peer = connect.dial()
    peer.open(handshake(connect.expect(app=app)))
    gevent.kill(greenlets[0])
    assert peer.read_close()[0] == 1011
    peer.send(serving.close(1011))
    assert peer.read_to_end() == b""


class Keepsake:
    """Something in an environ."""


def test_a_thousand_connections_at_rest_hold_no_greenlet_and_no_environ(
    connect: Serving,
) -> None:
    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        environ["keepsake"] = Keepsake()
        ws = WebSocket(environ, ping=3600)
        ws.on("message", lambda event: ws.send(event.data))
        return ws(environ, start_response)

    request = handshake(connect.expect(app=app))
    first = connect.dial()
    first.open(request)
    assert first.echoes("the first worker is there")
    gc.collect()
    greenlets = count_objects(greenlet)
    peers = [connect.dial() for _ in range(1000)]
    for peer in peers:
        peer.open(request)
    wait_for(lambda: count_objects(Keepsake) == 0, "no environ is left")
    wait_for(lambda: count_objects(greenlet) <= greenlets, "no greenlet is left")
    assert count_objects(WebSocket) >= 1001
    assert all(peer.echoes("hello") for peer in peers[::100])
    assert count_objects(greenlet) <= greenlets


def test_a_connection_with_a_descriptor_above_1024_works(connect: Serving) -> None:
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit < 1100:
        pytest.skip("too few descriptors are allowed")
    null = os.open(os.devnull, os.O_RDONLY)
    taken = [null]
    try:
        while taken[-1] <= 1024:
            taken.append(os.dup(null))
        ws, peer = connect(lambda ws: ws.on("message", lambda event: ws.send(event.data)))
        assert endpoint_of(ws).transport is not None
        assert endpoint_of(ws).transport.socket.fileno() > 1024
        assert peer.echoes("hello")
        sender = gevent.spawn(ws.send, bytes(2**22))
        assert len(peer.read_frame()[1]) == 2**22
        sender.get(timeout=DEADLINE)
    finally:
        for descriptor in taken:
            os.close(descriptor)


def test_one_that_is_never_called_is_freed_at_once_with_its_environ() -> None:
    class Environ(dict[str, Any]):
        """A dictionary that can be referenced weakly."""

    environ = Environ(_REQUEST)
    freed = weakref.ref(environ)
    gc.disable()
    try:
        WebSocket(environ)
        del environ
        assert freed() is None
    finally:
        gc.enable()
