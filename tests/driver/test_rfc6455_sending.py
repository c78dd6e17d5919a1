"""RFC 6455, what is sent: messages, pings and pongs, through extensions and without."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from faye_ws.constants import ReadyState
from faye_ws.driver import Client, Close, Headers, Message, Ping, Pong, Request, RequestServer
from faye_ws.driver.prepared import PreparedMessage
from faye_ws.driver.rfc6455 import RFC6455
from support import wire
from support.extension import Reverse
from support.roles import REQUEST, Role, open_client
from support.streams import Cut, feed, take


@pytest.mark.parametrize("length", [0, 1, 125, 126, 127, 65535, 65536])
def test_messages_of_every_length_are_sent_as_one_frame(role: Role, length: int) -> None:
    driver = role.open()
    assert driver.text("x" * length)
    assert driver.binary(bytes(length))
    frames = [(0x81, b"x" * length), (0x82, bytes(length))]
    data = driver.data_to_send()
    assert wire.unframe(data) == frames
    assert driver.data_to_send() == b""
    if role.is_server:
        assert data == b"".join(wire.frame(*frame) for frame in frames)


def test_text_is_sent_as_utf8(role: Role) -> None:
    driver = role.open()
    assert driver.text("\u03ba\U0001f600")
    assert wire.unframe(driver.data_to_send()) == [(0x81, b"\xce\xba\xf0\x9f\x98\x80")]


def test_text_with_a_lone_surrogate_is_a_value_error_and_not_sent(role: Role) -> None:
    driver = role.open()
    with pytest.raises(ValueError, match="surrogates not allowed"):
        driver.text("a\ud800b")
    assert driver.data_to_send() == b""
    assert driver.ready_state is ReadyState.OPEN


def test_a_server_masks_nothing_and_a_client_everything(role: Role) -> None:
    driver = role.open()
    driver.text("x")
    driver.binary(b"")
    driver.ping()
    driver.pong(b"x")
    driver.receive_data(role.frame(wire.PING, b"?"))
    driver.close()
    data = driver.data_to_send()
    while data:
        assert bool(data[1] & 0x80) is not role.is_server
        data = data[2 + (data[1] & 0x7F) + (0 if role.is_server else 4) :]


def test_a_client_takes_a_new_mask_for_each_frame() -> None:
    driver = open_client()
    keys = set()
    for _ in range(1000):
        driver.text("")
        keys.add(driver.data_to_send()[2:])
    assert {len(key) for key in keys} == {4}
    # Of 2 to the 32nd keys a thousand are nearly always distinct.
    assert len(keys) > 990


def test_a_ping_is_answered_with_its_data(role: Role, cut: Cut) -> None:
    driver = role.open()
    payloads = [b"", b"x", b"\0" * 125]
    data = role.frames(*((wire.PING, payload) for payload in payloads))
    assert feed(driver, cut(data)) == [Ping(payload) for payload in payloads]
    pongs = wire.unframe(driver.data_to_send())
    assert pongs == [(wire.PONG, payload) for payload in payloads]


def test_while_pongs_are_held_pings_are_told_and_not_answered(role: Role, cut: Cut) -> None:
    driver = role.open()
    driver.hold_pongs(True)
    pings = [(wire.PING, bytes([number])) for number in range(100)]
    assert feed(driver, cut(role.frames(*pings))) == [Ping(payload) for _, payload in pings]
    driver.hold_pongs(True)
    assert driver.data_to_send() == b""
    # 5.5.3: "MAY elect to send a Pong frame for only the most recently processed Ping frame."
    driver.hold_pongs(False)
    assert wire.unframe(driver.data_to_send()) == [(wire.PONG, bytes([99]))]
    driver.hold_pongs(False)
    assert driver.data_to_send() == b""
    feed(driver, cut(role.frame(wire.PING, b"next")))
    assert wire.unframe(driver.data_to_send()) == [(wire.PONG, b"next")]


def test_no_pong_is_owed_where_no_ping_came(role: Role) -> None:
    driver = role.open()
    driver.hold_pongs(True)
    assert driver.text("x")
    assert driver.pong(b"unasked")
    driver.hold_pongs(False)
    frames = [(0x81, b"x"), (wire.PONG, b"unasked")]
    assert wire.unframe(driver.data_to_send()) == frames


def test_a_pong_that_is_owed_is_not_sent_after_our_close(role: Role) -> None:
    driver = role.open()
    driver.hold_pongs(True)
    driver.receive_data(role.frame(wire.PING, b"?"))
    driver.close()
    driver.hold_pongs(False)
    assert wire.unframe(driver.data_to_send()) == [(wire.CLOSE, b"\x03\xe8")]


def test_a_pong_is_told_and_not_answered(role: Role, cut: Cut) -> None:
    driver = role.open()
    assert feed(driver, cut(role.frame(wire.PONG, b"x"))) == [Pong(b"x")]
    assert driver.data_to_send() == b""


def test_pings_and_pongs_are_sent(role: Role) -> None:
    driver = role.open()
    assert driver.ping()
    assert driver.ping(b"x" * 125)
    assert driver.pong(b"y")
    frames = [(wire.PING, b""), (wire.PING, b"x" * 125), (wire.PONG, b"y")]
    assert wire.unframe(driver.data_to_send()) == frames


def test_a_ping_of_more_than_125_bytes_is_a_value_error(role: Role) -> None:
    driver = role.open()
    for send in (driver.ping, driver.pong):
        with pytest.raises(ValueError, match="more than 125 bytes"):
            send(bytes(126))
    assert driver.data_to_send() == b""


@pytest.mark.parametrize(
    "driver", [RequestServer(REQUEST), Client("ws://h/")], ids=["as server", "as client"]
)
def test_nothing_is_sent_before_the_handshake(driver: RFC6455) -> None:
    assert not driver.text("x")
    assert not driver.binary(b"x")
    assert not driver.ping()
    assert not driver.pong()
    assert not driver.close()
    assert not driver.leave(1001)
    assert not driver.send_prepared(PreparedMessage("x"))
    assert driver.data_to_send() == b""
    assert driver.events() == []
    assert driver.ready_state is ReadyState.CONNECTING


def test_a_prepared_message_is_sent_as_any_other(role: Role) -> None:
    for data, frame in (("\u03ba", (0x81, b"\xce\xba")), (b"\xff", (0x82, b"\xff"))):
        message = PreparedMessage(data)
        for driver in (role.open(), role.open()):
            assert driver.send_prepared(message)
            assert wire.unframe(driver.data_to_send()) == [frame]
            driver.close()
            driver.data_to_send()
            assert not driver.send_prepared(message)
            assert driver.data_to_send() == b""


def test_a_server_frames_a_prepared_message_once_and_a_client_masks_it_anew(role: Role) -> None:
    message = PreparedMessage("x" * 100)
    drivers = [role.open() for _ in range(3)]
    for driver in drivers:
        driver.send_prepared(message)
    data = [driver.data_to_send() for driver in drivers]
    if role.is_server:
        assert data[0] is data[1] is data[2]
    else:
        assert len(set(data)) == 3


def test_a_prepared_text_with_a_lone_surrogate_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="surrogates not allowed"):
        PreparedMessage("\ud800")


def open_with(role: Role, extension: Reverse) -> RFC6455:
    """Return a driver that has negotiated an extension."""
    if not role.is_server:
        return open_client(b"Sec-WebSocket-Extensions: reverse", extensions=[extension])
    offer = Headers([*REQUEST.headers, ("Sec-WebSocket-Extensions", "reverse")])
    driver = RequestServer(Request("GET", "/", offer), extensions=[extension])
    driver.start()
    assert b"Sec-WebSocket-Extensions: reverse\r\n" in driver.data_to_send()
    driver.events()
    return driver


def test_messages_pass_through_the_extensions_that_were_negotiated(role: Role, cut: Cut) -> None:
    driver = open_with(role, Reverse())
    assert driver.extensions == "reverse"
    frames = [
        (0xC1, b"olleH"),
        (0x81, b"as it is"),
        (0x42, b"cb"),
        (wire.PING, b"ab"),
        (0x80, b"a"),
    ]
    assert feed(driver, cut(role.frames(*frames))) == [
        Message("Hello"),
        Message("as it is"),
        Ping(b"ab"),
        Message(b"abc"),
    ]
    driver.text("Hello")
    driver.send_prepared(PreparedMessage(b"abc"))
    sent = wire.unframe(driver.data_to_send())
    assert sent == [(wire.PONG, b"ab"), (0xC1, b"olleH"), (0xC2, b"cba")]


def test_an_extension_without_a_reserved_bit_sees_every_message(role: Role, cut: Cut) -> None:
    extension = Reverse()
    extension.rsv1 = False
    driver = open_with(role, extension)
    frames = [(0x81, b"olleH"), (0x82, b"cba"), (0x01, b"olle"), (0x80, b"H")]
    assert feed(driver, cut(role.frames(*frames))) == [
        Message("Hello"),
        Message(b"abc"),
        Message("Hello"),
    ]
    driver.text("Hello")
    assert wire.unframe(driver.data_to_send()) == [(0x81, b"olleH")]


def test_text_is_checked_behind_the_extensions(role: Role, cut: Cut) -> None:
    driver = open_with(role, Reverse())
    good, bad = "\u03ba".encode()[::-1], "\u03ba".encode()
    events = feed(driver, cut(role.frames((0xC1, good), (0xC1, bad))))
    assert events[0] == Message("\u03ba")
    assert isinstance(events[1], Close)
    assert events[1].code == 1007


@pytest.mark.parametrize("frames", [[(0xA1, b"x")], [(0x91, b"x")], [(0xC9, b"")]])
def test_reserved_bits_of_other_extensions_are_refused(
    role: Role, cut: Cut, frames: list[tuple[int, bytes]]
) -> None:
    [event] = feed(open_with(role, Reverse()), cut(role.frames(*frames)))
    assert isinstance(event, Close)
    assert event.code == 1002


def test_a_reserved_bit_belongs_to_the_first_fragment(role: Role, cut: Cut) -> None:
    [event] = feed(open_with(role, Reverse()), cut(role.frames((0x41, b"x"), (0xC0, b"y"))))
    assert isinstance(event, Close)
    assert event.code == 1002


def test_a_message_that_an_extension_makes_too_long_is_refused(role: Role, cut: Cut) -> None:
    driver = open_with(role, Reverse(times=10))
    driver.max_length = 50
    events = feed(driver, cut(role.frames((0xC2, b"12345"), (0xC2, b"123456"))))
    assert events[0] == Message(b"54321" * 10)
    assert isinstance(events[1], Close)
    assert events[1].code == 1009


@pytest.mark.parametrize(
    "send",
    [
        lambda driver: driver.text("x"),
        lambda driver: driver.binary(b"x"),
        lambda driver: driver.send_prepared(PreparedMessage("x")),
    ],
    ids=["text", "binary", "prepared"],
)
def test_an_extension_that_fails_at_sending_fails_the_connection(
    role: Role, send: Callable[[Any], bool]
) -> None:
    driver = open_with(role, Reverse(broken=True))
    assert not send(driver)
    [event] = take(driver)
    assert isinstance(event, Close)
    assert (event.code, event.reason) == (1010, "reverse: broken")
    assert wire.unframe(driver.data_to_send()) == [(wire.CLOSE, b"\x03\xf2reverse: broken")]


def test_an_extension_that_fails_at_receiving_fails_the_connection(role: Role, cut: Cut) -> None:
    driver = open_with(role, Reverse(broken=True))
    events = feed(driver, cut(role.frames((0x81, b"fine"), (0xC1, b"x"))))
    assert events[0] == Message("fine")
    assert isinstance(events[1], Close)
    assert (events[1].code, events[1].reason) == (1010, "reverse: broken")


def test_the_sessions_of_extensions_are_closed_with_the_connection(role: Role) -> None:
    extension = Reverse()
    driver = open_with(role, extension)
    driver.receive_data(role.frame(wire.CLOSE))
    assert extension.closed == 0
    take(driver)
    assert extension.closed == 1
    driver.receive_eof()
    assert take(driver) == []
    assert extension.closed == 1
