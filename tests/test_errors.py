"""The exceptions: whose they are, and what they say."""

from __future__ import annotations

import errno

import pytest

from faye_ws import errors
from faye_ws.constants import CloseCode
from faye_ws.errors import (
    ConnectionClosed,
    EventStreamError,
    HandshakeError,
    InvalidStatus,
    ProtocolError,
    WebSocketError,
)

OURS = [one for one in vars(errors).values() if isinstance(one, type)]
ALL = [one for one in OURS if one.__module__ == errors.__name__]


def test_all_can_be_caught_as_one() -> None:
    assert len(ALL) > 10
    assert all(issubclass(one, WebSocketError) for one in ALL)


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("ProtocolError", 1002),
        ("InvalidPayloadData", 1007),
        ("MessageTooBig", 1009),
        ("ExtensionError", 1010),
    ],
)
def test_what_a_peer_has_broken_has_the_code_that_the_rfc_gives_it(name: str, code: int) -> None:
    error = getattr(errors, name)("no")
    assert isinstance(error, ProtocolError)
    assert (error.code, str(error)) == (code, "no")


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("HandshakeError", 400),
        ("OriginNotAllowed", 403),
        ("UnsupportedVersion", 426),
        ("HeadTooLarge", 431),
        ("ConnectionFailed", 400),
    ],
)
def test_a_handshake_that_is_refused_has_a_status(name: str, status: int) -> None:
    error = getattr(errors, name)("no")
    assert isinstance(error, HandshakeError)
    assert (error.status, str(error)) == (status, "no")


def test_a_response_that_opens_nothing_is_kept() -> None:
    error = InvalidStatus("the server answered 404", 404, b"not here")
    assert isinstance(error, HandshakeError)
    assert (str(error), error.status, error.body) == ("the server answered 404", 404, b"not here")


@pytest.mark.parametrize(
    ("code", "reason", "sentence"),
    [
        (1006, "", "the connection is closed (1006)"),
        (4000, "bye", "the connection is closed (4000 bye)"),
        (CloseCode.GOING_AWAY, "", "the connection is closed (1001)"),
    ],
)
def test_a_closed_connection_says_how_it_was_closed(code: int, reason: str, sentence: str) -> None:
    error = ConnectionClosed(code, reason, True)
    assert (error.code, error.reason, error.was_clean) == (code, reason, True)
    assert not ConnectionClosed(code, reason, False).was_clean
    assert str(error) == sentence


def test_a_closed_connection_is_a_client_that_has_hung_up() -> None:
    error = ConnectionClosed(1006, "", False)
    assert isinstance(error, ConnectionError)
    assert error.errno == errno.EPIPE


def test_the_end_of_an_event_stream_has_the_status_that_says_so() -> None:
    error = EventStreamError("the server answered 204", 204)
    assert (str(error), error.status) == ("the server answered 204", 204)
    assert EventStreamError("no", None).status is None


def test_a_server_that_is_not_supported_is_no_fault_of_a_peer() -> None:
    assert issubclass(errors.UnsupportedServer, RuntimeError)
