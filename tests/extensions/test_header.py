"""The Sec-WebSocket-Extensions header: parsed in linear time, and serialized as it was."""

from __future__ import annotations

import contextlib
import string
import time
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from faye_ws.errors import HandshakeError
from faye_ws.extensions.header import (
    MAX_EXTENSIONS,
    MAX_LENGTH,
    MAX_PARAMETERS,
    parse_header,
    serialize_extension,
)

Extensions = list[tuple[str, dict[str, Any]]]

HEADERS: dict[str, Extensions] = {
    "": [],
    "a": [("a", {})],
    "a, b": [("a", {}), ("b", {})],
    "a,b": [("a", {}), ("b", {})],
    "a ,\tb": [("a", {}), ("b", {})],
    "  a  ": [("a", {})],
    # RFC 9110, 5.6.1.2: "A recipient MUST parse and ignore a reasonable number of empty list
    # elements".
    ", a,, ,b,": [("a", {}), ("b", {})],
    ",": [],
    "a; b": [("a", {"b": True})],
    "a;b": [("a", {"b": True})],
    "a ; b ; c": [("a", {"b": True, "c": True})],
    "a; b=c": [("a", {"b": "c"})],
    "a; b = c": [("a", {"b": "c"})],
    'a; b="c"': [("a", {"b": "c"})],
    'a; b="c, d; e=f"': [("a", {"b": "c, d; e=f"})],
    'a; b=""': [("a", {"b": ""})],
    r'a; b="c\"d\\e\f"': [("a", {"b": 'c"d\\ef'})],
    'a; b="\t \xe9"': [("a", {"b": "\t \xe9"})],
    # Quoted or not, a number is one.
    "a; b=10": [("a", {"b": 10})],
    'a; b="10"': [("a", {"b": 10})],
    "a; b=0": [("a", {"b": 0})],
    "a; b=-12": [("a", {"b": -12})],
    "a; b=1.5": [("a", {"b": 1.5})],
    # What would not be written in the same way again is a text.
    "a; b=010": [("a", {"b": "010"})],
    "a; b=+1": [("a", {"b": "+1"})],
    "a; b=-0": [("a", {"b": "-0"})],
    "a; b=1.": [("a", {"b": "1."})],
    "a; b=.5": [("a", {"b": ".5"})],
    "a; b=1.50": [("a", {"b": "1.50"})],
    "a; b=0.00001": [("a", {"b": "0.00001"})],
    "a; b=1e3": [("a", {"b": "1e3"})],
    "a; b=0x10": [("a", {"b": "0x10"})],
    "a; b=12345678901234567890": [("a", {"b": "12345678901234567890"})],
    # Parameters that are repeated keep all their values.
    "a; b; b": [("a", {"b": [True, True]})],
    "a; b=1; c; b=x; b": [("a", {"b": [1, "x", True], "c": True})],
    # The same extension may be offered several times; tokens keep their case.
    "a; b, c, a": [("a", {"b": True}), ("c", {}), ("a", {})],
    "X-Ext; Big=Value, x-ext; big=value": [
        ("X-Ext", {"Big": "Value"}),
        ("x-ext", {"big": "value"}),
    ],
    "!#$%&'*+-.^_`|~09azAZ": [("!#$%&'*+-.^_`|~09azAZ", {})],
    # Names that mean something to other languages.
    "__proto__; constructor; hasOwnProperty=1": [
        ("__proto__", {"constructor": True, "hasOwnProperty": 1})
    ],
    "permessage-deflate; client_max_window_bits, x-webkit-deflate-frame": [
        ("permessage-deflate", {"client_max_window_bits": True}),
        ("x-webkit-deflate-frame", {}),
    ],
}

BAD_HEADERS = [
    ";",
    "a;",
    "a; ;b",
    "a; b=",
    "a; =b",
    "a; b=c d",
    "a b",
    "a=b",
    "a/b",
    '"a"',
    'a; "b"',
    'a; b="',
    'a; b="c',
    r'a; b="c\"',
    'a; b="c"d',
    'a; b="c\x00d"',
    'a; b="c\nd"',
    'a; b="c\\\nd"',
    'a; b="c\x7fd"',
    "a\r\nb",
    "a\x00",
    "\xe9",
    "a; b=\xe9",
    "a, \u2028",
    'a; b="€"',
    "a\x0b, b",
    "a\xa0; b",
]


@pytest.mark.parametrize("header", HEADERS)
def test_a_header_becomes_names_with_parameters(header: str) -> None:
    parsed = parse_header(header)
    assert parsed == HEADERS[header]
    assert [list(map(type, params.values())) for _, params in parsed] == [
        list(map(type, params.values())) for _, params in HEADERS[header]
    ]


@pytest.mark.parametrize("header", BAD_HEADERS)
def test_a_header_that_breaks_the_grammar_is_refused(header: str) -> None:
    with pytest.raises(HandshakeError, match="wrong at byte"):
        parse_header(header)


def test_a_refusal_tells_where_the_header_is_wrong() -> None:
    with pytest.raises(HandshakeError, match=r"byte 9$"):
        parse_header("aa, bb; =c")


@pytest.mark.parametrize("header", [header for header in HEADERS if header.strip(", ")])
def test_what_was_parsed_is_the_same_when_serialized_and_parsed_again(header: str) -> None:
    again = ", ".join(serialize_extension(*extension) for extension in parse_header(header))
    assert parse_header(again) == HEADERS[header]


@pytest.mark.parametrize(
    ("params", "header"),
    [
        ({}, "a"),
        ({"b": True}, "a; b"),
        ({"b": True, "c": "d"}, "a; b; c=d"),
        ({"b": 10, "c": 1.5}, "a; b=10; c=1.5"),
        ({"b": 1, "c": 0}, "a; b=1; c=0"),
        ({"b": [1, True, "x y"]}, 'a; b=1; b; b="x y"'),
        ({"b": ("x", "y")}, "a; b=x; b=y"),
        ({"b": ""}, 'a; b=""'),
        ({"b": "two words"}, 'a; b="two words"'),
        ({"b": 'a "quote" and \\'}, r'a; b="a \"quote\" and \\"'),
        ({"b": "\t\xe9"}, 'a; b="\t\xe9"'),
        ({"b": False, "c": None, "d": [], "e": 1}, "a; e=1"),
    ],
)
def test_parameters_are_serialized_so_that_they_can_be_read(params: Any, header: str) -> None:
    assert serialize_extension("a", params) == header


@pytest.mark.parametrize("name", ["", "a b", "a,", "a;", "a=", '"a"', "a\r\nX: y", "é", "a\n"])
def test_what_is_no_token_is_not_serialized_as_a_name(name: str) -> None:
    with pytest.raises(ValueError, match="not a token"):
        serialize_extension(name, {})
    with pytest.raises(ValueError, match="not a token"):
        serialize_extension("a", {name: "value"})
    with pytest.raises(ValueError, match="not a token"):
        serialize_extension("a", {name: True})


@pytest.mark.parametrize("value", ["a\r\nX: y", "a\nb", "\r", "\0", "\x7f", "€", "\ud800"])
def test_a_value_that_no_header_can_carry_is_not_serialized(value: str) -> None:
    with pytest.raises(ValueError, match="not a value"):
        serialize_extension("a", {"b": value})


TOKENS = st.text("!#$%&'*+-.^_`|~" + string.ascii_letters + string.digits, min_size=1, max_size=12)
TEXTS = st.text(
    st.characters(max_codepoint=0xFF, exclude_categories=["Cc"], exclude_characters="\x7f")
    | st.just("\t"),
    max_size=20,
)


def _stays_text(text: str) -> bool:
    # A text that looks like a number becomes one: headers do not tell them apart.
    return isinstance(parse_header(serialize_extension("a", {"b": text}))[0][1]["b"], str)


VALUES = (
    st.just(True)
    | st.integers(-(10**15), 10**15)
    | st.decimals(-1000, 1000, places=3).map(float).filter(lambda number: "e" not in repr(number))
    | (TOKENS | TEXTS).filter(_stays_text)
)
PARAMETERS = st.dictionaries(TOKENS, VALUES | st.lists(VALUES, min_size=2, max_size=4), max_size=5)


@given(st.lists(st.tuples(TOKENS, PARAMETERS), max_size=5))
@example([("a", {"b": -0.0})])
def test_parameters_come_back_from_their_header(extensions: Extensions) -> None:
    header = ", ".join(serialize_extension(name, params) for name, params in extensions)
    assert parse_header(header) == extensions


GRAMMAR = st.lists(
    st.sampled_from([",", ";", "=", '"', "\\", " ", "\t", "a", "b", "10", "-", "1.50", "\xe9"]),
    max_size=40,
).map("".join)


@given(GRAMMAR | st.text(max_size=60) | st.text(st.characters(max_codepoint=0xFF), max_size=200))
def test_any_header_has_a_meaning_or_is_refused(header: str) -> None:
    try:
        extensions = parse_header(header)
    except HandshakeError:
        return
    again = ", ".join(serialize_extension(name, params) for name, params in extensions)
    assert parse_header(again) == extensions
    # And what has been serialized once is never written in another way.
    assert again == ", ".join(serialize_extension(*each) for each in parse_header(again))


def test_the_number_of_extensions_is_bounded() -> None:
    most = ", ".join(["a"] * MAX_EXTENSIONS)
    assert len(parse_header(most)) == MAX_EXTENSIONS
    with pytest.raises(HandshakeError, match="more than 32 extensions"):
        parse_header(most + ", a")


@pytest.mark.parametrize("parameter", ["; b", "; b{}", "; b=1"])
def test_the_number_of_parameters_is_bounded(parameter: str) -> None:
    most = "a" + "".join(parameter.format(number) for number in range(MAX_PARAMETERS))
    assert len(parse_header(most)) == 1
    with pytest.raises(HandshakeError, match="more than 32 parameters"):
        parse_header(most + "; c")


def test_the_length_is_bounded() -> None:
    most = "a" * MAX_LENGTH
    assert parse_header(most) == [(most, {})]
    with pytest.raises(HandshakeError, match="over 8192 bytes"):
        parse_header(most + "a")


# Each makes a parser that goes back in the text take a time that grows with the square, or
# worse, of the length (CVE-2020-7662).
HOSTILE = {
    "a quote that does not end": lambda size: 'a; b="' + "c" * size,
    "escapes that do not end": lambda size: 'a; b="' + "\\" * size,
    "escaped quotes that do not end": lambda size: 'a; b="' + '\\"' * (size // 2),
    "escapes, then a bad byte": lambda size: 'a; b="' + "\\c" * (size // 2) + '\n"',
    "a long token, then a bad byte": lambda size: "a" * size + "\n",
    "spaces, then a bad byte": lambda size: "a" + " " * size + "\n",
    "empty elements": lambda size: " ," * (size // 2) + "\n",
    "separators": lambda size: "a" + ";" * size,
    "a long number": lambda size: "a; b=" + "1" * size,
    "a long fraction": lambda size: "a; b=1." + "1" * size + "\n",
    "quotes": lambda size: "a; b=" + '""' * (size // 2),
}


@pytest.mark.parametrize("hostile", HOSTILE.values(), ids=HOSTILE)
def test_no_header_takes_more_than_linear_time(
    hostile: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Far beyond the bound on the length: it must not be what saves the grammar. With the
    # square of it, this would take hours.
    monkeypatch.setattr("faye_ws.extensions.header.MAX_LENGTH", 2**24)
    header = hostile(2**21)
    began = time.process_time()
    with contextlib.suppress(HandshakeError):
        parse_header(header)
    assert time.process_time() - began < 5
