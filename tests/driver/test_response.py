"""Reading responses: interim ones, heads, and how a body begins, cut in every way."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faye_ws.driver.http import Headers, Response
from faye_ws.driver.response import BodyReader, ResponseReader
from faye_ws.errors import HandshakeError
from support.streams import Cut, at, whole

CHUNKED = {"Transfer-Encoding": "chunked"}


def read(fields: dict[str, str], data: bytes, cut: Cut, status: int = 403) -> tuple[bytes, bool]:
    """Return what is read of a body, and whether that is all that is wanted of it."""
    reader = BodyReader(Response(status, Headers(fields)))
    for piece in cut(data):
        reader.receive_data(piece)
    return bytes(reader.data), reader.is_done


BODIES: dict[str, tuple[bytes, bytes, bool]] = {
    "nothing yet": (b"", b"", False),
    "a chunk": (b"3\r\nabc\r\n", b"abc", False),
    "two chunks": (b"3\r\nabc\r\n2\r\nde\r\n", b"abcde", False),
    "the last chunk": (b"1\r\na\r\n0\r\n", b"a", True),
    "no chunk but the last": (b"0\r\n", b"", True),
    "a last chunk of several digits": (b"1\r\na\r\n000\r\n", b"a", True),
    "an end with its empty line": (b"1\r\na\r\n0\r\n\r\n", b"a", True),
    "trailers": (b"1\r\na\r\n0\r\nX: y\r\n\r\n", b"a", True),
    "what comes behind the end": (b"1\r\na\r\n0\r\n\r\n1\r\nb\r\n", b"a", True),
    "a letter": (b"a\r\n" + b"x" * 10 + b"\r\n", b"x" * 10, False),
    "a capital": (b"B\r\n" + b"x" * 11 + b"\r\n0\r\n", b"x" * 11, True),
    "two digits": (b"01\r\na\r\n10\r\n" + b"x" * 16 + b"\r\n", b"a" + b"x" * 16, False),
    "line breaks in a chunk": (b"4\r\n\r\n\r\n\r\n0\r\n", b"\r\n\r\n", True),
    "extensions": (b'1;a\r\na\r\n1;a=b;c="d"\r\nb\r\n0;e\r\n', b"ab", True),
    "space before an extension": (b"1 \t;a\r\na\r\n1 \r\nb\r\n", b"ab", False),
    "a CR in an extension": (b"1;a\rb\r\na\r\n", b"a", False),
    "a part of a chunk": (b"5\r\nab", b"ab", False),
    "a part of a line": (b"1\r\na\r\n5;", b"a", False),
    "no size": (b"\r\nabc\r\n", b"", True),
    "no size but an extension": (b";a\r\nabc\r\n", b"", True),
    "no digit": (b"1\r\na\r\nx\r\nabc\r\n", b"a", True),
    "a sign": (b"+1\r\na\r\n", b"", True),
    "a sign below zero": (b"-1\r\na\r\n", b"", True),
    "a prefix": (b"0x1\r\na\r\n", b"", True),
    "an underscore": (b"1_0\r\na\r\n", b"", True),
    "a space in front": (b" 1\r\na\r\n", b"", True),
    "a bare LF": (b"1\na\n", b"", True),
    "a bare LF in an extension": (b"1;a\na\r\n", b"", True),
    "a size without an end": (b"f" * 17 + b"\r\nabc", b"", True),
    "the largest size": (b"f" * 16 + b"\r\nabc", b"abc", False),
    "more than the size": (b"1\r\nabc\r\n1\r\nd\r\n", b"a", True),
    "no line break behind a chunk": (b"1\r\na1\r\nb\r\n", b"a", True),
    "a bare LF behind a chunk": (b"1\r\na\n1\r\nb\r\n", b"a", True),
    "another language": (b"<html>\nhello", b"", True),
}


@pytest.mark.parametrize(("stream", "body", "is_done"), BODIES.values(), ids=BODIES)
def test_chunks_are_read_wherever_they_are_cut(stream: bytes, body: bytes, is_done: bool) -> None:
    assert read(CHUNKED, stream, whole) == (body, is_done)
    for places in combinations(range(1, len(stream)), 2):
        assert read(CHUNKED, stream, at(places)) == (body, is_done)


@given(
    chunks=st.lists(
        st.tuples(st.binary(min_size=1, max_size=40), st.sampled_from(["", ";a", " ;b"]))
    ),
    places=st.lists(st.integers(0, 400)),
)
def test_the_chunks_that_were_sent_are_the_body(
    chunks: list[tuple[bytes, str]], places: list[int]
) -> None:
    stream = b"".join(
        f"{len(chunk):x}{extension}\r\n".encode() + chunk + b"\r\n" for chunk, extension in chunks
    )
    body = b"".join(chunk for chunk, _ in chunks)[:1024]
    assert read(CHUNKED, stream, at(places)) == (body, len(body) == 1024)
    assert read(CHUNKED, stream + b"0\r\n\r\n", at(places)) == (body, True)


@given(stream=st.binary(max_size=60), places=st.lists(st.integers(0, 60)))
def test_anything_is_read_the_same_however_it_is_cut(stream: bytes, places: list[int]) -> None:
    for start in (b"", b"2;", b"2\r\n", b"0"):
        data = start + stream.replace(b"\x01", b"\r\n")
        assert read(CHUNKED, data, at(places)) == read(CHUNKED, data, whole)


def test_of_chunks_1024_bytes_are_kept_and_no_more_are_wanted(cut: Cut) -> None:
    chunk = b"200\r\n" + b"x" * 512 + b"\r\n"
    assert read(CHUNKED, chunk + chunk[:-3], cut) == (b"x" * 1023, False)
    assert read(CHUNKED, chunk + chunk[:-2], cut) == (b"x" * 1024, True)
    assert read(CHUNKED, b"FFFFFFFF\r\n" + b"x" * 2000, cut) == (b"x" * 1024, True)


@pytest.mark.parametrize("chunk", [b"1;" + b"x" * 1000 + b"\r\ny\r\n", b"1;xxxxxxxxxx\r\ny\r\n"])
def test_for_chunks_16_kib_are_read_and_no_more_are_wanted(cut: Cut, chunk: bytes) -> None:
    stream = (chunk * 2000)[:16384]
    body = b"y" * stream.count(b"\r\ny")
    assert len(body) < 1024
    assert read(CHUNKED, stream[:-1], cut) == (body, False)
    assert read(CHUNKED, stream, cut) == (body, True)
    assert read(CHUNKED, stream + chunk * 2000, cut) == (body, True)


def test_a_line_without_an_end_is_held_up_to_16_kib(cut: Cut) -> None:
    assert read(CHUNKED, b"1;" + b"x" * 16381, cut) == (b"", False)
    assert read(CHUNKED, b"1;" + b"x" * 2**17, cut) == (b"", True)


@pytest.mark.parametrize(
    ("fields", "body", "is_done"),
    [
        ({"Content-Length": "3"}, b"abc", True),
        ({"Content-Length": "6"}, b"abcdef", True),
        ({"Content-Length": "7"}, b"abcdef", False),
        ({"Content-Length": "999999999999999999"}, b"abcdef", False),
        # None, or none that is one: only the end of the connection would end the body.
        ({}, b"", True),
        ({"Content-Length": "0"}, b"", True),
        ({"Content-Length": ""}, b"", True),
        ({"Content-Length": "-3"}, b"", True),
        ({"Content-Length": "3, 3"}, b"", True),
        ({"Content-Length": "\u00b3"}, b"", True),
        ({"Content-Length": "9999999999999999999"}, b"", True),
        ({"Transfer-Encoding": "gzip"}, b"", True),
    ],
)
def test_a_length_is_heeded_if_it_is_one(
    cut: Cut, fields: dict[str, str], body: bytes, is_done: bool
) -> None:
    assert read(fields, b"abcdef", cut) == (body, is_done)


def test_of_a_long_body_1024_bytes_are_kept(cut: Cut) -> None:
    assert read({"Content-Length": "5000"}, b"x" * 1023, cut) == (b"x" * 1023, False)
    assert read({"Content-Length": "5000"}, b"x" * 5000, cut) == (b"x" * 1024, True)


def test_chunks_are_read_whatever_the_length_says(cut: Cut) -> None:
    fields = {"Content-Length": "2", "Transfer-Encoding": "gzip, Chunked"}
    assert read(fields, b"3\r\nabc\r\n0\r\n", cut) == (b"abc", True)


@pytest.mark.parametrize("status", [101, 204, 304])
def test_a_response_that_has_no_body_has_none_whatever_its_head_says(status: int) -> None:
    for fields in ({"Content-Length": "3"}, CHUNKED):
        assert read(fields, b"abc", whole, status) == (b"", True)


def test_what_comes_behind_a_head_that_opens_something_is_its_own(cut: Cut) -> None:
    head = b"HTTP/1.1 101 Switching Protocols\r\nContent-Length: 3\r\n\r\n"
    reader = ResponseReader(opens=(101,))
    pieces = iter(cut(b"HTTP/1.1 100 \r\n\r\n" + head + b"abc"))
    while not reader.is_done:
        reader.receive_data(next(pieces))
    assert reader.response is not None
    assert (reader.response.status, reader.response.body) == (101, b"")
    assert reader.head == head
    assert reader.rest + b"".join(pieces) == b"abc"


def test_a_head_of_which_no_end_comes_is_refused(cut: Cut) -> None:
    data = b"HTTP/1.1 103 \r\n\r\nHTTP/1.1 200 OK\r\n"
    reader = ResponseReader(opens=())
    for piece in cut(data + b"x" * (16400 - len(data))):
        reader.receive_data(piece)
    assert reader.response is None
    with pytest.raises(HandshakeError, match="head of more than 16384 bytes"):
        reader.receive_data(b"x")


def test_interim_responses_are_passed_over(cut: Cut) -> None:
    # RFC 9110, 15.2: "A client MUST be able to parse one or more 1xx responses".
    data = b"HTTP/1.1 100 Continue\r\n\r\n" + b"HTTP/1.1 199 \r\nX: y\r\n\r\n" * 15
    reader = ResponseReader(opens=(200,))
    for piece in cut(data + b"HTTP/1.1 200 OK\r\n\r\n"):
        assert not reader.is_done
        reader.receive_data(piece)
    assert reader.is_done
    assert reader.response is not None
    assert reader.response.status == 200
    assert reader.head == b"HTTP/1.1 200 OK\r\n\r\n"


def test_the_end_of_a_head_is_found_behind_an_interim_response_that_came_before() -> None:
    interim = b"HTTP/1.1 103 \r\nX: " + b"y" * 100
    reader = ResponseReader(opens=(200,))
    reader.receive_data(interim)
    reader.receive_data(b"\r\n\r\nHTTP/1.1 200 OK\r\n\r\nrest")
    assert (reader.is_done, reader.rest) == (True, b"rest")


@pytest.mark.parametrize("status", [99, 200])
def test_what_is_below_100_or_above_199_is_no_interim_response(cut: Cut, status: int) -> None:
    reader = ResponseReader(opens=())
    for piece in cut(f"HTTP/1.1 {status:03} X\r\n\r\n".encode()):
        reader.receive_data(piece)
    assert reader.response is not None
    assert reader.response.status == status


def test_more_than_16_interim_responses_are_refused(cut: Cut) -> None:
    interim = b"HTTP/1.1 102 \r\n\r\n"
    reader = ResponseReader(opens=())
    for piece in cut(interim * 16):
        reader.receive_data(piece)
    assert reader.response is None
    with pytest.raises(HandshakeError, match="more than 16 interim responses"):
        reader.receive_data(interim)


def test_interim_responses_of_more_than_16_kib_are_refused() -> None:
    def interim(length: int) -> bytes:
        start = b"HTTP/1.1 103 \r\nX: "
        return start + b"y" * (length - len(start) - 4) + b"\r\n\r\n"

    for lengths in ([8192, 8192], [8192, 8193]):
        reader = ResponseReader(opens=(200,))
        reader.receive_data(interim(lengths[0]))
        if sum(lengths) == 16384:
            reader.receive_data(interim(lengths[1]) + b"HTTP/1.1 200 OK\r\n\r\n")
            assert reader.is_done
        else:
            with pytest.raises(HandshakeError, match="interim responses of more than 16384"):
                reader.receive_data(interim(lengths[1]))


@pytest.mark.parametrize("status", [101, 200, 302, 404])
def test_a_response_that_opens_nothing_has_the_beginning_of_its_body(cut: Cut, status: int) -> None:
    head = f"HTTP/1.1 {status} X\r\nContent-Length: 3\r\n\r\n".encode()
    reader = ResponseReader(opens=())
    for piece in cut(head + b"abcdef"):
        reader.receive_data(piece)
    assert reader.is_done
    assert reader.response is not None
    assert reader.response.status == status
    # RFC 9112, 6.3: a 101 has none, whatever its head says.
    assert reader.response.body == (b"" if status == 101 else b"abc")
    assert (reader.head, reader.rest) == (head, b"")


def test_a_response_is_there_before_its_body() -> None:
    reader = ResponseReader(opens=())
    assert reader.response is None
    reader.receive_data(b"HTTP/1.1 403 No\r\nContent-Length: 5\r\n\r\nab")
    assert reader.response is not None
    assert (reader.response.body, reader.is_done) == (b"ab", False)


def test_what_is_no_response_is_refused(cut: Cut) -> None:
    *pieces, last = cut(b"SSH-2.0-OpenSSH\r\n\r\n")
    reader = ResponseReader(opens=())
    for piece in pieces:
        reader.receive_data(piece)
    with pytest.raises(HandshakeError, match="not a version of HTTP"):
        reader.receive_data(last)
