"""Reading an event stream.

The streams of `FORMAT` say what the files `eventsource/format-*` of the web-platform-tests
say, each with what a browser makes of it.
"""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterable
from itertools import repeat
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faye_ws.event_stream.format import format_comment, format_event
from faye_ws.event_stream.parser import EventTooLong, Parser, StreamEvent
from support.streams import bytewise, whole

BOM = b"\xef\xbb\xbf"
LONG = b"x" * 2048

# name: the stream, and the data of its events
FORMAT: dict[str, tuple[bytes, list[str]]] = {
    "event-data": (
        b"data:msg\ndata: msg\n\n:\nfalsefield:msg\n\nfalsefield:msg\nData:data\n\n"
        b"data\n\ndata:end\n\n",
        ["msg\nmsg", "", "end"],
    ),
    "bom": (BOM + b"data:1\n\n" + BOM + b"data:2\n\ndata:3\n\n", ["1", "3"]),
    "bom-2": (BOM + BOM + b"data:1\n\ndata:2\n\ndata:3\n\n", ["2", "3"]),
    "bom-utf-16": (b"\xff\xfedata:1\n\ndata:2\n\n", ["2"]),
    "comments": (
        b"data:1\r:\0\n:\r\ndata:2\n:" + LONG + b"\rdata:3\n:data:fail\r:" + LONG + b"\ndata:4\n\n",
        ["1\n2\n3\n4"],
    ),
    "data-before-final-empty-line": (b"retry:1000\ndata:test1\n\nid:test\ndata:test2\n", ["test1"]),
    "field-data": (b"data:\n\ndata\ndata\n\ndata:test\n\n", ["", "\n", "test"]),
    "field-parsing": (
        b"data:\0\ndata:  2\rData:1\ndata\0:2\ndata:1\r\0data:4\nda-ta:3\rdata_5\ndata:3\r"
        b"data:\r\n data:32\ndata:4\n\n",
        ["\0\n 2\n1\n3\n\n4"],
    ),
    "field-unknown": (
        b"data:test\n data\ndata\nfoobar:xxx\njustsometext\n:thisisacommentyay\ndata:test\n\n",
        ["test\n\ntest"],
    ),
    "leading-space": (b"data:\ttest\rdata: \ndata:test\n\n", ["\ttest\n\ntest"]),
    "newlines": (b"data:test\r\ndata\ndata:test\r\n\r\n\n", ["test\n\ntest"]),
    "null-character": (b"data:\0\n\n\n\n", ["\0"]),
    "utf-8": ("data:ok\u2026\n\n".encode(), ["ok\u2026"]),
    "not utf-8": (b"data:a\xffb\xe2\x80\n\n", ["a\ufffdb\ufffd"]),
    "bare CR": (b"data:a\r\rdata:b\r\r", ["a", "b"]),
}


def read(stream: bytes, cut: Any = whole, **options: Any) -> tuple[list[StreamEvent], Parser]:
    parser = Parser(**options)
    events = [event for piece in cut(stream) for event in parser.receive_data(piece)]
    return events, parser


@pytest.mark.parametrize("cut", [whole, bytewise])
@pytest.mark.parametrize("name", FORMAT)
def test_a_stream_is_read_as_browsers_read_it(name: str, cut: Any) -> None:
    stream, data = FORMAT[name]
    assert [event.data for event in read(stream, cut)[0]] == data


@pytest.mark.parametrize("cut", [whole, bytewise])
@pytest.mark.parametrize(
    ("stream", "types"),
    [
        (b"event:test\ndata:x\n\ndata:x\n\n", ["test", "message"]),
        (b"event: \ndata:data\n\n", ["message"]),
        (b"event:test\n\ndata:x\n\n", ["message"]),
        (b"event:a\nevent:b\ndata:x\n\n", ["b"]),
        (b"event:\xc3\xbc\ndata\n\n", ["\u00fc"]),
    ],
)
def test_the_type_is_that_of_the_event_alone(stream: bytes, types: list[str], cut: Any) -> None:
    assert [event.type for event in read(stream, cut)[0]] == types


@pytest.mark.parametrize("cut", [whole, bytewise])
@pytest.mark.parametrize(
    ("stream", "ids"),
    [
        (b"id:1\ndata\n\ndata\n\nid:2\ndata\n\ndata\n\n", ["1", "1", "2", "2"]),
        (b"id:1\ndata\n\nid:\ndata\n\ndata\n\n", ["1", "", ""]),
        (b"id:1\ndata\n\nid\ndata\n\n", ["1", ""]),
        ("id:\u2026\ndata\n\n".encode(), ["\u2026"]),
        *[(b"id:" + id + b"\ndata\n\n", [""]) for id in (b"\0\0", b"x\0", b"\0x", b"x\0x", b" \0")],
        (b"id:7\n\ndata\n\n", ["7"]),
    ],
)
def test_the_id_stays_until_there_is_another(stream: bytes, ids: list[str], cut: Any) -> None:
    assert [event.last_event_id for event in read(stream, cut)[0]] == ids


def test_the_id_lasts_from_one_stream_to_the_next() -> None:
    _, parser = read(b"id:1\ndata\n\nid:2\ndata")
    assert parser.last_event_id == "1"
    events, parser = read(b"data\n\n", last_event_id=parser.last_event_id)
    assert events[0].last_event_id == "1"
    # An event with an ID and no data is none, but its ID counts.
    assert read(b"id:3\n\n", last_event_id="1")[1].last_event_id == "3"


@pytest.mark.parametrize(
    ("value", "retry"),
    [
        (b"03000", 3.0),
        (b"3000", 3.0),
        (b" 0", 0.0),
        (b"1000x", None),
        (b"-1", None),
        (b"1.5", None),
        (b"", None),
        ("\u0663".encode(), None),
        (b"9" * 5000, None),
        (b"0" * 5000 + b"7", 0.007),
    ],
)
def test_the_reconnection_time_is_digits_only(value: bytes, retry: float | None) -> None:
    assert read(b"retry:" + value + b"\n")[1].retry == retry


def test_an_event_comes_with_its_last_byte() -> None:
    for stream in (b"data:x\n\n", b"data:x\r\r", b"data:x\r\n\r"):
        parser = Parser()
        assert parser.receive_data(stream[:-1]) == []
        assert [event.data for event in parser.receive_data(stream[-1:])] == ["x"]
    assert parser.receive_data(b"\ndata:y\n") == []
    assert [event.data for event in parser.receive_data(b"\n")] == ["y"]


TEXTS = st.text(st.characters(codec="utf-8"))
ONE_LINE = st.text(st.characters(codec="utf-8", exclude_characters="\r\n\0"), min_size=1)


@given(
    events=st.lists(st.tuples(TEXTS, st.none() | ONE_LINE, st.none() | ONE_LINE, TEXTS)),
    data=st.data(),
)
def test_what_was_written_is_read_however_it_is_cut(events: list[Any], data: Any) -> None:
    stream = b""
    expected: list[StreamEvent] = []
    last = ""
    for text, type, id, comment in events:
        stream += format_event(text, event=type, id=id) + format_comment(comment)
        last = last if id is None else id
        lines = text.replace("\r\n", "\n").replace("\r", "\n")
        expected.append(StreamEvent(type or "message", lines, last))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=10)))
    pieces = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert read(stream, lambda _: pieces)[0] == expected


@given(stream=st.binary(), data=st.data())
def test_any_bytes_say_the_same_however_they_are_cut(stream: bytes, data: Any) -> None:
    stream = data.draw(st.sampled_from([b"", b"data:", BOM])) + stream.replace(b"\x01", b"\n")
    one, first = read(stream)
    other, second = read(stream, bytewise)
    assert one == other
    assert (first.last_event_id, first.retry) == (second.last_event_id, second.retry)


@pytest.mark.parametrize("cut", [whole, bytewise])
def test_a_line_and_an_event_are_bounded(cut: Any) -> None:
    assert len(read(b"data:" + b"x" * 95 + b"\n\n", cut, max_length=100)[0]) == 1
    with pytest.raises(EventTooLong, match="a line of more than 100 bytes"):
        read(b":" + b"x" * 100 + b"\n", cut, max_length=100)
    with pytest.raises(EventTooLong, match="an event of more than 100 bytes"):
        read(b"data:" + b"x" * 50 + b"\ndata:" + b"x" * 50 + b"\n", cut, max_length=100)
    with pytest.raises(EventTooLong, match="an event"):
        read(b"data\n" * 102, cut, max_length=100)


def test_fields_that_come_again_and_again_are_held_once() -> None:
    stream = b"event:" + b"x" * 90 + b"\n" + b"id:" + b"y" * 90 + b"\n"
    events, parser = read(stream * 1000 + b"data\n\n", max_length=100)
    assert events == [StreamEvent("x" * 90, "", "y" * 90)]
    assert parser.last_event_id == "y" * 90


MAX_LENGTH = 2**16
# Streams of which nothing is to be held but bytes, by what would be held once for each piece.
HELD = {
    "a line in pieces of a byte": bytewise(b"data:" + b"x" * (MAX_LENGTH - 8)),
    "a line without an end": bytewise(b"x" * MAX_LENGTH),
    "an event in lines of three bytes": repeat(b"data:abc\n", MAX_LENGTH // 4),
    "an event in empty lines": repeat(b"data\n", MAX_LENGTH),
    "an event in CRs, cut after each": repeat(b"data\r", MAX_LENGTH // 4),
    "an event in one line": [b"data:" + b"x" * (MAX_LENGTH - 5) + b"\n"],
    "types": repeat(b"event:abc\n", MAX_LENGTH // 4),
    "long types": repeat(b"event:" + b"x" * (MAX_LENGTH - 6) + b"\n", 4),
    "long IDs": repeat(b"id:" + b"x" * (MAX_LENGTH - 3) + b"\n", 4),
    "comments": repeat(b":abc\n", MAX_LENGTH // 4),
    "fields of other names": repeat(b"abcd\n", MAX_LENGTH // 4),
}


@pytest.mark.parametrize("pieces", HELD.values(), ids=HELD)
def test_memory_is_taken_for_bytes_that_are_held_and_for_nothing_else(
    pieces: Iterable[bytes],
) -> None:
    pieces = list(pieces)
    parser = Parser(max_length=MAX_LENGTH)
    tracemalloc.start()
    for piece in pieces:
        assert parser.receive_data(piece) == []
    held, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # A buffer that grows has some room to spare, and a line is copied once or twice.
    assert held < 1.5 * MAX_LENGTH
    assert peak < 5 * MAX_LENGTH
