"""Frames, closing, and bounds of hixie-75 and hixie-76."""

from __future__ import annotations

import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faye_ws.constants import CloseCode, ReadyState
from faye_ws.driver import Close, Driver, Event, Message, Open, PreparedMessage
from faye_ws.driver.hixie import Hixie75, Hixie76
from faye_ws.driver.http import parse_request
from faye_ws.errors import MessageTooBig, ProtocolError
from support import drafts
from support.draft_drivers import EXAMPLES, connecting, open_driver
from support.drafts import CLOSING, DRAFTS, HIXIE_75, HIXIE_76, sized, text
from support.streams import Cut, at, described, feed, take, whole

CLEAN = Close(CloseCode.NO_STATUS_RECEIVED, was_clean=True)
ABNORMAL = Close(CloseCode.ABNORMAL_CLOSURE)


@pytest.fixture(params=DRAFTS)
def version(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def driver(version: str) -> Driver:
    return open_driver(version)


# Receiving


def test_text_is_received_and_the_rest_is_skipped(driver: Driver, cut: Cut) -> None:
    stream = b"".join(
        (
            text("one"),
            sized(b"skipped \x00 \xff"),
            text(""),
            b"\x01also skipped\xff",
            sized(b""),
            sized(bytes(300), 0xFF),
            b"\x7f\xff",
            text("two é € 𝄞"),
            sized(b"", 0xFE),
            text("three"),
        )
    )
    messages = [Message(data) for data in ("one", "", "two é € 𝄞", "three")]
    assert feed(driver, cut(stream)) == messages
    assert driver.data_to_send() == b""


def test_what_is_not_utf_8_is_replaced(driver: Driver, cut: Cut) -> None:
    [message] = feed(driver, cut(text(b"a\xc0\xafb\xed\xa0\x80c\x80")))
    assert isinstance(message, Message)
    assert message.data == b"a\xc0\xafb\xed\xa0\x80c\x80".decode(errors="replace")
    assert message.data.count("\ufffd") > 2


def test_a_text_is_told_with_its_last_byte(driver: Driver) -> None:
    assert feed(driver, [b"\x00hello"]) == []
    assert feed(driver, [b"\xff"]) == [Message("hello")]


@pytest.mark.parametrize("kind", [0x00, 0x01, 0x80, 0xFF])
def test_frames_may_be_as_long_as_the_limit_and_no_longer(
    version: str, kind: int, cut: Cut
) -> None:
    for length in (200, 201):
        driver = open_driver(version, max_length=200)
        payload = b"x" * length
        frame = sized(payload, kind) if kind & 0x80 else bytes([kind]) + payload + b"\xff"
        story = feed(driver, cut(frame + text("behind")))
        if length == 200:
            assert story[-1] == Message("behind")
        else:
            [close] = story
            assert isinstance(close, Close)
            assert isinstance(close.error, MessageTooBig)
            assert (close.code, close.was_clean) == (CloseCode.MESSAGE_TOO_BIG, False)


@pytest.mark.parametrize(
    ("length", "error"),
    [
        (b"\x80" * 10, ProtocolError),
        (b"\x80" * 8 + b"\x01", None),
        (b"\xff" * 9 + b"\x7f", MessageTooBig),
        (b"\xff" * 70_000, ProtocolError),
    ],
)
def test_lengths_have_their_bounds(driver: Driver, length: bytes, error: Any) -> None:
    story = feed(driver, [b"\x80" + length + b"x" + text("behind")])
    if error is None:
        assert story == [Message("behind")]
    else:
        [close] = story
        assert isinstance(close, Close)
        assert type(close.error) is error


def test_what_is_skipped_is_not_kept(driver: Driver) -> None:
    piece = bytes(2**16)
    driver.receive_data(b"\x80\x9f\x80\x80\x00")  # 65,011,712 bytes
    tracemalloc.start()
    try:
        for _ in range(900):
            driver.receive_data(piece)
        assert tracemalloc.get_traced_memory()[1] < 10 * len(piece)
    finally:
        tracemalloc.stop()


def test_a_long_text_that_comes_bytewise_is_searched_once(driver: Driver) -> None:
    # With a search from the start each time this would not end today.
    length = 2**20
    driver.receive_data(b"\x00")
    for _ in range(length):
        driver.receive_data(b"x")
    driver.receive_data(b"\xff")
    assert take(driver) == [Message("x" * length)]


# Sending


def test_text_is_framed(driver: Driver) -> None:
    assert driver.text("héllo")
    assert driver.data_to_send() == "\x00héllo".encode() + b"\xff"
    assert driver.send_prepared(PreparedMessage("to all"))
    assert driver.data_to_send() == text("to all")


def test_a_lone_surrogate_is_refused(driver: Driver) -> None:
    with pytest.raises(ValueError, match="surrogates"):
        driver.text("\ud800")
    assert driver.data_to_send() == b""


def test_there_is_nothing_but_text(driver: Driver) -> None:
    driver.hold_pongs(True)
    assert driver.is_text_only
    assert not driver.binary(b"data")
    assert not driver.send_prepared(PreparedMessage(b"data"))
    assert not driver.ping(b"data")
    assert not driver.pong(b"data")
    driver.hold_pongs(False)
    assert driver.data_to_send() == b""
    for send in (driver.ping, driver.pong):
        with pytest.raises(ValueError, match="125"):
            send(bytes(126))


# Closing


def test_hixie_76_closes_with_a_frame_from_each_side() -> None:
    driver = open_driver(HIXIE_76)
    assert driver.close(4000, "enough")
    assert driver.data_to_send() == CLOSING
    assert driver.ready_state is ReadyState.CLOSING
    assert not driver.close()
    assert not driver.text("late")
    assert feed(driver, [text("still on its way") + CLOSING + text("behind")]) == [
        Message("still on its way"),
        CLEAN,
    ]
    assert driver.data_to_send() == b""


def test_the_closing_frame_of_the_peer_is_answered(cut: Cut) -> None:
    driver = open_driver(HIXIE_76)
    assert feed(driver, cut(text("bye") + CLOSING + text("behind"))) == [Message("bye"), CLEAN]
    assert driver.data_to_send() == CLOSING


def test_a_reply_goes_out_before_the_closing_frame() -> None:
    driver = open_driver(HIXIE_76)
    driver.receive_data(text("question") + CLOSING)
    assert driver.events() == [Message("question"), CLEAN]
    assert driver.text("answer")
    assert driver.answer_close()
    assert not driver.answer_close()
    assert driver.data_to_send() == text("answer") + CLOSING


def test_in_hixie_76_the_end_of_the_bytes_is_abnormal() -> None:
    for sends_close in (False, True):
        driver = open_driver(HIXIE_76)
        if sends_close:
            driver.close()
        driver.data_to_send()
        driver.receive_eof()
        assert take(driver) == [ABNORMAL]
        assert driver.data_to_send() == b""


def test_hixie_75_closes_by_the_end_of_the_bytes() -> None:
    driver = open_driver(HIXIE_75)
    assert feed(driver, [text("bye") + CLOSING + text("no closing frame")]) == [
        Message("bye"),
        Message("no closing frame"),
    ]
    driver.receive_eof()
    assert take(driver) == [CLEAN]
    assert driver.data_to_send() == b""


@pytest.mark.parametrize("beginning", [b"\x00", b"\x00hal", b"\x80", b"\x80\x82", b"\x80\x02a"])
def test_a_frame_that_is_cut_off_is_no_clean_end(version: str, beginning: bytes) -> None:
    driver = open_driver(version)
    driver.receive_data(beginning)
    driver.receive_eof()
    assert take(driver) == [ABNORMAL]


def test_in_hixie_75_our_close_is_the_end() -> None:
    driver = open_driver(HIXIE_75)
    driver.receive_data(text("before"))
    assert driver.close(1001)
    assert driver.data_to_send() == b""
    assert feed(driver, [text("after")]) == [Message("before"), CLEAN]


def test_codes_are_checked_though_they_are_not_sent(driver: Driver) -> None:
    for code in (1005, 1006, 2999, 5000):
        with pytest.raises(ValueError, match="closes with"):
            driver.close(code)
    with pytest.raises(TypeError):
        driver.close("1000")  # type: ignore[arg-type]
    assert driver.ready_state is ReadyState.OPEN


def test_our_own_end_can_leave(driver: Driver) -> None:
    assert driver.leave(1011, "a fault " * 50)
    assert not driver.leave(1011)
    assert driver.ready_state is ReadyState.CLOSING


def test_after_the_end_nothing_is_heard_and_nothing_is_sent(driver: Driver) -> None:
    driver.receive_eof()
    take(driver)
    driver.receive_data(text("hello"))
    driver.receive_eof()
    assert take(driver) == []
    assert not driver.text("hello")
    assert not driver.close()
    assert not driver.answer_close()
    assert driver.data_to_send() == b""


@pytest.mark.parametrize("kind", [Hixie75, Hixie76])
def test_what_never_opened_has_no_clean_end(kind: type[Hixie75]) -> None:
    head, end, _ = EXAMPLES[kind.version].partition(b"\r\n\r\n")
    driver = kind(parse_request(head + end), "ws://h/")
    driver.receive_eof()
    assert take(driver) == [ABNORMAL]
    assert driver.data_to_send() == b""
    assert not driver.start()


# The last key of hixie-76


def test_the_head_goes_out_before_the_last_key_has_come() -> None:
    driver = connecting(HIXIE_76)
    head = driver.data_to_send()
    assert head.endswith(b"\r\n\r\n")
    assert driver.ready_state is ReadyState.CONNECTING
    assert not driver.text("too early")
    assert not driver.close()
    key, answer = drafts.EXAMPLE_76[-8:], drafts.ANSWER_76[-16:]
    for place in range(7):
        driver.receive_data(key[place : place + 1])
        assert take(driver) == []
        assert driver.data_to_send() == b""
    driver.receive_data(key[7:] + text("behind it"))
    assert take(driver) == [Open(), Message("behind it")]
    assert driver.data_to_send() == answer
    assert driver.ready_state is ReadyState.OPEN


def test_without_the_last_key_it_never_opens() -> None:
    driver = connecting(HIXIE_76)
    driver.receive_data(b"1234567")
    driver.receive_eof()
    assert take(driver) == [ABNORMAL]
    driver.receive_data(b"8")
    assert take(driver) == []
    assert not driver.start()


def test_we_may_leave_while_the_last_key_is_awaited() -> None:
    driver = connecting(HIXIE_76)
    assert driver.leave(1011, "a fault")
    driver.receive_data(drafts.EXAMPLE_76[-8:])
    assert take(driver) == [ABNORMAL]


# Properties

PARTS = st.one_of(
    st.text(max_size=20).map(text),
    st.binary(max_size=20).map(text),
    st.builds(sized, st.binary(max_size=200), st.integers(0x80, 0xFF)),
    st.binary(max_size=10),
    st.just(CLOSING),
)
STREAMS = st.lists(PARTS, max_size=12).map(b"".join)
PLACES = st.lists(st.integers(0, 400), max_size=20)


def story_of(version: str, stream: bytes, cut: Cut) -> tuple[list[Any], bytes]:
    """Return all that comes of a stream and its end: what is told, and what is sent."""
    driver = connecting(version, max_length=100)
    sent = driver.data_to_send()
    told: list[Event] = take(driver)
    for piece in cut(stream):
        driver.receive_data(piece)
        told += take(driver)
        sent += driver.data_to_send()
    driver.receive_eof()
    told += take(driver)
    assert isinstance(told[-1], Close)
    assert driver.ready_state is ReadyState.CLOSED
    return [described(event) for event in told], sent + driver.data_to_send()


@given(version=st.sampled_from(DRAFTS), stream=STREAMS, places=PLACES)
def test_any_bytes_at_any_split_tell_the_same(
    version: str, stream: bytes, places: list[int]
) -> None:
    story = story_of(version, stream, whole)
    assert story_of(version, stream, at(places)) == story


@given(version=st.sampled_from(DRAFTS), messages=st.lists(st.text(max_size=50), max_size=10))
def test_what_is_sent_can_be_received(version: str, messages: list[str]) -> None:
    ours, theirs = open_driver(version), open_driver(version)
    for message in messages:
        assert ours.text(message)
    assert feed(theirs, [ours.data_to_send()]) == [Message(message) for message in messages]
