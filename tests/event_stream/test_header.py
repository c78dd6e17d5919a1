"""Tests of the header fields of an event stream."""

from __future__ import annotations

from http.client import HTTPConnection

import pytest

from faye_ws.event_stream.header import format_last_event_id, is_event_stream_type

requests = pytest.importorskip("requests")

EVENT_STREAM = "text/event-stream"


@pytest.mark.parametrize(
    ("id", "value"),
    [
        ("5", b"5"),
        ("", b""),
        (" 5", b"5"),
        ("\t5", b"5"),
        ("\v5", b"5"),
        ("\f \v\t5 \t", b"5"),
        (" \t ", b""),
        ("5 6", b"5 6"),
        ("5\t6", b"5\t6"),
        ("\u00e9", b"\xc3\xa9"),
        ("\u2026", b"\xe2\x80\xa6"),
        ("\U0001f600", b"\xf0\x9f\x98\x80"),
        # White space to Python's text, but not to HTTP.
        ("\u00a05\u2028", b"\xc2\xa05\xe2\x80\xa8"),
        ("\x1c5\x85", b"\x1c5\xc2\x85"),
        ("a\ud800b", b"a\xef\xbf\xbdb"),
    ],
)
def test_an_id_goes_out_in_utf_8_without_white_space_around_it(id: str, value: bytes) -> None:
    assert format_last_event_id(id) == value


@pytest.mark.parametrize("character", sorted(set(map(chr, range(256))) - set("\0\r\n")))
def test_any_id_is_a_header_value_to_the_clients_of_python(character: str) -> None:
    connection = HTTPConnection("localhost")
    connection.putrequest("GET", "/")
    for id in (character, f"{character}5", f"5{character}6", f"5{character}"):
        value = format_last_event_id(id)
        headers = {"Last-Event-ID": value}
        prepared = requests.Request("GET", "http://localhost/", headers=headers).prepare()
        assert prepared.headers["Last-Event-ID"] == value
        connection.putheader("Last-Event-ID", value)


@pytest.mark.parametrize(
    "values",
    [
        [EVENT_STREAM],
        ["Text/Event-STREAM"],
        [" \ttext/event-stream \t"],
        ["text/event-stream;charset=utf-8"],
        ["text/event-stream ; charset=utf-8"],
        ["text/event-stream;"],
        ["text/event-stream;nonsense"],
        ["text/event-stream; a=,"],
        ["text/html, text/event-stream"],
        ["text/html,text/event-stream;charset=utf-8"],
        ["text/html", EVENT_STREAM],
        ['text/html;a="b, c"', EVENT_STREAM],
        ['text/html;a="b\\", c", text/event-stream'],
        # The last that is a type.
        ["text/event-stream, */*"],
        ["text/event-stream", "*/*;q=1"],
        ["text/event-stream,,", ""],
        ["text/event-stream, text"],
        ["text/event-stream, /html"],
        ["text/event-stream, text/"],
        ["text/event-stream, te xt/html"],
        ["text/event-stream, text/ht ml"],
        ["text/event-stream, text;a=/html"],
        ["text/event-stream, \u00e9/html"],
        ["text/event-stream, text/html/xml"],
        ['text/event-stream, "text/html"'],
        ['text/event-stream, text/"html"'],
        # Not a list, but the parameter of one type.
        ['text/event-stream;a=", text/html'],
        ['text/event-stream;a="', 'text/html;b="'],
        ['text/event-stream;a="b, text/html"'],
        ['text/event-stream;a="\\", text/html"'],
        ['text/event-stream;a="\\'],
    ],
)
def test_an_event_stream_is_what_its_last_type_says(values: list[str]) -> None:
    assert is_event_stream_type(values)


@pytest.mark.parametrize(
    "values",
    [
        [],
        [""],
        [","],
        ["*/*"],
        ["text"],
        ["text/html"],
        ["text/event-streams"],
        ["text/event-stream/"],
        ["text/event stream"],
        ["text /event-stream"],
        ["text/event-stream x"],
        ["text/event-stream, text/html"],
        [EVENT_STREAM, "text/html"],
        ["text/event-stream text/html"],
        ['text/html;a="', EVENT_STREAM],
        ['text/html;a="b, text/event-stream"'],
        ['text/html;a="\\", text/event-stream"'],
        ['"text/event-stream"'],
        ['text/event-"a"stream'],
        ['text/event-stream"a"'],
    ],
)
def test_other_types_are_none(values: list[str]) -> None:
    assert not is_event_stream_type(values)


def test_a_hostile_type_is_read_in_linear_time() -> None:
    for part in ('"', '"a', "\\", '"\\', ",", ";", "/", 'a/b;c="d\\e', " "):
        assert not is_event_stream_type([part * 2**18])
