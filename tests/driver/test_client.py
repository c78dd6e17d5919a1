"""The client's driver: its request, and the responses it accepts and refuses."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from faye_ws.constants import ReadyState
from faye_ws.driver import Client, Close, Message, Open, Ping
from faye_ws.errors import HandshakeError, InvalidStatus
from support import wire
from support.extension import Reverse
from support.roles import key_of
from support.streams import Cut, feed, take

URL = "ws://server.example.com/chat"


def start(**options: Any) -> Client:
    """Return a driver that has sent its request."""
    driver = Client(URL, **options)
    assert driver.start()
    driver.data_to_send()
    return driver


def assert_refused(driver: Client, *, sentence: str) -> None:
    """Check that a driver has refused its response, and that nothing comes afterwards."""
    assert driver.ready_state is ReadyState.CLOSED
    [event] = take(driver)
    assert isinstance(event, Close)
    assert (event.code, event.was_clean) == (1006, False)
    assert isinstance(event.error, HandshakeError)
    assert sentence in event.reason
    driver.receive_data(wire.response(key_of(driver)) + b"\x81\x01a")
    driver.receive_eof()
    assert take(driver) == []
    assert driver.data_to_send() == b""
    assert not driver.start()
    assert not driver.text("x")
    assert not driver.close()


def test_the_request_is_a_handshake() -> None:
    driver = Client("ws://server.example.com:8000/chat?a=b")
    assert driver.data_to_send() == b""
    assert driver.start()
    data = driver.data_to_send()
    key = key_of(driver)
    assert data == (
        b"GET /chat?a=b HTTP/1.1\r\n"
        b"Host: server.example.com:8000\r\n"
        b"Upgrade: websocket\r\n"
        b"Connection: Upgrade\r\n"
        b"Sec-WebSocket-Key: " + key.encode() + b"\r\n"
        b"Sec-WebSocket-Version: 13\r\n"
        b"\r\n"
    )
    assert data == driver.request.serialize()
    assert driver.ready_state is ReadyState.CONNECTING
    assert driver.events() == []


@pytest.mark.parametrize("version", [b"HTTP/1.0", b"HTTP/1.2", b"HTTP/2.0"])
def test_an_upgrade_of_another_version_of_http_is_refused(version: bytes) -> None:
    driver = start()
    driver.receive_data(wire.response(key_of(driver)).replace(b"HTTP/1.1", version, 1))
    assert_refused(driver, sentence="not HTTP/1.1")


def test_the_request_is_sent_once() -> None:
    driver = Client(URL)
    assert driver.start()
    assert not driver.start()
    assert driver.data_to_send().count(b"GET ") == 1


def test_every_key_is_16_random_bytes() -> None:
    keys = [base64.b64decode(key_of(Client(URL)), validate=True) for _ in range(100)]
    assert {len(key) for key in keys} == {16}
    assert len(set(keys)) == 100


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("ws://example.com", b"example.com"),
        ("wss://example.com:443", b"example.com"),
        ("wss://example.com:80", b"example.com:80"),
        ("ws://[::1]:80/", b"[::1]"),
        ("ws://[::1]:81/", b"[::1]:81"),
        ("ws://user:secret@example.com/", b"example.com"),
    ],
)
def test_the_host_has_a_port_only_where_it_is_needed(url: str, host: bytes) -> None:
    driver = Client(url)
    driver.start()
    assert wire.fields_of(driver.data_to_send())[b"host"] == host


def test_the_options_are_in_the_request() -> None:
    driver = Client(
        URL,
        protocols=["b", "a"],
        extensions=[Reverse()],
        headers=[("Cookie", "a=1"), ("Origin", "https://x"), ("cookie", "b=2")],
    )
    driver.start()
    tail = driver.data_to_send().partition(b"Sec-WebSocket-Version: 13\r\n")[2]
    assert tail == (
        b"Sec-WebSocket-Protocol: b, a\r\n"
        b"Sec-WebSocket-Extensions: reverse\r\n"
        b"Cookie: a=1\r\n"
        b"cookie: b=2\r\n"
        b"Origin: https://x\r\n"
        b"\r\n"
    )


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"url": "ftp://h/"}, ValueError),
        ({"url": "ws://h/\r\nX: y"}, ValueError),
        ({"protocols": "chat"}, TypeError),
        ({"protocols": ["a b"]}, ValueError),
        ({"headers": {"X": "a\r\nY: b"}}, ValueError),
        ({"headers": {"X": "a\0"}}, ValueError),
        ({"headers": {"X: y\r\nZ": "a"}}, ValueError),
        ({"headers": {"host": "evil"}}, ValueError),
        ({"headers": {"UPGRADE": "x"}}, ValueError),
        ({"headers": {"Connection": "close"}}, ValueError),
        ({"headers": [("Sec-WebSocket-Key", "x")]}, ValueError),
        ({"headers": [("Sec-WebSocket-Version", "8")]}, ValueError),
        ({"headers": [("sec-websocket-protocol", "a")]}, ValueError),
        ({"headers": [("sec-websocket-extensions", "a")]}, ValueError),
        ({"max_length": 0}, ValueError),
        ({"extensions": [Reverse(), Reverse()]}, ValueError),
        ({"origin": "x"}, TypeError),
    ],
)
def test_a_wrong_argument_raises(arguments: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        Client(**{"url": URL, **arguments})


def test_the_response_to_the_key_is_accepted(cut: Cut) -> None:
    driver = start()
    assert feed(driver, cut(wire.response(key_of(driver), b"X: y"))) == [Open()]
    assert driver.ready_state is ReadyState.OPEN
    assert driver.response is not None
    assert driver.response.status == 101
    assert driver.response.headers.get("x") == "y"
    assert (driver.protocol, driver.extensions) == (None, "")
    assert driver.data_to_send() == b""


def test_frames_behind_the_response_are_frames(cut: Cut) -> None:
    driver = start()
    data = wire.response(key_of(driver)) + b"\x81\x05Hello\x89\x01?\x88\x02\x03\xe9"
    events = feed(driver, cut(data))
    assert events == [Open(), Message("Hello"), Ping(b"?"), Close(1001, "", was_clean=True)]
    assert wire.unframe(driver.data_to_send()) == [(0x8A, b"?"), (0x88, b"\x03\xe9")]


def test_a_violation_behind_the_response_is_told_after_the_opening(cut: Cut) -> None:
    driver = start()
    masked = wire.frame(0x81, b"x", wire.KEY)
    events = feed(driver, cut(wire.response(key_of(driver)) + masked))
    assert events[0] == Open()
    assert isinstance(events[1], Close)
    assert events[1].code == 1002


def test_the_subprotocol_and_the_extensions_of_the_response_are_used(cut: Cut) -> None:
    driver = start(protocols=["b", "a"], extensions=[Reverse()])
    fields = (b"Sec-WebSocket-Protocol: a", b"Sec-WebSocket-Extensions: reverse")
    data = wire.response(key_of(driver), *fields) + b"\xc1\x05olleH"
    assert feed(driver, cut(data)) == [Open("a"), Message("Hello")]
    assert (driver.protocol, driver.extensions) == ("a", "reverse")


REFUSED = {
    "200": ({"line": b"HTTP/1.1 200 OK\r\n"}, [], "the server answered 200 OK"),
    "401": ({"line": b"HTTP/1.1 401 No\r\n"}, [], "the server answered 401 Unauthorized"),
    "301": ({"line": b"HTTP/1.1 301 Gone\r\n"}, [b"Location: ws://x/"], "301 Moved Permanently"),
    "no Upgrade": ({"without": b"Upgrade"}, [], "Upgrade header"),
    "another Upgrade": ({}, [b"Upgrade: h2c"], "Upgrade header"),
    "no Connection": ({"without": b"Connection"}, [], "Connection header"),
    "another Connection": ({}, [b"Connection: close"], "Connection header"),
    "no Accept": ({"without": b"Sec-WebSocket-Accept"}, [], "Sec-WebSocket-Accept"),
    "another's Accept": ({}, [b"Sec-WebSocket-Accept: " + wire.ACCEPT], "Sec-WebSocket-Accept"),
    "another subprotocol": ({}, [b"Sec-WebSocket-Protocol: z"], "subprotocol"),
    "two subprotocols": ({}, [b"Sec-WebSocket-Protocol: a, b"], "subprotocol"),
    "another extension": ({}, [b"Sec-WebSocket-Extensions: z"], "not offered"),
    "an extension twice": ({}, [b"Sec-WebSocket-Extensions: reverse, reverse"], "twice"),
    "a wrong extension": ({}, [b"Sec-WebSocket-Extensions: reverse; a"], "in a wrong way"),
    "no extension at all": ({}, [b"Sec-WebSocket-Extensions: ;"], "Sec-WebSocket-Extensions"),
    "no status line": ({"line": b"SSH-2.0-OpenSSH\r\n"}, [], "not a"),
    "no status": ({"line": b"HTTP/1.1 one OK\r\n"}, [], "not a status line"),
    "a folded field": ({}, [b"X: a", b" b"], "not a header"),
    "a bare LF": ({}, [b"X: a\nY: b"], "line break"),
    "a NUL": ({}, [b"X: a\0"], "NUL"),
    "a flood of fields": ({}, [b"X: y"] * 98, "more than 100 header fields"),
    "a long head": ({}, [b"X: " + b"y" * 17_000], "head of more than 16384 bytes"),
}


@pytest.mark.parametrize(("changes", "more", "sentence"), REFUSED.values(), ids=REFUSED)
def test_a_response_that_is_no_handshake_is_refused(
    cut: Cut, changes: dict[str, bytes], more: list[bytes], sentence: str
) -> None:
    driver = start(protocols=["a", "b"], extensions=[Reverse()])
    for piece in cut(wire.response(key_of(driver), *more, **changes) + b"\x81\x05Hello"):
        driver.receive_data(piece)
    assert_refused(driver, sentence=sentence)


def test_responses_before_the_final_one_are_passed_over(cut: Cut) -> None:
    driver = start()
    interim = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 100 \r\n\r\n"
    data = interim + wire.response(key_of(driver), b"X: y") + b"\x81\x05Hello"
    assert feed(driver, cut(data)) == [Open(), Message("Hello")]
    assert driver.response is not None
    assert list(driver.response.headers)[-1] == ("X", "y")


@pytest.mark.parametrize(
    ("interim", "sentence"),
    [
        (b"HTTP/1.1 102 Processing\r\n\r\n", "more than 16 interim responses"),
        (b"HTTP/1.1 103 \r\nX: " + b"y" * 4000 + b"\r\n\r\n", "interim responses of more than"),
    ],
)
def test_responses_before_the_final_one_that_do_not_end_are_refused(
    cut: Cut, interim: bytes, sentence: str
) -> None:
    driver = start()
    for piece in cut(interim * 17):
        driver.receive_data(piece)
    assert_refused(driver, sentence=sentence)


def test_16_responses_before_the_final_one_are_passed_over(cut: Cut) -> None:
    driver = start()
    data = b"HTTP/1.1 102 Processing\r\n\r\n" * 16 + wire.response(key_of(driver))
    assert feed(driver, cut(data)) == [Open()]


CHUNKED = b"HTTP/1.1 403 Forbidden\r\nTransfer-Encoding: chunked\r\n\r\n"
SIZED = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 5\r\n\r\n"


def test_a_refusal_has_the_body_that_its_length_or_its_chunks_say(cut: Cut) -> None:
    for data in (
        CHUNKED + b"3;a=b\r\nyou\r\n4\r\n may\r\nA\r\n not enter\r\n0\r\n",
        SIZED.replace(b"5", b"17") + b"you may not enter",
    ):
        driver = start()
        assert feed(driver, cut(data[:-1])) == []
        [event] = feed(driver, cut(data[-1:]))
        assert isinstance(event, Close)
        assert event.reason == "the server answered 403 Forbidden: you may not enter"
        assert isinstance(event.error, InvalidStatus)
        assert (event.error.status, event.error.body) == (403, b"you may not enter")
        assert driver.response is not None
        assert driver.response.body == b"you may not enter"


def test_a_refusal_whose_body_breaks_off_is_told_with_what_has_come(cut: Cut) -> None:
    for data in (CHUNKED + b"5\r\nno", SIZED + b"no"):
        driver = start()
        assert feed(driver, cut(data)) == []
        driver.receive_eof()
        assert_refused(driver, sentence="the server answered 403 Forbidden: no")


@pytest.mark.parametrize("extension", [b"", b"x" * 40, b"x" * 1000, b"x" * 2**20])
def test_a_refusal_is_told_after_16_kib_however_long_the_extensions_of_its_chunks_are(
    extension: bytes,
) -> None:
    driver = start()
    driver.receive_data(CHUNKED)
    chunk = b"1;" + extension + b"\r\ny\r\n"
    stream = chunk * (2**20 // len(chunk) + 1)
    for place in range(0, 2**14, 100):
        driver.receive_data(stream[place : place + 100])
    assert_refused(driver, sentence="the server answered 403 Forbidden")


def test_the_response_that_was_refused_can_be_looked_at(cut: Cut) -> None:
    driver = start()
    data = b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic\r\n\r\nbody"
    for piece in cut(data):
        driver.receive_data(piece)
    assert driver.response is not None
    assert driver.response.status == 401
    assert driver.response.headers.get("www-authenticate") == "Basic"
    assert_refused(driver, sentence="401")


@pytest.mark.parametrize("byte", [b"x", b"\r", b"\n", b"\0", b"HTTP/1.1 101 "])
def test_a_head_without_an_end_is_refused(cut: Cut, byte: bytes) -> None:
    driver = start()
    for piece in cut((byte * 20_000)[:20_000]):
        driver.receive_data(piece)
    assert_refused(driver, sentence="head of more than 16384 bytes")


def test_a_head_of_100_fields_is_accepted(cut: Cut) -> None:
    driver = start()
    data = wire.response(key_of(driver), *(b"X-%d: y" % number for number in range(97)))
    assert feed(driver, cut(data)) == [Open()]


def test_an_extension_that_was_not_offered_is_refused_where_none_was(cut: Cut) -> None:
    driver = start()
    field = b"Sec-WebSocket-Extensions: permessage-deflate"
    for piece in cut(wire.response(key_of(driver), field)):
        driver.receive_data(piece)
    assert_refused(driver, sentence="permessage-deflate, which was not offered")


@pytest.mark.parametrize("end", [0, 1, 20, -1])
def test_the_end_of_the_bytes_in_the_handshake_is_refused(end: int) -> None:
    driver = start()
    driver.receive_data(wire.response(key_of(driver))[:end])
    driver.receive_eof()
    driver.receive_eof()
    assert_refused(driver, sentence="closed the connection in the handshake")


def test_a_connection_that_ends_before_it_began_can_not_be_started() -> None:
    driver = Client(URL)
    driver.receive_eof()
    assert [type(event) for event in take(driver)] == [Close]
    assert not driver.start()
    assert driver.data_to_send() == b""


def test_the_response_to_another_key_is_refused(cut: Cut) -> None:
    driver = start()
    for piece in cut(wire.response(key_of(Client(URL)))):
        driver.receive_data(piece)
    assert_refused(driver, sentence="Sec-WebSocket-Accept")
