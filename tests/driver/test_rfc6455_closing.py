"""RFC 6455, how a connection ends: closed by either end, failed, or lost."""

from __future__ import annotations

from typing import Any

import pytest

from faye_ws.constants import ReadyState
from faye_ws.driver import Close, Message, Ping, Pong
from faye_ws.driver.rfc6455 import RFC6455
from support import wire
from support.roles import Role
from support.streams import Cut, feed, take

SENDABLE = [1000, 1001, 1002, 1003, *range(1007, 1015), 3000, 3999, 4000, 4999]


def close_frame(role: Role, code: int = 1000, reason: bytes = b"") -> bytes:
    """Return a close frame of the peer's."""
    return role.frame(wire.CLOSE, wire.close_payload(code, reason))


def sent(driver: RFC6455) -> list[tuple[int, bytes]]:
    """Return the frames that are to be sent."""
    return wire.unframe(driver.data_to_send())


def assert_over(driver: RFC6455, role: Role) -> None:
    """Check that nothing whatever comes of a driver any more."""
    assert driver.ready_state is ReadyState.CLOSED
    driver.receive_data(role.frames((0x81, b"late"), (wire.PING, b""), (wire.CLOSE, b"")))
    driver.receive_data(b"\xff" * 100)
    driver.receive_eof()
    assert driver.events() == []
    assert not driver.answer_close()
    assert not driver.text("late")
    assert not driver.binary(b"late")
    assert not driver.ping()
    assert not driver.pong()
    assert not driver.close()
    assert not driver.leave(1011)
    assert not driver.start()
    assert driver.events() == []
    assert driver.data_to_send() == b""
    assert driver.ready_state is ReadyState.CLOSED


@pytest.mark.parametrize("code", SENDABLE)
def test_the_peers_close_is_told_and_echoed(role: Role, cut: Cut, code: int) -> None:
    driver = role.open()
    events = feed(driver, cut(close_frame(role, code, b"adi\xc3\xb3s")))
    assert events == [Close(code, "adi\u00f3s", was_clean=True)]
    assert sent(driver) == [(wire.CLOSE, wire.close_payload(code, b"adi\xc3\xb3s"))]
    assert_over(driver, role)


def test_a_close_without_a_code_is_1005_and_answered_with_none(role: Role, cut: Cut) -> None:
    driver = role.open()
    assert feed(driver, cut(role.frame(wire.CLOSE))) == [Close(1005, "", was_clean=True)]
    assert sent(driver) == [(wire.CLOSE, b"")]
    assert_over(driver, role)


def test_the_longest_reason_is_echoed(role: Role, cut: Cut) -> None:
    driver = role.open()
    reason = "\u20ac" * 41
    assert feed(driver, cut(close_frame(role, 1000, reason.encode()))) == [
        Close(1000, reason, was_clean=True)
    ]
    assert sent(driver) == [(wire.CLOSE, wire.close_payload(1000, reason.encode()))]


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        (b"\x03", 1002),
        *((wire.close_payload(bad), 1002) for bad in (0, 999, 1004, 1005, 1006, 1015, 1016, 2999)),
        (wire.close_payload(5000), 1002),
        (wire.close_payload(65535), 1002),
        (wire.close_payload(1000, b"\xff"), 1007),
        (wire.close_payload(1000, b"caf\xc3"), 1007),
    ],
)
def test_a_close_frame_that_is_wrong_fails_the_connection(
    role: Role, cut: Cut, payload: bytes, code: int
) -> None:
    driver = role.open()
    [event] = feed(driver, cut(role.frame(wire.CLOSE, payload)))
    assert isinstance(event, Close)
    assert (event.code, event.was_clean) == (code, False)
    [(first, answer)] = sent(driver)
    assert (first, answer[:2]) == (wire.CLOSE, code.to_bytes(2, "big"))
    assert answer[2:].decode() == event.reason
    assert_over(driver, role)


def test_the_end_comes_last_and_has_its_effect_when_it_is_answered(role: Role) -> None:
    driver = role.open()
    driver.receive_data(role.frames((0x81, b"one"), (wire.PING, b"")) + close_frame(role))
    assert [first for first, _ in sent(driver)] == [wire.PONG]
    assert driver.events() == [Message("one"), Ping(b""), Close(1000, "", was_clean=True)]
    assert driver.events() == []
    assert driver.ready_state is ReadyState.OPEN
    assert driver.data_to_send() == b""
    assert driver.answer_close()
    assert driver.ready_state is ReadyState.CLOSED
    assert sent(driver) == [(wire.CLOSE, b"\x03\xe8")]
    assert_over(driver, role)


def test_there_is_nothing_to_answer_before_the_end_is_taken(role: Role) -> None:
    driver = role.open()
    assert not driver.answer_close()
    driver.receive_data(close_frame(role))
    assert not driver.answer_close()
    assert driver.ready_state is ReadyState.OPEN
    assert driver.data_to_send() == b""
    assert take(driver) == [Close(1000, "", was_clean=True)]
    assert sent(driver) == [(wire.CLOSE, b"\x03\xe8")]


ENDS = {
    "a close": (0x88, b"\x03\xe8"),
    "a violation": (0x83, b""),
    "a bad text": (0x81, b"\xff"),
}


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
def test_what_is_sent_before_the_end_is_answered_goes_out_before_the_close(
    role: Role, end: tuple[int, bytes]
) -> None:
    driver = role.open()
    driver.receive_data(role.frames((0x81, b"question"), end))
    question, event = driver.events()
    assert question == Message("question")
    assert isinstance(event, Close)
    assert driver.text("answer")
    assert driver.binary(b"\0")
    assert driver.ping(b"!")
    assert driver.answer_close()
    frames = sent(driver)
    assert frames[:3] == [(0x81, b"answer"), (0x82, b"\0"), (wire.PING, b"!")]
    assert [first for first, _ in frames[3:]] == [wire.CLOSE]


def test_the_end_of_the_bytes_waits_its_turn_as_well(role: Role) -> None:
    driver = role.open()
    driver.receive_data(role.frame(0x81, b"question"))
    driver.receive_eof()
    assert driver.events() == [Message("question"), Close(1006)]
    assert driver.text("answer")
    assert driver.answer_close()
    assert sent(driver) == [(0x81, b"answer")]
    assert_over(driver, role)


def test_data_behind_a_close_is_discarded(role: Role, cut: Cut) -> None:
    driver = role.open()
    data = close_frame(role, 1001) + role.frames((0x81, b"x"), (wire.PING, b""), (0x83, b""))
    assert feed(driver, cut(data + close_frame(role, 4000))) == [Close(1001, "", was_clean=True)]
    assert sent(driver) == [(wire.CLOSE, b"\x03\xe9")]
    assert_over(driver, role)


def test_our_close_waits_for_the_peers(role: Role, cut: Cut) -> None:
    driver = role.open()
    assert driver.close(3000, "bye")
    assert driver.ready_state is ReadyState.CLOSING
    assert sent(driver) == [(wire.CLOSE, b"\x0b\xb8bye")]
    assert driver.events() == []
    assert feed(driver, cut(close_frame(role, 3000, b"too"))) == [
        Close(3000, "too", was_clean=True)
    ]
    assert driver.data_to_send() == b""
    assert_over(driver, role)


def test_nothing_is_sent_after_our_close(role: Role) -> None:
    driver = role.open()
    assert driver.close()
    assert sent(driver) == [(wire.CLOSE, b"\x03\xe8")]
    assert not driver.text("x")
    assert not driver.binary(b"x")
    assert not driver.ping()
    assert not driver.pong()
    assert not driver.close(1000, "again")
    assert not driver.leave(1011)
    assert driver.data_to_send() == b""


def test_messages_that_cross_our_close_are_told_and_pings_not_answered(
    role: Role, cut: Cut
) -> None:
    driver = role.open()
    driver.receive_data(role.frame(wire.TEXT, b"be"))
    driver.close()
    driver.data_to_send()
    frames = [(wire.PING, b"?"), (wire.LAST, b"fore"), (0x82, b"x"), (wire.PONG, b"")]
    events = feed(driver, cut(role.frames(*frames)))
    assert events == [Ping(b"?"), Message("before"), Message(b"x"), Pong(b"")]
    assert driver.data_to_send() == b""
    assert driver.ready_state is ReadyState.CLOSING


def test_a_close_of_ours_that_crosses_the_peers_is_the_only_one_sent(role: Role) -> None:
    driver = role.open()
    driver.receive_data(role.frame(0x81, b"x") + close_frame(role, 4001, b"theirs"))
    assert driver.events() == [Message("x"), Close(4001, "theirs", was_clean=True)]
    assert driver.close(4000, "ours")
    assert driver.ready_state is ReadyState.CLOSING
    assert driver.answer_close()
    assert sent(driver) == [(wire.CLOSE, b"\x0f\xa0ours")]
    assert_over(driver, role)


def test_a_violation_after_our_close_sends_no_second_close(role: Role, cut: Cut) -> None:
    driver = role.open()
    driver.close()
    driver.data_to_send()
    [event] = feed(driver, cut(role.frame(0x83)))
    assert isinstance(event, Close)
    assert (event.code, event.was_clean) == (1002, False)
    assert driver.data_to_send() == b""
    assert_over(driver, role)


def test_a_close_of_ours_before_a_violation_is_answered_is_the_only_one_sent(role: Role) -> None:
    driver = role.open()
    driver.receive_data(role.frame(0x83))
    assert driver.close(1000, "ours")
    [event] = take(driver)
    assert isinstance(event, Close)
    assert event.code == 1002
    assert sent(driver) == [(wire.CLOSE, b"\x03\xe8ours")]


@pytest.mark.parametrize("start", [b"", b"\x81", b"\x81\x7e", b"\x82\x7e\x01", b"\x89\x05abc"])
def test_the_end_of_the_bytes_is_1006_wherever_it_comes(role: Role, start: bytes) -> None:
    driver = role.open()
    if role.is_server and len(start) > 1:
        start = start[:1] + bytes([start[1] | 0x80]) + start[2:]
    driver.receive_data(start)
    driver.receive_eof()
    driver.receive_eof()
    driver.receive_data(role.frame(0x81, b"late"))
    assert take(driver) == [Close(1006)]
    assert driver.data_to_send() == b""
    assert_over(driver, role)


def test_the_end_of_the_bytes_inside_a_message_drops_it(role: Role, cut: Cut) -> None:
    driver = role.open()
    data = role.frames((0x81, b"whole"), (wire.TEXT, b"half")) + role.frame(wire.LAST, b"of")[:-1]
    assert feed(driver, cut(data)) == [Message("whole")]
    driver.receive_eof()
    assert take(driver) == [Close(1006)]


def test_the_end_of_the_bytes_after_our_close_is_1006(role: Role) -> None:
    driver = role.open()
    driver.close(1000)
    driver.data_to_send()
    driver.receive_eof()
    assert take(driver) == [Close(1006)]
    assert_over(driver, role)


def test_the_end_of_the_bytes_after_the_peers_close_changes_nothing(role: Role) -> None:
    driver = role.open()
    driver.receive_data(close_frame(role, 1001))
    driver.receive_eof()
    assert take(driver) == [Close(1001, "", was_clean=True)]
    assert sent(driver) == [(wire.CLOSE, b"\x03\xe9")]
    assert_over(driver, role)


def test_each_role_closes_with_its_codes(role: Role) -> None:
    for code in SENDABLE:
        driver = role.open()
        if role.is_server or code == 1000 or code >= 3000:
            assert driver.close(code)
            assert sent(driver) == [(wire.CLOSE, wire.close_payload(code))]
        else:
            with pytest.raises(ValueError, match="a client closes with 1000 or 3000-4999"):
                driver.close(code)
            assert driver.ready_state is ReadyState.OPEN
            assert driver.data_to_send() == b""


@pytest.mark.parametrize("code", [-1, 0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 2**20])
def test_no_role_closes_with_other_codes(role: Role, code: int) -> None:
    driver = role.open()
    with pytest.raises(ValueError, match=f"not {code}$"):
        driver.close(code)
    assert driver.ready_state is ReadyState.OPEN
    assert driver.data_to_send() == b""


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("1000",), TypeError),
        ((None,), TypeError),
        ((1000, b"bytes"), TypeError),
        ((1000, None), TypeError),
        ((1000, "x" * 124), ValueError),
        ((1000, "\u20ac" * 42), ValueError),
        ((1000, "\ud800"), ValueError),
    ],
)
def test_a_close_that_is_wrong_raises_in_every_state(
    role: Role, arguments: Any, error: type[Exception]
) -> None:
    driver = role.open()
    for _ in range(2):
        with pytest.raises(error):
            driver.close(*arguments)
        driver.close()
    driver.receive_eof()
    take(driver)
    with pytest.raises(error):
        driver.close(*arguments)


def test_an_end_of_ours_may_have_every_code(role: Role) -> None:
    for code in (1001, 1011):
        driver = role.open()
        assert driver.leave(code, "\u20ac" * 100)
        assert driver.ready_state is ReadyState.CLOSING
        assert sent(driver) == [(wire.CLOSE, wire.close_payload(code, "\u20ac".encode() * 41))]
        assert feed(driver, [close_frame(role, code)]) == [Close(code, "", was_clean=True)]
        assert_over(driver, role)
