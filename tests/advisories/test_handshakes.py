"""Handshakes and event streams that others were attacked with, each an advisory of the field."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest

from faye_ws.driver import Client, Close, Message, Open, Server
from faye_ws.errors import HandshakeError, HeadTooLarge
from faye_ws.event_stream.format import format_event
from faye_ws.event_stream.parser import EventTooLong, Parser
from support import drafts, serving, wire
from support.roles import ROLES, Role, key_of
from support.serving import Serving
from support.streams import Cut, bytewise, feed, take

connect = serving.connect

HELLO = b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"


def answer(request: bytes, cut: Cut, **options: Any) -> bytes:
    """Return all that a server without I/O answers to a request and what follows it."""
    driver = Server(**options)
    for piece in cut(request):
        driver.receive_data(piece)
        if take(driver):
            driver.start()
            take(driver)
    return driver.data_to_send()


def status_of(request: bytes, cut: Cut, **options: Any) -> int:
    """Return the status that a server without I/O answers with, or 0 if it waits for more."""
    return int(answer(request, cut, **options)[9:12] or b"0")


def open_with(
    response: Callable[[str], bytes], cut: Cut, **options: Any
) -> tuple[Client, list[Any]]:
    """Return a client without I/O that was given a response to its key, and its events."""
    driver = Client("ws://server.example.com/", **options)
    driver.start()
    return driver, feed(driver, cut(response(key_of(driver))))


def error_of(events: list[Any]) -> HandshakeError:
    """Return why a client was not opened."""
    [event] = events
    assert isinstance(event, Close)
    assert isinstance(event.error, HandshakeError)
    return event.error


@pytest.fixture
def ask(connect: Serving) -> Callable[[bytes], bytes]:
    """Ask gevent's pywsgi for a WebSocket with more header fields, and return its answer.

    Afterwards the server has to serve the next client.
    """

    def ask(fields: bytes) -> bytes:
        peer = connect.dial()
        peer.open(serving.handshake(connect.expect())[:-2] + fields + b"\r\n")
        _, next_peer = connect(lambda ws: ws.on("message", lambda event: ws.send(event.data)))
        assert next_peer.echoes("the next is served")
        return peer.head

    return ask


# Handshakes that end the process


SUBPROTOCOLS = [b"\xff", b"caf\xe9", "\u20ac".encode(), b"chat, \x80", b"\xe2\x28\xa1"]


@pytest.mark.parametrize("name", SUBPROTOCOLS)
def test_a_subprotocol_that_is_not_ascii_is_refused_by_both_ends(cut: Cut, name: bytes) -> None:
    """CVE-2026-42544 (Granian): one such request ended the worker."""
    field = b"Sec-WebSocket-Protocol: " + name
    assert status_of(wire.request(field), cut, protocols=["chat"]) == 400
    for version in drafts.DRAFTS:
        example = drafts.EXAMPLE_75 if version == drafts.HIXIE_75 else drafts.EXAMPLE_76
        request = example.replace(b"Protocol: sample", b"Protocol: " + name)
        assert status_of(request, cut, versions=drafts.VERSIONS, protocols=["chat"]) == 101
    _, events = open_with(lambda key: wire.response(key, field), cut, protocols=["chat"])
    assert "subprotocol" in str(error_of(events))


def test_a_subprotocol_that_is_not_ascii_leaves_the_server_as_it_is(
    ask: Callable[[bytes], bytes],
) -> None:
    """CVE-2026-42544, over the wire."""
    for name in SUBPROTOCOLS:
        assert ask(b"Sec-WebSocket-Protocol: " + name + b"\r\n").startswith(b"HTTP/1.1 400 ")


HOSTS = [
    b"[", b"[::1", b"::1]", b"[]", b"[x]:1", b"[v1.x]", b"[::1%", b":", b":80", b"a:b:c",
    b"a:99999", b"a:-1", b"a:x", b"a:" + b"9" * 5000, b"a b", b"a/b", b"a@b", b"a?b#c", b"%00",
    b"a\x0bb", b"\xff", b"\xc3\xbc.example", b"\xe2\x84\x80.example",
]  # fmt: skip


@pytest.mark.parametrize("host", HOSTS)
def test_a_malformed_host_is_answered_and_never_an_exception(cut: Cut, host: bytes) -> None:
    """CVE-2026-61666 (websocket-driver of Ruby): a Host that is no host raised."""
    field = b"Host: " + host
    # Without an Origin nothing needs the host; with one it is that of no page.
    assert status_of(wire.request(field), cut) == 101
    for origin in (b"http://server.example.com", b"https://[::1]", b"http://" + host, b"["):
        assert status_of(wire.request(field, b"Origin: " + origin), cut) in (101, 403)
    assert status_of(wire.request(field, b"Origin: https://evil.example"), cut) == 403
    forwarded = wire.request(b"X-Forwarded-Host: " + host, b"Origin: https://evil.example")
    assert status_of(forwarded, cut) == 403
    for example in (drafts.EXAMPLE_75, drafts.EXAMPLE_76):
        request = example.replace(b"Host: example.com", field)
        assert status_of(request, cut, versions=drafts.VERSIONS) in (101, 403)


@pytest.mark.parametrize("line", [b"X: y\r\n", b"x", b"\r", b"X: " + b"y" * 4000 + b"\r\n"])
def test_header_fields_without_an_end_are_refused_and_not_kept_by_both_ends(
    cut: Cut, line: bytes
) -> None:
    """CVE-2026-54465 (websocket-driver): a head was kept, and parsed, as long as one came."""
    lines = line * (40_000 // len(line))
    assert status_of(wire.request()[:-2] + lines, cut) == 431
    _, events = open_with(lambda key: wire.response(key)[:-2] + lines, cut)
    assert isinstance(error_of(events), HeadTooLarge)


def test_a_head_that_drips_takes_memory_for_its_16_kib_only() -> None:
    """CVE-2026-54465: what comes behind the limit is dropped as it comes."""
    for driver in (Server(), Client("ws://server.example.com/")):
        tracemalloc.start()
        for _ in range(2**16):
            driver.receive_data(b"x" * 16)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 2**17


# Ends of lines to `str.splitlines`, and to nobody else.
NO_ENDS = [b"\x0b", b"\x0c", b"\x1c", b"\x1d", b"\x1e", b"\x85", "\u2028".encode()]


@pytest.mark.parametrize("end", NO_ENDS)
def test_only_crlf_ends_a_header_field_at_both_ends(cut: Cut, end: bytes) -> None:
    """CVE-2026-44546 (Daphne): a value with VT, FS or NEL in it became fields of its own."""
    hidden = b"X: a" + end + b"Sec-WebSocket-Protocol: chat"
    accepted = answer(wire.request(hidden), cut, protocols=["chat"])
    assert accepted == wire.ACCEPTANCE
    driver, events = open_with(lambda key: wire.response(key, hidden), cut, protocols=["chat"])
    assert events == [Open()]
    assert driver.response is not None
    assert driver.response.headers.get("X") == hidden[3:].decode("latin-1")
    # Nor does it end the head.
    assert status_of(wire.request()[:-2].replace(b"\r\n", end) + end * 2, cut) == 0


@pytest.mark.parametrize("end", NO_ENDS)
def test_only_what_the_format_says_ends_a_line_of_an_event_stream(cut: Cut, end: bytes) -> None:
    """CVE-2026-44546, in event streams: read and written."""
    text = end.decode("utf-8", errors="replace")
    parser = Parser()
    stream = b"data:a" + end + b"id:666\n\n"
    [event] = [event for piece in cut(stream) for event in parser.receive_data(piece)]
    assert (event.data, event.last_event_id) == (f"a{text}id:666", "")
    assert format_event(f"a{text}b").count(b"data:") == 1


@pytest.mark.parametrize("count", [96, 2000])
def test_more_header_fields_than_are_taken_are_refused_by_both_ends(cut: Cut, count: int) -> None:
    """CVE-2024-37890 (ws): a field that the limit had cut off was missed by what came next."""
    fields = [b"X%d:" % number for number in range(count)]
    # Those of the handshake come last.
    request = wire.REQUEST_LINE + b"\r\n".join([*fields, *wire.REQUEST_FIELDS, b"", b""])
    assert status_of(request, cut) == 431
    _, events = open_with(lambda key: wire.response(key, *fields, b"X: y", b"X: y"), cut)
    assert isinstance(error_of(events), HeadTooLarge)


# Smuggling


BODIES = {
    b"Content-Length: 11": HELLO,
    b"Content-Length: 0, 11": HELLO,
    b"Content-Length: +11": HELLO,
    b"Content-Length: ": HELLO,
    b"Transfer-Encoding: chunked": b"b\r\n" + HELLO + b"\r\n0\r\n\r\n",
    b"Transfer-Encoding: \x0bchunked": b"b\r\n" + HELLO + b"\r\n0\r\n\r\n",
    b"Content-Length: 0\r\nTransfer-Encoding: chunked": b"b\r\n" + HELLO + b"\r\n0\r\n\r\n",
    b"Content-Length: 0\r\nContent-Length: 11": HELLO,
}


@pytest.mark.parametrize(("field", "body"), BODIES.items())
def test_the_body_of_a_handshake_is_neither_frames_nor_a_request(
    cut: Cut, field: bytes, body: bytes
) -> None:
    """CVE-2026-69243 (aiohttp), CVE-2026-59898 and CVE-2026-100658 (Netty): what a proxy takes
    for the body of a request was taken for something of its own."""
    request = wire.request()[:-2] + field + b"\r\n\r\n"
    for rest in (body, wire.request(), body + wire.request()):
        refusal = answer(request + rest, cut)
        assert refusal.startswith(b"HTTP/1.1 400 ")
        assert refusal.count(b"HTTP/1.1") == 1
        assert b"\r\nConnection: close\r\n" in refusal


@pytest.mark.parametrize("field", [b"Content-Length: 7", b"Transfer-Encoding: chunked"])
def test_there_is_no_body_between_the_head_of_a_101_and_the_frames(cut: Cut, field: bytes) -> None:
    """CVE-2026-69243, at the client's end: a 101 has no body, whatever it says (RFC 9112, 6.3)."""
    _, events = open_with(lambda key: wire.response(key, field) + b"\x81\x05Hello", cut)
    assert events == [Open(), Message("Hello")]


# Origins


def test_a_page_of_another_origin_gets_no_connection_unless_that_is_asked_for(cut: Cut) -> None:
    """PYSEC-2026-3483 (MCP), CVE-2026-44211 (Cline): any page could speak to a local server."""
    local = b"Host: localhost:8000"
    for page in (b"https://evil.example", b"http://localhost", b"http://localhost:8000.x", b"null"):
        request = wire.request(local, b"Origin: " + page)
        assert status_of(request, cut) == 403
        assert status_of(request, cut, origins=["http://localhost:8000"]) == 403
        assert status_of(request, cut, origins="*") == 101
    for example in (drafts.EXAMPLE_75, drafts.EXAMPLE_76):
        request = example.replace(b"Origin: http://example.com", b"Origin: http://evil.example")
        assert status_of(request, cut, versions=drafts.VERSIONS) == 403


def test_a_list_of_origins_keeps_out_pages_whose_name_was_made_to_lead_here(cut: Cut) -> None:
    """The class of PYSEC-2026-3483: a page whose name was made to lead here (DNS rebinding).

    Its host is ours then, so it is of the same origin; a list of origins keeps it out.
    """
    request = wire.request(b"Host: evil.example", b"Origin: http://evil.example")
    assert status_of(request, cut) == 101
    assert status_of(request, cut, origins=["http://localhost:8000"]) == 403


def test_a_page_of_another_origin_gets_403_over_the_wire(ask: Callable[[bytes], bytes]) -> None:
    """PYSEC-2026-3483, over the wire."""
    assert ask(b"Origin: https://evil.example\r\n").startswith(b"HTTP/1.1 403 ")
    assert ask(b"Origin: http://localhost\r\n").startswith(b"HTTP/1.1 101 ")


# Limits


@pytest.mark.parametrize("role", ROLES, ids=lambda role: f"as {role.name}")
def test_a_message_has_a_limit_without_being_told(role: Role) -> None:
    """CVE-2026-44545 (Daphne): messages were of any length unless one said otherwise."""
    driver = role.open()
    mask = 0x80 if role.peer_key else 0
    driver.receive_data(bytes((0x82, mask | 127)) + (2**26).to_bytes(8, "big"))
    [event] = take(driver)
    assert isinstance(event, Close)
    assert event.code == 1009


@pytest.mark.parametrize("version", drafts.DRAFTS)
def test_a_message_of_a_draft_has_a_limit_without_being_told(version: str) -> None:
    """CVE-2026-44545, in the drafts."""
    example = drafts.EXAMPLE_75 if version == drafts.HIXIE_75 else drafts.EXAMPLE_76
    driver = Server(versions=drafts.VERSIONS)
    driver.receive_data(example)
    take(driver)
    driver.start()
    take(driver)
    # 2**26 in base 128.
    driver.receive_data(b"\x80\xa0\x80\x80\x00")
    [event] = take(driver)
    assert isinstance(event, Close)
    assert event.code == 1009


def test_a_line_of_an_event_stream_has_a_limit_without_being_told() -> None:
    """CVE-2026-44545, in event streams."""
    with pytest.raises(EventTooLong):
        Parser().receive_data(bytes(2**26))


# Event streams


def test_a_bare_cr_ends_a_line_as_it_does_in_browsers(cut: Cut) -> None:
    """CVE-2026-86252 (h3), CVE-2026-43968 (cowlib): only LF was looked for, at either end."""
    parser = Parser()
    stream = b"id:1\rdata:a\r\rdata:b\r\n\rdata:c\n\r"
    events = [event for piece in cut(stream) for event in parser.receive_data(piece)]
    assert [(event.data, event.last_event_id) for event in events] == [
        ("a", "1"), ("b", "1"), ("c", "1"),
    ]  # fmt: skip
    written = format_event("a\rid: 666\r\revent: admin")
    assert written == b"data: a\ndata: id: 666\ndata: \ndata: event: admin\n\n"
    for field in ("event", "id"):
        with pytest.raises(ValueError, match="a line break or NUL"):
            format_event("data", **{field: "1\rdata: forged"})  # type: ignore[arg-type]


@pytest.mark.parametrize("start", [b"", b"data:", b":", b"id:"])
def test_a_line_without_an_end_is_read_in_linear_time(start: bytes) -> None:
    """CVE-2026-84378 (httpx2): the line was put together, or searched, again at each read.

    To copy it each time would be to copy terabytes.
    """
    parser = Parser()
    parser.receive_data(start)
    for _ in range(2**18):
        assert parser.receive_data(b"x" * 64) == []
    assert len(parser.receive_data(b"\ndata:end\n\n")) == 1


def test_a_line_that_comes_in_bytes_takes_memory_for_its_bytes_only() -> None:
    """CVE-2026-84378, and PYSEC-2026-4389 (aiohttp): an object was kept for each tiny read."""
    parser = Parser()
    tracemalloc.start()
    for piece in bytewise(b"data:" + b"x" * 2**16):
        parser.receive_data(piece)
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < 2**17
