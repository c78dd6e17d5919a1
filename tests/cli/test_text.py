"""What may be shown on a terminal."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faye_ws.cli.text import format_message, make_harmless, make_line, paint


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("日本語 ü 👩‍🚀", "日本語 ü 👩‍🚀"),
        ("a\tb\nc", "a\tb\nc"),
        ("\x1b[31m", "\\x1b[31m"),
        ("\x9b2J\x07\r\0", "\\x9b2J\\x07\\r\\x00"),
        ("\u202eevil", "\\u202eevil"),
        ("a\u2028b", "a\\u2028b"),
    ],
)
def test_what_could_drive_a_terminal_is_escaped(text: str, shown: str) -> None:
    assert make_harmless(text) == shown


@given(st.text())
def test_no_text_has_a_control_left(text: str) -> None:
    left = set(make_harmless(text)) - set("\n\t\u200c\u200d")
    assert not any(unicodedata.category(char).startswith("C") for char in left)


def test_messages_are_text_or_hexadecimal() -> None:
    assert format_message("text") == "text"
    assert format_message(b"\0\xff") == "00ff"


def test_colours_are_used_when_they_are_wanted() -> None:
    assert paint("x", "note", False) == "x"
    assert paint("x", "note", True).startswith("\x1b[")
    assert paint("x", "note", True).endswith("x\x1b[0m")


def test_a_sentence_has_one_line() -> None:
    assert make_line("a\nb\x1b") == "a\\nb\\x1b"
