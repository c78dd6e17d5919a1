"""Our server as real clients of others meet it."""

from __future__ import annotations

import http.client

import pytest
from selenium import webdriver

from support import interop_clients as clients
from support.conversation import Message, Script
from support.interop_clients import CLIENTS, Client
from support.interop_server import EchoServer

MEBIBYTE = 2**20
KEY = "dGhlIHNhbXBsZSBub25jZQ=="

both_styles = pytest.mark.parametrize("path", ["/listeners", "/blocking"])
# A page can neither ping nor say where it comes from.
without_browsers = pytest.mark.parametrize("client", CLIENTS, indirect=True)


@both_styles
@pytest.mark.parametrize(
    "message",
    [
        pytest.param("Hello, world!", id="text"),
        pytest.param("", id="empty text"),
        pytest.param("\0 ¢ € 𐍈 \u2028 \ufeff \U0010ffff 👩‍🚀", id="text of every plane"),
        pytest.param("é" * (MEBIBYTE // 2), id="a mebibyte of text"),
        pytest.param(bytes(range(256)), id="bytes"),
        pytest.param(b"", id="no bytes"),
        pytest.param(bytes(range(256)) * (MEBIBYTE // 256), id="a mebibyte of bytes"),
    ],
)
def test_a_message_comes_back_as_it_was(
    server: EchoServer, client: Client, path: str, message: Message
) -> None:
    assert client(Script(server.url(path), [message])).messages == [message]


@both_styles
@pytest.mark.parametrize("length", [125, 126, 65535, 65536])
def test_a_message_comes_back_whatever_form_its_length_has(
    server: EchoServer, client: Client, path: str, length: int
) -> None:
    messages: list[Message] = ["x" * length, b"y" * length]
    assert client(Script(server.url(path), messages)).messages == messages


@both_styles
@pytest.mark.parametrize("at_once", [False, True], ids=["in turn", "at once"])
def test_many_messages_come_back_in_order(
    server: EchoServer, client: Client, path: str, at_once: bool
) -> None:
    messages: list[Message] = [f"message {number}" for number in range(2000)]
    assert client(Script(server.url(path), messages, at_once)).messages == messages


def test_the_subprotocol_is_the_first_of_the_client_that_the_server_knows(
    server: EchoServer, client: Client
) -> None:
    script = Script(server.url("/listeners"), protocols=["soap", "amqp", "irc"])
    assert client(script).protocol == "amqp"


def test_a_client_that_offers_no_subprotocol_gets_none(server: EchoServer, client: Client) -> None:
    assert client(Script(server.url("/listeners"), ["still works"])).protocol == ""


@both_styles
@without_browsers
def test_the_ping_of_a_client_is_answered(server: EchoServer, client: Client, path: str) -> None:
    assert client(Script(server.url(path), ping=b"are you there?")).pong == b"are you there?"


def test_the_ping_of_the_server_is_answered(server: EchoServer, client: Client) -> None:
    assert client(Script(server.url("/ping", data="hello?"), hears=1)).messages == ["pong"]


@both_styles
def test_the_code_and_reason_of_a_client_reach_the_server(
    server: EchoServer, client: Client, path: str
) -> None:
    script = Script(server.url(path), ["a message"], close=(4321, "genug für heute"))
    assert client(script).code == 4321
    assert server.closing(script.url) == (4321, "genug für heute")


def test_a_client_may_close_without_a_reason(server: EchoServer, client: Client) -> None:
    script = Script(server.url("/listeners"), close=(1000, ""))
    assert client(script).code == 1000
    assert server.closing(script.url) == (1000, "")


def test_a_page_may_close_without_a_code(server: EchoServer, chromium: webdriver.Chrome) -> None:
    script = Script(server.url("/listeners"), close=())
    assert clients.chromium(chromium, script).code == 1005
    assert server.closing(script.url) == (1005, "")


@pytest.mark.parametrize(
    ("code", "reason"), [(1000, ""), (1001, "going home"), (1011, ""), (4000, "größte Lust")]
)
def test_the_code_and_reason_of_the_server_reach_a_client(
    server: EchoServer, client: Client, code: int, reason: str
) -> None:
    script = Script(server.url("/close", code=code, reason=reason), close=None)
    outcome = client(script)
    assert (outcome.code, outcome.reason) == (code, reason)
    # websocket-client answers all codes with 1000.
    assert server.closing(script.url)[0] in (code, 1000)


@without_browsers
def test_a_foreign_origin_is_refused_with_403(server: EchoServer, client: Client) -> None:
    script = Script(server.url("/listeners"), origin="https://evil.example")
    assert client(script).status == 403


@without_browsers
def test_the_origin_of_the_same_host_is_welcome(server: EchoServer, client: Client) -> None:
    script = Script(server.url("/listeners"), ["hello"], origin=f"http://127.0.0.1:{server.port}")
    assert client(script).messages == ["hello"]


def test_the_page_of_another_host_is_refused(
    server: EchoServer, chromium: webdriver.Chrome
) -> None:
    chromium.get(f"http://localhost:{server.port}/")
    code = (
        "const [url, done] = arguments; new WebSocket(url).onclose = (event) => done(event.code);"
    )
    assert chromium.execute_async_script(code, server.url("/listeners")) == 1006


def test_an_old_draft_is_refused_with_426(server: EchoServer) -> None:
    assert clients.node("ws", Script(server.url("/listeners")), version=8).status == 426


@pytest.mark.parametrize(
    ("key", "version", "status"),
    [
        pytest.param(None, "13", 400, id="no key"),
        pytest.param("short", "13", 400, id="a bad key"),
        pytest.param(KEY, None, 426, id="no version"),
        pytest.param(KEY, "99", 426, id="a version of the future"),
    ],
)
def test_a_bad_handshake_is_refused_before_any_upgrade(
    server: EchoServer, key: str | None, version: str | None, status: int
) -> None:
    headers = {"Connection": "Upgrade", "Upgrade": "websocket"}
    if key is not None:
        headers["Sec-WebSocket-Key"] = key
    if version is not None:
        headers["Sec-WebSocket-Version"] = version
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=15)
    try:
        connection.request("GET", "/listeners", headers=headers)
        response = connection.getresponse()
        assert response.status == status
        assert response.headers["Connection"].lower() == "close"
        assert response.headers.get("Sec-WebSocket-Version") == ("13" if status == 426 else None)
        assert response.read().strip()
    finally:
        connection.close()
