"""HTTP heads: what is parsed, what is refused, what is bounded, and what can't be sent."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faye_ws.driver.http import (
    Headers,
    Request,
    Response,
    find_end_of_head,
    has_token,
    is_token,
    parse_list,
    parse_request,
    parse_response,
)
from faye_ws.errors import HandshakeError, HeadTooLarge

SEPARATORS = '()<>@,;:\\"/[]?={} \t'


def head(*fields: bytes) -> bytes:
    """Return a request's head with these header fields."""
    return b"".join(line + b"\r\n" for line in (b"GET / HTTP/1.1", *fields, b""))


def test_a_request_is_parsed() -> None:
    request = parse_request(
        b"GET /chat?a=b HTTP/1.1\r\nHost: x\r\ncookie:a=1\r\nEmpty:\r\nCookie: \t b=2\t \r\n\r\n"
    )
    assert request[:2] == ("GET", "/chat?a=b")
    assert request.version == "HTTP/1.1"
    assert list(request.headers) == [
        ("Host", "x"),
        ("cookie", "a=1"),
        ("Cookie", "b=2"),
        ("Empty", ""),
    ]


def test_a_request_without_header_fields_is_parsed() -> None:
    request = parse_request(b"GET / HTTP/1.1\r\n\r\n")
    assert (request.method, request.target, len(request.headers)) == ("GET", "/", 0)


def test_header_values_are_latin1_and_keep_their_colons() -> None:
    headers = parse_request(head(b"X: a:b: c", b"Y: \xfc\xff")).headers
    assert headers.get("x") == "a:b: c"
    assert headers.get("y") == "\u00fc\u00ff"


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"GET",
        b"GET /",
        b"GET  HTTP/1.1",
        b"GET / x HTTP/1.1",
        b" GET / HTTP/1.1",
        b"GET / HTTP/1.1 ",
        b"GET\t/\tHTTP/1.1",
        b"G(T / HTTP/1.1",
        b"/ HTTP/1.1 GET",
        b"GET / HTTP/1",
        b"GET / HTTP/1.10",
        b"GET / HTTP/11.1",
        b"GET / http/1.1",
        b"GET / HTTP/1.x",
        b"GET / HTTP/.1",
        b"GET / HTTP/1.\xb2",
        b"GET / HTTPS/1.1",
        b"GET /a\nb HTTP/1.1",
        b"GET /a\rb HTTP/1.1",
        b"GET /a\0 HTTP/1.1",
        b"GET /a\x7f HTTP/1.1",
        b"GET /\xfc HTTP/1.1",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ],
)
def test_what_is_no_request_line_is_refused(line: bytes) -> None:
    with pytest.raises(HandshakeError, match="not a"):
        parse_request(line + b"\r\nHost: x\r\n\r\n")


@pytest.mark.parametrize(
    "field",
    [
        b"Host",
        b": x",
        b"Host : x",
        b"Ho st: x",
        b"H\xf6st: x",
        b"Host\0: x",
        b" folded: onto the line before",
        b"\tfolded onto the line before",
        b"X: a\nY: b",
        b"X: a\n",
        b"X: a\rY: b",
        b"X: a\0b",
        b"\nX: a",
    ],
)
def test_what_is_no_header_field_is_refused(field: bytes) -> None:
    for parse, line in ((parse_request, b"GET / HTTP/1.1"), (parse_response, b"HTTP/1.1 101 x")):
        with pytest.raises(HandshakeError):
            parse(line + b"\r\nHost: x\r\n" + field + b"\r\nY: z\r\n\r\n")


def test_a_field_that_is_folded_is_refused() -> None:
    with pytest.raises(HandshakeError, match="not a header"):
        parse_request(head(b"X: a", b" b"))


def test_a_head_may_have_100_fields() -> None:
    assert len(parse_request(head(*[b"X: y"] * 100)).headers) == 100
    for fields in ([b"X: y"] * 101, [b"X%d: y" % number for number in range(101)]):
        with pytest.raises(HeadTooLarge, match="more than 100 header fields"):
            parse_request(head(*fields))


def test_a_response_is_parsed() -> None:
    response = parse_response(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n")
    assert response.status == 101
    assert response.headers.get("upgrade") == "websocket"
    assert (response.version, response.body, response.phrase) == ("HTTP/1.1", b"", "")


@pytest.mark.parametrize(
    ("line", "status"),
    [
        (b"HTTP/1.0 200 OK", 200),
        (b"HTTP/1.1 404 ", 404),
        (b"HTTP/1.1 500", 500),
        (b"HTTP/1.1 999 A phrase of several words", 999),
        (b"HTTP/1.1 101 \xe2\x9c\x93", 101),
    ],
)
def test_the_phrase_of_a_response_is_of_no_matter(line: bytes, status: int) -> None:
    assert parse_response(line + b"\r\n\r\n").status == status


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"HTTP/1.1",
        b"HTTP/1.1 ",
        b"HTTP/1.1  101",
        b"HTTP/1.1 10",
        b"HTTP/1.1 1011",
        b"HTTP/1.1 101OK",
        b"HTTP/1.1 1x1 OK",
        b"HTTP/1.1 -10 OK",
        b"HTTP/1.1 1\xb2\xb3 OK",
        b"HTTP/1.\xb9 101 OK",
        b"ICY 200 OK",
        b"101 HTTP/1.1",
        b"SSH-2.0-OpenSSH_9.2",
    ],
)
def test_what_is_no_status_line_is_refused(line: bytes) -> None:
    with pytest.raises(HandshakeError, match="not a"):
        parse_response(line + b"\r\nX: y\r\n\r\n")


def test_the_end_of_a_head_is_where_the_empty_line_ends() -> None:
    data = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    assert find_end_of_head(data + b"more\r\n\r\n") == len(data)
    assert find_end_of_head(b"\r\n\r\n" + data) == 4
    for end in range(len(data)):
        assert find_end_of_head(data[:end]) is None
        # However much of it was there before.
        assert find_end_of_head(data + b"more", searched=end) == len(data)


@pytest.mark.parametrize("line_break", [b"\n", b"\r", b"\n\r", b"\r\r\n"])
def test_a_head_with_other_line_breaks_has_no_end(line_break: bytes) -> None:
    data = b"GET / HTTP/1.1" + line_break + b"Host: x" + line_break * 2
    assert find_end_of_head(data) is None


def test_a_head_has_at_most_16_kib_with_its_empty_line() -> None:
    longest = head(b"X: " + b"y" * (16384 - len(head(b"X: "))))
    assert len(longest) == 16384
    assert find_end_of_head(longest + b"more") == 16384
    assert find_end_of_head(longest[:-1]) is None
    too_long = longest.replace(b"yy", b"yyy", 1)
    for end in (16384, 16385):
        with pytest.raises(HeadTooLarge, match="head of more than 16384 bytes"):
            find_end_of_head(too_long[:end])


@pytest.mark.parametrize("byte", [b"\r", b"\n", b"\r\n", b" ", b":", b",", b"\0", b"x"])
def test_a_full_head_of_anything_is_parsed_or_refused_in_linear_time(byte: bytes) -> None:
    data = (b"GET / HTTP/1.1\r\nX: " + byte * 16384)[:16380] + b"\r\n\r\n"
    end = find_end_of_head(data)
    assert end is not None
    with suppress(HandshakeError):
        parse_request(data[:end])
    assert len(parse_list(data.decode())) < len(data)


def test_fields_are_found_whatever_the_case_of_their_names() -> None:
    headers = Headers([("Set-Cookie", "a"), ("X-Other", "b"), ("SET-COOKIE", "c")])
    assert headers.get("set-cookie") == "a, c"
    assert headers.get_all("sEt-cOoKiE") == ["a", "c"]
    assert "set-COOKIE" in headers
    assert list(headers) == [("Set-Cookie", "a"), ("SET-COOKIE", "c"), ("X-Other", "b")]
    assert len(headers) == 3


def test_a_field_that_is_not_there_has_a_default() -> None:
    headers = Headers({"Empty": ""})
    assert headers.get("Empty", "default") == ""
    assert headers.get("Absent", "default") == "default"
    assert headers.get("Absent") is None
    assert headers.get_all("Absent") == []
    assert "Absent" not in headers


def test_headers_show_their_fields() -> None:
    assert repr(Headers({"A": "1"})) == "Headers([('A', '1')])"


def test_headers_are_made_of_mappings_pairs_and_headers() -> None:
    pairs = [("A", "1"), ("B", "2")]
    for source in (dict(pairs), pairs, iter(pairs), Headers(pairs)):
        assert list(Headers(source)) == pairs


def test_a_value_of_another_type_is_written_as_a_string() -> None:
    fields: Any = {"Content-Length": 5}
    assert Headers(fields).get("Content-Length") == "5"


@pytest.mark.parametrize("text", ["\r", "\n", "\0", "a\r\nX: y", "a\nb", "\r\n", "a\0"])
def test_a_line_break_or_nul_in_a_value_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="line break or NUL in the value of X"):
        Headers({"X": text})
    with pytest.raises(ValueError, match="not a header name"):
        Headers({f"X{text}": "y"})


@pytest.mark.parametrize("name", ["", " X", "X:", "\u00fc", "X Y", *(f"X{c}" for c in SEPARATORS)])
def test_a_name_that_is_no_token_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="not a header name"):
        Headers([(name, "value")])


@pytest.mark.parametrize("value", ["\u0100", "\u20ac", "\U0001f600", "\u00ff\u2028", "\ud800"])
def test_a_value_that_is_not_latin1_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match="not Latin-1"):
        Headers({"X": value})


def test_heads_are_serialized() -> None:
    headers = Headers([("Host", "x"), ("Name", "\u00fc")])
    request = Request("GET", "/?a", headers)
    assert request.serialize() == b"GET /?a HTTP/1.1\r\nHost: x\r\nName: \xfc\r\n\r\n"
    response = Response(403, Headers({"Connection": "close"}), b"No.\n")
    assert (request.version, response.version) == ("HTTP/1.1", "HTTP/1.1")
    assert response.serialize() == b"HTTP/1.1 403 Forbidden\r\nConnection: close\r\n\r\nNo.\n"


@pytest.mark.parametrize(
    ("status", "line"),
    [(101, "101 Switching Protocols"), (426, "426 Upgrade Required"), (799, "799 Unknown")],
)
def test_a_status_has_its_phrase(status: int, line: str) -> None:
    assert Response(status, Headers()).status_line == line


def test_tokens_are_what_the_grammar_says() -> None:
    assert is_token("Sec-WebSocket-Key")
    assert is_token("!#$%&'*+-.^_`|~019azAZ")
    assert not any(is_token(text) for text in ("", *SEPARATORS, "\x00", "\x7f", "\u00e9", "a b"))


@pytest.mark.parametrize(
    ("value", "parts"),
    [
        (None, []),
        ("", []),
        (" , ,,\t,", []),
        ("a", ["a"]),
        ("a,b", ["a", "b"]),
        (" a ,\tb\t, , c d", ["a", "b", "c d"]),
    ],
)
def test_lists_are_split_at_commas(value: str | None, parts: list[str]) -> None:
    assert parse_list(value) == parts


@pytest.mark.parametrize("value", ["upgrade", "Upgrade", "keep-alive, UPGRADE", ",upgrade ,x"])
def test_a_token_is_found_in_a_list_whatever_its_case(value: str) -> None:
    assert has_token(value, "upgrade")


@pytest.mark.parametrize("value", [None, "", "upgraded", "up grade", "keep-alive", "upgrade;q=1"])
def test_a_token_that_is_not_in_a_list_is_not_found(value: str | None) -> None:
    assert not has_token(value, "upgrade")


@given(st.binary(max_size=200))
def test_any_head_is_parsed_or_refused(data: bytes) -> None:
    parsers: list[Any] = [parse_request, parse_response]
    for parse in parsers:
        for start in (b"", b"GET / HTTP/1.1\r\n", b"HTTP/1.1 101 OK\r\n"):
            with suppress(HandshakeError):
                parse(start + data + b"\r\n\r\n")


@given(
    st.dictionaries(
        st.text("abcdefghijklmnopqrstuvwxyz-", min_size=1),
        st.text(st.characters(max_codepoint=0xFF, exclude_characters="\r\n\0")).map(
            lambda value: value.strip(" \t")
        ),
        max_size=10,
    )
)
def test_a_head_that_is_serialized_is_parsed(fields: dict[str, str]) -> None:
    request = Request("GET", "/", Headers(fields))
    parsed = parse_request(request.serialize())
    assert list(parsed.headers) == list(fields.items())
