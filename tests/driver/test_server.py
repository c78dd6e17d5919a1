"""The server's drivers: from a request in bytes, and from one that was read by others."""

from __future__ import annotations

import tracemalloc
from typing import Any

import pytest

from faye_ws.constants import ReadyState
from faye_ws.driver import (
    Close,
    Connect,
    Driver,
    Event,
    Headers,
    Message,
    Open,
    Ping,
    Request,
    RequestServer,
    Server,
)
from faye_ws.driver.prepared import PreparedMessage
from faye_ws.errors import HandshakeError, HeadTooLarge, OriginNotAllowed, UnsupportedVersion
from support import wire
from support.extension import Reverse
from support.roles import REQUEST
from support.streams import Cut, feed, take

HELLO = b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"


def serve(driver: Server, data: bytes, cut: Cut) -> list[Event]:
    """Give a driver a stream, answer what connects, and return the events after that."""
    events: list[Event] = []
    for piece in cut(data):
        driver.receive_data(piece)
        while told := driver.events():
            for event in told:
                if isinstance(event, Connect):
                    assert driver.start()
                    continue
                events.append(event)
                if isinstance(event, Close):
                    driver.answer_close()
    return events


def test_the_request_of_the_rfc_is_accepted(cut: Cut) -> None:
    driver = Server()
    assert serve(driver, wire.request(), cut) == [Open()]
    assert driver.ready_state is ReadyState.OPEN
    assert driver.data_to_send() == wire.ACCEPTANCE
    assert (driver.protocol, driver.extensions, driver.version) == (None, "", "hybi-13")


def test_the_application_sees_the_request_before_it_answers(cut: Cut) -> None:
    driver = Server()
    data = wire.request(b"Cookie: a=1", line=b"GET /chat?room=1 HTTP/1.1\r\n")
    [event] = feed(driver, cut(data))
    assert isinstance(event, Connect)
    assert (event.request.method, event.request.target) == ("GET", "/chat?room=1")
    assert event.request.headers.get("cookie") == "a=1"
    assert driver.ready_state is ReadyState.CONNECTING
    assert driver.data_to_send() == b""


def test_frames_behind_the_request_are_frames(cut: Cut) -> None:
    driver = Server()
    data = wire.request() + HELLO + wire.frame(wire.PING, b"?", wire.KEY)
    assert serve(driver, data, cut) == [Open(), Message("Hello"), Ping(b"?")]
    assert driver.data_to_send() == wire.ACCEPTANCE + b"\x8a\x01?"


def test_frames_that_come_before_the_answer_are_told_after_it() -> None:
    driver = Server()
    driver.receive_data(wire.request() + HELLO[:4])
    assert [type(event) for event in take(driver)] == [Connect]
    driver.receive_data(HELLO[4:])
    assert take(driver) == []
    assert driver.start()
    assert take(driver) == [Open(), Message("Hello")]


def test_a_whole_conversation_in_one_segment_is_answered(cut: Cut) -> None:
    driver = Server()
    data = wire.request() + HELLO + wire.frame(wire.CLOSE, b"\x03\xe8", wire.KEY)
    events = serve(driver, data, cut)
    assert events == [Open(), Message("Hello"), Close(1000, "", was_clean=True)]
    assert driver.ready_state is ReadyState.CLOSED
    assert driver.data_to_send() == wire.ACCEPTANCE + b"\x88\x02\x03\xe8"


def test_the_subprotocol_and_the_fields_of_the_application_are_in_the_response(cut: Cut) -> None:
    driver = Server(protocols=["b", "a"], headers=[("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")])
    data = wire.request(b"Sec-WebSocket-Protocol: c, a", b"Sec-WebSocket-Protocol: b")
    assert serve(driver, data, cut) == [Open("a")]
    assert driver.protocol == "a"
    assert driver.data_to_send() == wire.ACCEPTANCE[:-2] + (
        b"Sec-WebSocket-Protocol: a\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n\r\n"
    )


def test_fields_that_can_be_read_only_once_are_in_the_response(cut: Cut) -> None:
    driver = Server(headers=iter([("Set-Cookie", "a=1")]))
    assert serve(driver, wire.request(), cut) == [Open()]
    assert b"\r\nSet-Cookie: a=1\r\n" in driver.data_to_send()


@pytest.mark.parametrize("offer", [b"reverse", b"other, reverse", b"other; a=1, reverse"])
def test_extensions_are_negotiated(cut: Cut, offer: bytes) -> None:
    driver = Server(extensions=[Reverse()])
    data = wire.request(b"Sec-WebSocket-Extensions: " + offer)
    assert serve(driver, data, cut) == [Open()]
    assert driver.extensions == "reverse"
    assert wire.fields_of(driver.data_to_send())[b"sec-websocket-extensions"] == b"reverse"


@pytest.mark.parametrize("offer", [b"", b"other", b"permessage-deflate; client_max_window_bits"])
def test_extensions_that_are_not_known_are_not_in_the_response(cut: Cut, offer: bytes) -> None:
    for driver in (Server(), Server(extensions=[Reverse()])):
        assert serve(driver, wire.request(b"Sec-WebSocket-Extensions: " + offer), cut) == [Open()]
        assert driver.extensions == ""
        assert driver.data_to_send() == wire.ACCEPTANCE


REFUSED: dict[str, tuple[bytes, int]] = {
    "POST": (wire.request(line=b"POST / HTTP/1.1\r\n"), 400),
    "HTTP/1.0": (wire.request(line=b"GET / HTTP/1.0\r\n"), 400),
    "HTTP/1.2": (wire.request(line=b"GET / HTTP/1.2\r\n"), 400),
    "HTTP/2.0": (wire.request(line=b"GET / HTTP/2.0\r\n"), 400),
    "a body": (wire.request(b"Content-Length: 11"), 400),
    "a body in chunks": (wire.request(b"Transfer-Encoding: chunked"), 400),
    "no Host": (wire.request(without=b"Host"), 400),
    "two Hosts": (wire.request(b"Host: a", b"Host: b"), 400),
    "no Upgrade": (wire.request(without=b"Upgrade"), 400),
    "another Upgrade": (wire.request(b"Upgrade: h2c"), 400),
    "no Connection": (wire.request(without=b"Connection"), 400),
    "another Connection": (wire.request(b"Connection: close"), 400),
    "no key": (wire.request(without=b"Sec-WebSocket-Key"), 400),
    "a short key": (wire.request(b"Sec-WebSocket-Key: dGhlIHNhbXBsZQ=="), 400),
    "a wrong subprotocol": (wire.request(b"Sec-WebSocket-Protocol: a b"), 400),
    "a wrong extension": (wire.request(b"Sec-WebSocket-Extensions: a; b=; c"), 400),
    "another origin": (wire.request(b"Origin: https://evil.example"), 403),
    "no origin that is one": (wire.request(b"Origin: null"), 403),
    "no version": (wire.request(without=b"Sec-WebSocket-Version"), 426),
    "an old version": (wire.request(b"Sec-WebSocket-Version: 8"), 426),
    "a new version": (wire.request(b"Sec-WebSocket-Version: 14"), 426),
}
ERRORS = {400: HandshakeError, 403: OriginNotAllowed, 426: UnsupportedVersion}


@pytest.mark.parametrize(("data", "status"), REFUSED.values(), ids=REFUSED)
def test_a_request_that_is_no_handshake_is_refused(cut: Cut, data: bytes, status: int) -> None:
    driver = Server(extensions=[Reverse()])
    [event] = serve(driver, data + HELLO, cut)
    assert isinstance(event, Close)
    assert (event.code, event.was_clean) == (1006, False)
    assert type(event.error) is ERRORS[status]
    assert_refusal(driver, status, event.reason)


def assert_refusal(driver: Server, status: int, sentence: str) -> None:
    """Check that a driver sends a refusal, and that nothing comes of it afterwards."""
    head, _, body = driver.data_to_send().partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status)
    fields = wire.fields_of(head)
    assert fields[b"connection"] == b"close"
    assert int(fields[b"content-length"]) == len(body)
    assert body.decode("latin-1") == f"{sentence}\n"
    assert fields.get(b"sec-websocket-version") == (b"13" if status == 426 else None)
    assert driver.ready_state is ReadyState.CLOSED
    assert not driver.start()
    driver.receive_data(wire.request() + HELLO)
    driver.receive_eof()
    assert driver.events() == []
    assert driver.data_to_send() == b""
    assert not driver.text("x")
    assert not driver.close()


NO_REQUESTS = {
    "another protocol": b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n",
    "words": b"Hello, is this the right port?\r\n\r\n",
    "nothing": b"\r\n\r\n",
    "a bare LF": b"GET / HTTP/1.1\r\nHost: x\nUpgrade: websocket\r\n\r\n",
    "a bare CR": b"GET / HTTP/1.1\r\nHost: x\rUpgrade: websocket\r\n\r\n",
    "a NUL": b"GET / HTTP/1.1\r\nHost: x\0\r\n\r\n",
    "a folded field": b"GET / HTTP/1.1\r\nHost:\r\n x\r\n\r\n",
    "a space before a colon": b"GET / HTTP/1.1\r\nHost : x\r\n\r\n",
    "no colon": b"GET / HTTP/1.1\r\nHost\r\n\r\n",
}
TOO_LARGE = {
    "101 fields": b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 101 + b"\r\n",
    "17 KiB": b"GET / HTTP/1.1\r\nX: " + b"y" * 17_000 + b"\r\n\r\n",
    "a long target": b"GET /" + b"y" * 17_000 + b" HTTP/1.1\r\n\r\n",
    "no end": b"x" * 20_000,
    "no end of CRs": b"\r" * 20_000,
}


@pytest.mark.parametrize("data", NO_REQUESTS.values(), ids=NO_REQUESTS)
def test_what_is_no_request_is_refused_at_once(cut: Cut, data: bytes) -> None:
    driver = Server()
    [event] = serve(driver, data, cut)
    assert isinstance(event, Close)
    assert event.code == 1006
    assert isinstance(event.error, HandshakeError)
    assert_refusal(driver, 400, event.reason)


@pytest.mark.parametrize("data", TOO_LARGE.values(), ids=TOO_LARGE)
def test_a_head_that_is_too_large_is_refused_at_once_with_431(cut: Cut, data: bytes) -> None:
    driver = Server()
    [event] = serve(driver, data, cut)
    assert isinstance(event, Close)
    assert isinstance(event.error, HeadTooLarge)
    assert_refusal(driver, 431, event.reason)


@pytest.mark.parametrize(
    ("is_secure", "fields", "is_accepted"),
    [
        (False, [b"Origin: http://server.example.com"], True),
        (False, [b"Origin: https://server.example.com"], True),
        (True, [b"Origin: https://server.example.com"], True),
        (True, [b"Origin: http://server.example.com"], False),
        (True, [], True),
        (False, [b"Origin: http://server.example.com", b"X-Forwarded-Proto: https"], False),
        (False, [b"Origin: https://server.example.com", b"X-Forwarded-Proto: https"], True),
        (False, [b"Origin: http://server.example.com", b"X-Forwarded-Proto: http"], True),
        (False, [b"Origin: http://server.example.com", b"X-Forwarded-Scheme: https"], False),
        (False, [b"Origin: http://server.example.com", b"X-Forwarded-Ssl: on"], False),
    ],
)
def test_a_page_of_http_is_none_of_a_server_with_tls(
    cut: Cut, is_secure: bool, fields: list[bytes], is_accepted: bool
) -> None:
    driver = Server(is_secure=is_secure)
    [event] = serve(driver, wire.request(*fields), cut)
    assert isinstance(event, Open if is_accepted else Close)
    status = b"101" if is_accepted else b"403"
    assert driver.data_to_send().startswith(b"HTTP/1.1 " + status)


def test_nothing_is_kept_of_what_comes_behind_no_request() -> None:
    driver = Server()
    driver.receive_data(b"\r\n\r\n")
    tracemalloc.start()
    try:
        for _ in range(100):
            driver.receive_data(bytes(10_000))
        size, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert size < 10_000
    assert [type(event) for event in take(driver)] == [Close]


def test_a_head_of_16_kib_and_100_fields_is_accepted(cut: Cut) -> None:
    more = 100 - len(wire.REQUEST_FIELDS)
    data = wire.request(*[b"X: y"] * more)
    data = data.replace(b"X: y", b"X: " + b"y" * (16384 - len(data) + 1), 1)
    assert len(data) == 16384
    assert serve(Server(), data + HELLO, cut) == [Open(), Message("Hello")]


def test_a_peer_that_sends_on_before_it_is_answered_is_refused() -> None:
    driver = Server()
    driver.receive_data(wire.request())
    assert [type(event) for event in take(driver)] == [Connect]
    for _ in range(16):
        driver.receive_data(bytes(1024))
        assert take(driver) == []
    driver.receive_data(b"\0")
    [event] = take(driver)
    assert isinstance(event, Close)
    assert_refusal(driver, 400, "too much data before the handshake is done")


@pytest.mark.parametrize("end", [0, 1, 30, -1])
def test_the_end_of_the_bytes_before_the_request_is_1006(end: int) -> None:
    driver = Server()
    driver.receive_data(wire.request()[:end])
    driver.receive_eof()
    driver.receive_eof()
    driver.receive_data(wire.request()[end:] + wire.request())
    assert take(driver) == [Close(1006)]
    assert driver.data_to_send() == b""
    driver.receive_data(wire.request())
    assert take(driver) == []
    assert not driver.start()


def test_the_end_of_the_bytes_before_the_answer_is_1006() -> None:
    driver = Server()
    driver.receive_data(wire.request())
    assert [type(event) for event in take(driver)] == [Connect]
    driver.receive_eof()
    assert take(driver) == [Close(1006)]
    assert not driver.start()
    assert driver.ready_state is ReadyState.CLOSED
    assert driver.data_to_send() == b""
    assert take(driver) == []


def test_a_peer_that_has_said_all_in_one_go_is_answered() -> None:
    driver = Server()
    driver.receive_data(wire.request() + HELLO)
    driver.receive_eof()
    assert [type(event) for event in driver.events()] == [Connect]
    assert driver.start()
    assert driver.events() == [Open(), Message("Hello"), Close(1006)]
    assert driver.text("answer")
    assert driver.answer_close()
    assert driver.ready_state is ReadyState.CLOSED
    assert driver.data_to_send() == wire.ACCEPTANCE + b"\x81\x06answer"


def test_a_peer_that_sends_too_much_with_its_request_is_refused_after_it_was_told() -> None:
    driver = Server()
    driver.receive_data(wire.request())
    driver.receive_data(bytes(16385))
    connect, event = driver.events()
    assert isinstance(connect, Connect)
    assert isinstance(event, Close)
    assert_refusal(driver, 400, "too much data before the handshake is done")


def test_a_peer_that_has_sent_too_much_is_not_answered_any_more() -> None:
    driver = Server()
    driver.receive_data(wire.request())
    assert [type(event) for event in take(driver)] == [Connect]
    driver.receive_data(wire.frame(0x82, bytes(16384), wire.KEY))
    driver.receive_data(wire.frame(0x81, b"dropped", wire.KEY))
    assert not driver.start()
    [event] = take(driver)
    assert isinstance(event, Close)
    assert_refusal(driver, 400, "too much data before the handshake is done")


def test_what_ends_before_the_answer_is_told_and_never_answered() -> None:
    driver = Server()
    driver.receive_eof()
    assert driver.events() == [Close(1006)]
    assert driver.ready_state is ReadyState.CONNECTING
    assert driver.answer_close()
    assert driver.ready_state is ReadyState.CLOSED
    driver = Server()
    driver.receive_data(b"\r\n\r\n")
    assert driver.ready_state is ReadyState.CLOSED
    assert [type(event) for event in driver.events()] == [Close]
    assert not driver.answer_close()


def test_an_end_behind_the_request_waits_for_the_answer_to_it() -> None:
    driver = Server()
    driver.receive_data(wire.request())
    driver.receive_eof()
    assert [type(event) for event in driver.events()] == [Connect]
    assert driver.unread is not None
    assert driver.events() == [Close(1006)]
    assert driver.unread is None
    assert not driver.start()
    assert driver.answer_close()
    assert driver.data_to_send() == b""


def test_all_that_a_driver_is_asked_a_server_is_asked_too() -> None:
    names = [name for name in dir(Driver) if not name.startswith("_")]
    for driver in (Server(), answered_server()):
        assert {"events", "is_text_only", "ready_state", "unread", "version"} <= {*names, "version"}
        for name in {*names, "version"}:
            getattr(driver, name)
            assert getattr(Server, name).__doc__


def answered_server() -> Server:
    """Return a server that is open."""
    driver = Server()
    serve(driver, wire.request(), lambda data: [data])
    return driver


def test_there_is_nothing_to_start_before_the_request() -> None:
    driver = Server()
    assert not driver.start()
    driver.receive_data(wire.request()[:-1])
    assert not driver.start()
    driver.receive_data(b"\n")
    assert driver.start()
    assert not driver.start()
    assert driver.data_to_send() == wire.ACCEPTANCE


def test_the_verbs_of_an_open_server_work() -> None:
    driver = Server()
    for verb in (driver.ping, driver.pong, driver.close):
        assert not verb()
    driver.hold_pongs(True)
    assert not driver.text("x")
    assert not driver.binary(b"x")
    assert not driver.send_prepared(PreparedMessage("x"))
    assert not driver.leave(1011)
    assert driver.data_to_send() == b""
    serve(driver, wire.request(), lambda data: [data])
    driver.data_to_send()
    assert driver.text("a")
    assert driver.binary(b"b")
    assert driver.send_prepared(PreparedMessage("c"))
    assert driver.ping(b"d")
    assert driver.pong(b"e")
    assert driver.data_to_send() == b"\x81\x01a\x82\x01b\x81\x01c\x89\x01d\x8a\x01e"
    driver.hold_pongs(True)
    driver.receive_data(wire.frame(wire.PING, b"f", wire.KEY))
    assert take(driver) == [Ping(b"f")]
    assert driver.data_to_send() == b""
    driver.hold_pongs(False)
    assert driver.data_to_send() == b"\x8a\x01f"
    assert driver.close(1001, "bye")
    assert driver.ready_state is ReadyState.CLOSING
    assert driver.data_to_send() == b"\x88\x05\x03\xe9bye"
    driver.receive_data(wire.frame(wire.CLOSE, b"\x03\xe9", wire.KEY))
    assert take(driver) == [Close(1001, "", was_clean=True)]
    assert not driver.answer_close()


def test_a_server_that_leaves_is_closing() -> None:
    driver = Server()
    serve(driver, wire.request(), lambda data: [data])
    driver.data_to_send()
    assert driver.leave(1011, "x" * 200)
    assert driver.ready_state is ReadyState.CLOSING
    assert driver.data_to_send() == b"\x88\x7d\x03\xf3" + b"x" * 123
    driver.receive_eof()
    assert take(driver) == [Close(1006)]


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"protocols": "chat"}, TypeError),
        ({"protocols": ["a b"]}, ValueError),
        ({"protocols": ["a", "a"]}, ValueError),
        ({"headers": {"X": "a\r\nY: b"}}, ValueError),
        ({"headers": [("X\n", "a")]}, ValueError),
        ({"headers": {"Sec-WebSocket-Protocol": "chat"}}, ValueError),
        ({"headers": {"CONNECTION": "close"}}, ValueError),
        ({"headers": {"Transfer-Encoding": "chunked"}}, ValueError),
        ({"max_length": 0}, ValueError),
        ({"extensions": [Reverse(), Reverse()]}, ValueError),
        ({"extensions": [object()]}, TypeError),
        ({"protocol": ["chat"]}, TypeError),
    ],
)
def test_a_wrong_option_is_known_before_the_first_request(
    options: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        Server(**options)
    with pytest.raises(error):
        RequestServer(REQUEST, **options)


def test_a_request_that_was_read_by_others_is_accepted() -> None:
    driver = RequestServer(REQUEST, protocols=["chat"], headers={"X": "y"})
    assert driver.refusal is None
    assert driver.ready_state is ReadyState.CONNECTING
    assert driver.start()
    assert driver.data_to_send() == wire.ACCEPTANCE[:-2] + b"X: y\r\n\r\n"
    assert driver.events() == [Open()]
    assert not driver.start()
    assert driver.data_to_send() == b""


@pytest.mark.parametrize(
    ("field", "status"),
    [(("Upgrade", "x"), 400), (("Origin", "null"), 403), (("Sec-WebSocket-Version", "8"), 426)],
)
def test_the_refusal_of_a_request_is_there_at_once(field: tuple[str, str], status: int) -> None:
    headers = [(name, value) for name, value in REQUEST.headers if name != field[0]]
    driver = RequestServer(Request("GET", "/", Headers([*headers, field])))
    assert driver.refusal is not None
    assert driver.refusal.status == status
    assert driver.ready_state is ReadyState.CONNECTING
    assert driver.start()
    assert driver.data_to_send() == driver.refusal.serialize()
    [event] = take(driver)
    assert isinstance(event, Close)
    assert type(event.error) is ERRORS[status]
    assert not driver.start()


@pytest.mark.parametrize("origins", [None, "*", ["https://page.example"]])
def test_the_origins_that_are_allowed_may_connect(cut: Cut, origins: Any) -> None:
    allowed = b"https://server.example.com" if origins is None else b"https://page.example"
    events = serve(Server(origins=origins), wire.request(b"Origin: " + allowed), cut)
    assert events == [Open()]


def test_one_origin_that_is_no_list_is_a_type_error() -> None:
    with pytest.raises(TypeError, match="must be None"):
        Server(origins="https://example.com")


@pytest.mark.parametrize("origins", ["*", ["*"]])
def test_a_star_welcomes_every_page(origins: object) -> None:
    driver = Server(origins=origins)
    driver.receive_data(wire.request(b"Origin: https://elsewhere.example"))
    assert [type(event) for event in driver.events()] == [Connect]
    assert driver.start()
    assert driver.events() == [Open()]
