"""Writing an event stream."""

from __future__ import annotations

from typing import Any

import pytest

from faye_ws.event_stream.format import format_comment, format_event


@pytest.mark.parametrize(
    ("arguments", "written"),
    [
        ({"data": "Hello"}, b"data: Hello\n\n"),
        ({"data": ""}, b"data: \n\n"),
        ({"data": " leading"}, b"data:  leading\n\n"),
        ({"data": "a\nb\r\nc\rd\n"}, b"data: a\ndata: b\ndata: c\ndata: d\ndata: \n\n"),
        (
            {"data": "a\v\f\x1c\x1d\x1e\x85\u2028\u2029b"},
            "data: a\v\f\x1c\x1d\x1e\x85\u2028\u2029b\n\n".encode(),
        ),
        (
            {"data": "x", "event": "notification", "id": "99"},
            b"event: notification\nid: 99\ndata: x\n\n",
        ),
        ({"data": "x", "event": ""}, b"data: x\n\n"),
        ({"data": "x", "id": 0}, b"id: 0\ndata: x\n\n"),
        ({"data": "x", "id": ""}, b"id:\ndata: x\n\n"),
        ({"data": "x", "id": " a "}, b"id:  a \ndata: x\n\n"),
        ({"data": "x", "retry": 0}, b"retry: 0\ndata: x\n\n"),
        ({"data": "x", "retry": 2.5}, b"retry: 2500\ndata: x\n\n"),
        ({"data": None, "retry": 10}, b"retry: 10000\n\n"),
        ({"data": "\u00fc\U0001f680"}, "data: \u00fc\U0001f680\n\n".encode()),
        ({"data": "a\ud800b"}, "data: a\ufffdb\n\n".encode()),
    ],
)
def test_an_event_is_written_as_it_will_be_read(arguments: dict[str, Any], written: bytes) -> None:
    assert format_event(**arguments) == written


@pytest.mark.parametrize("end", ["\r", "\n", "\r\n", "\0"])
@pytest.mark.parametrize("field", ["event", "id"])
def test_no_field_can_be_forged(field: str, end: str) -> None:
    fields: dict[str, Any] = {field: f"a{end}data: forged"}
    with pytest.raises(ValueError, match=field):
        format_event("x", **fields)


@pytest.mark.parametrize(
    "arguments",
    [
        {"data": 1},
        {"data": b"x"},
        {"data": "x", "event": 1},
        {"data": "x", "id": 1.5},
        {"data": "x", "id": True},
        {"data": "x", "retry": "1"},
        {"data": "x", "retry": True},
        {"data": "x", "retry": -1},
        {"data": "x", "retry": float("nan")},
        {"data": "x", "retry": float("inf")},
    ],
)
def test_what_is_no_event_is_an_error(arguments: dict[str, Any]) -> None:
    with pytest.raises((TypeError, ValueError)):
        format_event(**arguments)


@pytest.mark.parametrize(
    ("text", "written"),
    [("", b":\n\n"), ("hi", b": hi\n\n"), ("a\rb\r\n", b": a\n: b\n:\n\n")],
)
def test_a_comment_is_one_whatever_its_lines_say(text: str, written: bytes) -> None:
    assert format_comment(text) == written
