"""RFC 6455 after the handshake: what is received, by both roles and in all pieces.

How a connection ends is in `test_rfc6455_closing.py`, what is sent in
`test_rfc6455_sending.py`.
"""

from __future__ import annotations

import tracemalloc

import pytest

from faye_ws.constants import ReadyState
from faye_ws.driver import Close, Event, Message, Ping, Pong
from support import wire
from support.roles import Role
from support.streams import Cut, bytewise, feed, take

LENGTHS = [0, 1, 125, 126, 127, 65535, 65536]


def assert_failed(event: Event, code: int) -> None:
    """Check that an event is the end of a connection that was failed with a code."""
    assert isinstance(event, Close)
    assert (event.code, event.was_clean) == (code, False)
    assert event.error is not None
    assert event.reason == str(event.error)


@pytest.mark.parametrize("length", LENGTHS)
def test_messages_of_every_length_are_told(role: Role, cut: Cut, length: int) -> None:
    role = role.unmasked()
    data = role.frames((wire.WHOLE_TEXT, b"x" * length), (wire.WHOLE_BINARY, bytes(length)))
    assert feed(role.open(), cut(data)) == [Message("x" * length), Message(bytes(length))]


def test_payloads_are_unmasked_wherever_they_are_cut(role: Role, cut: Cut) -> None:
    payload = bytes(range(256)) * 10
    data = role.frames((wire.WHOLE_BINARY, payload), (wire.WHOLE_BINARY, payload[:7]))
    assert feed(role.open(), cut(data)) == [Message(payload), Message(payload[:7])]


def test_the_examples_of_the_rfc_are_told(cut: Cut, role: Role) -> None:
    if role.is_server:
        data = b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"
    else:
        data = b"\x81\x05\x48\x65\x6c\x6c\x6f\x01\x03\x48\x65\x6c\x80\x02\x6c\x6f"
    events = feed(role.open(), cut(data))
    assert events in ([Message("Hello")], [Message("Hello"), Message("Hello")])
    assert len(events) == (1 if role.is_server else 2)


def test_text_and_binary_are_told_apart(role: Role) -> None:
    events = feed(role.open(), [role.frames((0x81, b"a"), (0x82, b"a"))])
    assert [type(event.data) for event in events if isinstance(event, Message)] == [str, bytes]


def test_empty_messages_are_messages(role: Role, cut: Cut) -> None:
    frames = [
        (wire.WHOLE_TEXT, b""),
        (wire.WHOLE_BINARY, b""),
        (wire.TEXT, b""),
        (wire.LAST, b""),
        (wire.BINARY, b""),
        (wire.MORE, b""),
        (wire.LAST, b""),
    ]
    events = feed(role.open(), cut(role.frames(*frames)))
    assert events == [Message(""), Message(b""), Message(""), Message(b"")]


def test_fragments_make_a_message_and_empty_ones_add_nothing(role: Role, cut: Cut) -> None:
    frames = [
        (wire.TEXT, b"Hel"),
        (wire.MORE, b""),
        (wire.MORE, b"lo"),
        (wire.LAST, b""),
        (wire.BINARY, b""),
        (wire.LAST, b"\0\xff"),
        (wire.WHOLE_TEXT, b"whole"),
    ]
    events = feed(role.open(), cut(role.frames(*frames)))
    assert events == [Message("Hello"), Message(b"\0\xff"), Message("whole")]


def test_control_frames_may_stand_between_fragments(role: Role, cut: Cut) -> None:
    frames = [
        (wire.TEXT, b"Hel"),
        (wire.PING, b"one"),
        (wire.MORE, b""),
        (wire.PONG, b"two"),
        (wire.PING, b""),
        (wire.LAST, b"lo"),
    ]
    driver = role.open()
    events = feed(driver, cut(role.frames(*frames)))
    assert events == [Ping(b"one"), Pong(b"two"), Ping(b""), Message("Hello")]
    assert wire.unframe(driver.data_to_send()) == [(wire.PONG, b"one"), (wire.PONG, b"")]


def test_a_close_may_stand_between_fragments(role: Role, cut: Cut) -> None:
    data = role.frames((wire.TEXT, b"Hel"), (wire.CLOSE, b"\x03\xe8"), (wire.LAST, b"lo"))
    assert feed(role.open(), cut(data)) == [Close(1000, "", was_clean=True)]


@pytest.mark.parametrize("first", [wire.TEXT, wire.BINARY, wire.WHOLE_TEXT, wire.WHOLE_BINARY])
@pytest.mark.parametrize("payload", [b"", b"new"])
def test_a_new_message_inside_a_message_is_refused(
    role: Role, cut: Cut, first: int, payload: bytes
) -> None:
    data = role.frames((wire.WHOLE_TEXT, b"ok"), (wire.TEXT, b"old"), (first, payload))
    events = feed(role.open(), cut(data))
    assert events[0] == Message("ok")
    assert_failed(events[1], 1002)


@pytest.mark.parametrize("first", [wire.MORE, wire.LAST])
@pytest.mark.parametrize("before", [(), ((wire.TEXT, b"a"), (wire.LAST, b"b"))])
def test_a_continuation_of_nothing_is_refused(
    role: Role, cut: Cut, first: int, before: tuple[tuple[int, bytes], ...]
) -> None:
    events = feed(role.open(), cut(role.frames(*before, (first, b"x"))))
    assert_failed(events[-1], 1002)
    assert events[:-1] == ([Message("ab")] if before else [])


@pytest.mark.parametrize(
    ("first", "payload"),
    [
        (0x83, b""),
        (0x8B, b""),
        (0xC1, b"x"),
        (0xA2, b"x"),
        (0x90, b""),
        (0x09, b""),
        (0x08, b"\x03\xe8"),
        (0x89, bytes(126)),
        (0x8A, bytes(65536)),
        (0x88, b"\x03\xe8" + b"x" * 124),
    ],
)
def test_a_violation_is_told_after_what_came_before_it(
    role: Role, cut: Cut, first: int, payload: bytes
) -> None:
    driver = role.open()
    good = role.frames((wire.WHOLE_TEXT, b"one"), (wire.PING, b"two"), (wire.BINARY, b"three"))
    events = feed(driver, cut(good + role.frame(first, payload) + role.frame(0x81, b"after")))
    assert events[:-1] == [Message("one"), Ping(b"two")]
    assert_failed(events[-1], 1002)
    pong, close = wire.unframe(driver.data_to_send())
    assert pong == (wire.PONG, b"two")
    assert close[0] == wire.CLOSE
    assert close[1][:2] == b"\x03\xea"


def test_a_frame_that_is_masked_the_wrong_way_is_refused(role: Role, cut: Cut) -> None:
    wrong = wire.frame(0x81, b"Hello", b"" if role.is_server else wire.KEY)
    events = feed(role.open(), cut(role.frame(0x81, b"ok") + wrong))
    assert events[0] == Message("ok")
    assert_failed(events[1], 1002)


@pytest.mark.parametrize(
    "form", [b"\x7e\x00\x7d", b"\x7f" + bytes(6) + b"\xff\xff", b"\x7f\x80" + bytes(7)]
)
def test_a_wrong_length_is_refused_before_its_payload(role: Role, cut: Cut, form: bytes) -> None:
    if role.is_server:
        form = bytes([form[0] | 0x80]) + form[1:]
    events = feed(role.open(), cut(role.frame(0x82, b"ok") + b"\x82" + form))
    assert events[0] == Message(b"ok")
    assert_failed(events[1], 1002)


GOOD_TEXTS = [
    "\u03ba\u1f79\u03c3\u03bc\u03b5",
    "\0\x7f\x80\u07ff\u0800\ud7ff\ue000\uffff\U00010000\U0010ffff",
    "\ufffe\ufeff\u2028 \U0001f600",
]
# What is not UTF-8, with the place of the byte that shows it.
BAD_TEXTS = {
    "no byte of UTF-8": (b"\xff", 0),
    "a continuation first": (b"a\x80", 1),
    "overlong, 2 bytes": (b"\xc0\x80", 0),
    "overlong, 3 bytes": (b"\xe0\x9f\xbf", 1),
    "overlong, 4 bytes": (b"\xf0\x8f\xbf\xbf", 1),
    "a surrogate": (b"\xed\xa0\x80", 1),
    "beyond Unicode": (b"\xf4\x90\x80\x80", 1),
    "far beyond Unicode": (b"\xf5\x80\x80\x80", 0),
    "2 bytes broken off": (b"\xc3\x28", 1),
    "3 bytes broken off": (b"\xe2\x82\x28", 2),
    "4 bytes broken off": (b"\xf0\x9f\x98\x28", 3),
    "behind what is good": (b"\xce\xba\xe1\xbd\xb9\xcf\x83\xed\xa0\x80", 8),
}


@pytest.mark.parametrize("text", GOOD_TEXTS)
def test_text_may_be_cut_and_fragmented_inside_of_characters(
    role: Role, cut: Cut, text: str
) -> None:
    data = text.encode()
    fragments = [(wire.MORE, data[place : place + 1]) for place in range(len(data))]
    frames = [(wire.WHOLE_TEXT, data), (wire.TEXT, b""), *fragments, (wire.LAST, b"")]
    assert feed(role.open(), cut(role.frames(*frames))) == [Message(text), Message(text)]


@pytest.mark.parametrize(("bad", "place"), BAD_TEXTS.values(), ids=BAD_TEXTS)
def test_bad_text_is_refused_at_its_first_bad_byte(role: Role, bad: bytes, place: int) -> None:
    driver = role.unmasked().open()
    # The frame says that much more is to come: it is never waited for.
    driver.receive_data(role.unmasked().frame(wire.WHOLE_TEXT, b"ok" + bytes(1000))[:-1000])
    for byte in bytewise(bad[:place]):
        driver.receive_data(byte)
        assert driver.events() == []
    driver.receive_data(bad[place : place + 1])
    [event] = take(driver)
    assert_failed(event, 1007)


@pytest.mark.parametrize(("bad", "place"), BAD_TEXTS.values(), ids=BAD_TEXTS)
def test_bad_text_is_refused_in_the_fragment_that_shows_it(
    role: Role, bad: bytes, place: int
) -> None:
    driver = role.open()
    driver.receive_data(role.frame(wire.TEXT, b"ok"))
    for byte in bytewise(bad[:place]):
        driver.receive_data(role.frame(wire.MORE, byte))
        assert driver.events() == []
    driver.receive_data(role.frame(wire.MORE, bad[place : place + 1]))
    assert_failed(take(driver)[0], 1007)


@pytest.mark.parametrize(("bad", "place"), BAD_TEXTS.values(), ids=BAD_TEXTS)
def test_bad_text_is_refused_in_every_piece(role: Role, cut: Cut, bad: bytes, place: int) -> None:
    before = role.frame(wire.WHOLE_TEXT, b"ok")
    for frames in ([(wire.WHOLE_TEXT, bad)], [(wire.TEXT, bad[:place]), (wire.LAST, bad[place:])]):
        events = feed(role.open(), cut(before + role.frames(*frames)))
        assert events[0] == Message("ok")
        assert_failed(events[1], 1007)


@pytest.mark.parametrize("end", [b"\xc3", b"\xe2\x82", b"\xf0\x9f\x98"])
def test_text_that_ends_inside_a_character_is_refused(role: Role, cut: Cut, end: bytes) -> None:
    for frames in ([(wire.WHOLE_TEXT, end)], [(wire.TEXT, end), (wire.LAST, b"")]):
        events = feed(role.open(), cut(role.frames(*frames)))
        assert_failed(events[0], 1007)


def test_binary_need_not_be_text(role: Role, cut: Cut) -> None:
    data = role.frames((wire.BINARY, b"\xff"), (wire.LAST, b"\xed\xa0"))
    assert feed(role.open(), cut(data)) == [Message(b"\xff\xed\xa0")]


@pytest.mark.parametrize("limit", [1, 125, 126, 65536])
def test_a_frame_over_the_limit_is_refused_at_its_header(role: Role, limit: int) -> None:
    role = role.unmasked()
    driver = role.open(max_length=limit)
    longest, too_long = (role.frame(0x82, bytes(length)) for length in (limit, limit + 1))
    assert feed(driver, [longest]) == [Message(bytes(limit))]
    assert feed(driver, [longest]) == [Message(bytes(limit))]
    header = too_long[: len(too_long) - (limit + 1) - len(role.peer_key)]
    [event] = feed(driver, bytewise(header))
    assert_failed(event, 1009)
    assert wire.unframe(driver.data_to_send())[0][1][:2] == b"\x03\xf1"


def test_a_message_over_the_limit_is_refused_at_the_header_of_a_fragment(role: Role) -> None:
    driver = role.open(max_length=10)
    fragments = role.frames((wire.TEXT, b"12345"), (wire.PING, b"x" * 50), (wire.MORE, b"67890"))
    assert feed(driver, bytewise(fragments)) == [Ping(b"x" * 50)]
    header = role.frame(wire.LAST, b"!")[:-1]
    [event] = feed(driver, bytewise(header))
    assert_failed(event, 1009)


def test_a_message_of_just_the_limit_is_told_again_and_again(role: Role, cut: Cut) -> None:
    frames = [(wire.TEXT, b"12345"), (wire.MORE, b""), (wire.LAST, b"67890")]
    driver = role.open(max_length=10)
    assert feed(driver, cut(role.frames(*frames, *frames))) == [Message("1234567890")] * 2


def test_the_limit_of_messages_is_not_one_for_control_frames(role: Role, cut: Cut) -> None:
    frames = [(wire.PING, b"x" * 125), (wire.CLOSE, b"\x03\xe8too long by far")]
    events = feed(role.open(max_length=1), cut(role.frames(*frames)))
    assert events == [Ping(b"x" * 125), Close(1000, "too long by far", was_clean=True)]


@pytest.mark.parametrize("limit", [0, -1])
def test_a_limit_that_lets_nothing_pass_is_a_value_error(role: Role, limit: int) -> None:
    with pytest.raises(ValueError, match="max_length must be at least 1"):
        role.open(max_length=limit)


def test_a_message_in_65536_fragments_takes_linear_time_and_the_memory_of_its_bytes(
    role: Role,
) -> None:
    role = role.unmasked()
    fragments = role.frame(wire.MORE, b"x") * 65535
    driver = role.open()
    driver.receive_data(role.frame(wire.TEXT, b"x"))
    tracemalloc.start()
    try:
        for start in range(0, len(fragments), 4096):
            driver.receive_data(fragments[start : start + 4096])
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # A list of fragments would take 58 bytes for each of them.
    assert peak < 10 * 65536
    assert feed(driver, [role.frame(wire.LAST)]) == [Message("x" * 65536)]


def test_empty_fragments_take_no_memory(role: Role) -> None:
    driver = role.open()
    fragments = role.frame(wire.MORE) * 4096
    driver.receive_data(role.frame(wire.BINARY, b"x"))
    tracemalloc.start()
    try:
        for _ in range(16):
            driver.receive_data(fragments)
        size, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # Python itself keeps 2000 tuples for later, of 56 bytes.
    assert size < 2 * 65536
    assert take(driver) == []


@pytest.mark.parametrize("first", [wire.WHOLE_TEXT, wire.WHOLE_BINARY])
def test_a_long_frame_in_small_pieces_takes_linear_time(role: Role, first: int) -> None:
    role = role.unmasked()
    length = 8 * 2**20
    data = role.frame(first, b"x" * length)
    pieces = (data[start : start + 100] for start in range(0, len(data), 100))
    [event] = feed(role.open(), pieces)
    assert isinstance(event, Message)
    assert len(event.data) == length


def test_a_frame_that_was_announced_takes_no_memory_before_it_comes(role: Role) -> None:
    driver = role.open()
    header = b"\x82\xff" if role.is_server else b"\x82\x7f"
    tracemalloc.start()
    try:
        driver.receive_data(header + (2**26 - 1).to_bytes(8, "big") + role.peer_key + b"x")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 10_000
    assert driver.ready_state is ReadyState.OPEN


def test_nothing_is_kept_of_a_connection_that_has_failed(role: Role) -> None:
    role = role.unmasked()
    driver = role.open()
    fragment = role.frame(wire.BINARY, bytes(2**20))
    tracemalloc.start()
    try:
        driver.receive_data(fragment)
        before, _ = tracemalloc.get_traced_memory()
        driver.receive_data(role.frame(0x83))
        for _ in range(100):
            driver.receive_data(role.frame(wire.MORE, bytes(1000)))
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert before > 2**20
    assert after < 20_000


def test_a_message_shows_its_data() -> None:
    assert repr(Message("text")) == "Message('text')"
