"""Close frames (RFC 6455, 5.5.1 and 7.4): what they carry, and what one may close with."""

from __future__ import annotations

from typing import Any

import pytest

from faye_ws.constants import CloseCode
from faye_ws.driver.closing import check_close, fit_reason, parse_close, serialize_close
from faye_ws.errors import InvalidPayloadData, ProtocolError
from support import wire

# The registry of IANA ("WebSocket Close Code Number Registry"), without the codes that
# may never be sent: 1004 (reserved), 1005, 1006, 1015.
REGISTERED = {1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014}
# 7.4.2: 3000-3999 are registered by libraries, 4000-4999 are private.
OPEN_RANGES = set(range(3000, 5000))
ALL_CODES = range(5001)


def accepts(check: Any, *args: Any) -> bool:
    """Tell whether a check lets something pass."""
    try:
        check(*args)
    except (ProtocolError, ValueError):
        return False
    return True


def test_the_codes_are_accepted_from_peers_that_may_be_sent() -> None:
    accepted = {code for code in ALL_CODES if accepts(parse_close, wire.close_payload(code))}
    assert accepted == REGISTERED | OPEN_RANGES


@pytest.mark.parametrize("code", [5001, 8192, 32768, 65535])
def test_codes_beyond_the_ranges_are_refused(code: int) -> None:
    with pytest.raises(ProtocolError, match=f"status code {code}") as caught:
        parse_close(wire.close_payload(code))
    assert caught.value.code == 1002


@pytest.mark.parametrize("code", [1000, 1014, 3000, 4999])
def test_a_code_comes_with_its_reason(code: int) -> None:
    assert parse_close(wire.close_payload(code)) == (code, "")
    assert parse_close(wire.close_payload(code, b"adi\xc3\xb3s")) == (code, "adi\u00f3s")
    assert parse_close(wire.close_payload(code, b"x" * 123)) == (code, "x" * 123)


def test_an_empty_close_frame_is_1005() -> None:
    assert parse_close(b"") == (1005, "")


def test_half_a_code_is_refused() -> None:
    with pytest.raises(ProtocolError, match="half a status code") as caught:
        parse_close(b"\x03")
    assert caught.value.code == 1002


@pytest.mark.parametrize(
    "reason",
    [b"\xff", b"bye \xc3", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\x80"],
    ids=["byte", "cut off", "overlong", "surrogate", "beyond Unicode", "continuation"],
)
def test_a_reason_that_is_not_utf8_is_refused(reason: bytes) -> None:
    with pytest.raises(InvalidPayloadData, match="not UTF-8") as caught:
        parse_close(wire.close_payload(1000, reason))
    assert caught.value.code == 1007


def test_a_bad_code_is_refused_before_its_bad_reason() -> None:
    with pytest.raises(ProtocolError) as caught:
        parse_close(wire.close_payload(1005, b"\xff"))
    assert caught.value.code == 1002


@pytest.mark.parametrize("code", [1000, 1011, 3000, 4999])
def test_what_is_serialized_is_parsed(code: int) -> None:
    assert serialize_close(code) == wire.close_payload(code)
    payload = serialize_close(code, "adi\u00f3s")
    assert payload == wire.close_payload(code, b"adi\xc3\xb3s")
    assert parse_close(payload) == (code, "adi\u00f3s")


def test_no_code_is_serialized_as_nothing() -> None:
    assert serialize_close(1005) == b""
    assert serialize_close(CloseCode.NO_STATUS_RECEIVED, "lost") == b""


def test_a_client_closes_with_1000_or_a_code_of_the_application() -> None:
    allowed = {code for code in ALL_CODES if accepts(check_close, code, "", False)}
    assert allowed == {1000} | OPEN_RANGES


def test_a_server_closes_with_every_code_that_may_be_sent() -> None:
    allowed = {code for code in ALL_CODES if accepts(check_close, code, "", True)}
    assert allowed == REGISTERED | OPEN_RANGES


@pytest.mark.parametrize("by_server", [False, True])
@pytest.mark.parametrize("code", [-1, 5000, 65536, 2**64, CloseCode.ABNORMAL_CLOSURE])
def test_no_one_closes_with_what_is_no_code(code: int, by_server: bool) -> None:
    with pytest.raises(ValueError, match=f"not {int(code)}$"):
        check_close(code, "", by_server)


@pytest.mark.parametrize("by_server", [False, True])
@pytest.mark.parametrize("code", ["1000", 1000.0, None, True, b"\x03\xe8"])
def test_a_code_that_is_no_integer_is_a_type_error(code: Any, by_server: bool) -> None:
    with pytest.raises(TypeError, match="a close code must be an int"):
        check_close(code, "", by_server)


@pytest.mark.parametrize("reason", [b"bye", None, 7])
def test_a_reason_that_is_no_string_is_a_type_error(reason: Any) -> None:
    with pytest.raises(TypeError, match="a close reason must be a str"):
        check_close(1000, reason, True)


def test_a_reason_may_have_123_bytes() -> None:
    check_close(1000, "x" * 123, False)
    check_close(1000, "\u20ac" * 41, False)
    for reason in ("x" * 124, "\u20ac" * 41 + "x", "\u20ac" * 42):
        with pytest.raises(ValueError, match="more than 123 bytes"):
            check_close(1000, reason, False)


def test_a_reason_with_a_lone_surrogate_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="surrogates not allowed"):
        check_close(1000, "\ud800", False)


@pytest.mark.parametrize(
    ("text", "fitted"),
    [
        ("", ""),
        ("x" * 123, "x" * 123),
        ("x" * 500, "x" * 123),
        ("\u20ac" * 100, "\u20ac" * 41),
        ("x" + "\u20ac" * 100, "x" + "\u20ac" * 40),
        ("x" * 121 + "\U0001f600", "x" * 121),
        ("a\ud800b", "a?b"),
    ],
)
def test_a_reason_of_ours_is_cut_at_a_whole_character(text: str, fitted: str) -> None:
    assert fit_reason(text) == fitted


@pytest.mark.parametrize(
    ("by_server", "sentence"),
    [
        (False, "a client closes with 1000 or 3000-4999, not 2999"),
        (True, "a server closes with 1000-1003, 1007-1014 or 3000-4999, not 2999"),
    ],
)
def test_who_may_close_with_which_code_is_said(by_server: bool, sentence: str) -> None:
    with pytest.raises(ValueError, match=f"^{sentence}$"):
        check_close(2999, "", by_server)
