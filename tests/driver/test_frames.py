"""Frames (RFC 6455, 5.2): parsed, refused and serialized."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faye_ws.driver.frames import FrameHeader, check_control, parse_header, serialize_frame
from faye_ws.errors import MessageTooBig, ProtocolError
from support import wire

LIMIT = 2**26

# RFC 6455, 5.7, byte for byte; the payloads of 256 bytes and 64 KiB are zeros here.
EXAMPLES = {
    "unmasked text": (b"\x81\x05Hello", False, [(0x81, b"Hello")]),
    "masked text": (b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58", True, [(0x81, b"Hello")]),
    "fragments": (b"\x01\x03Hel\x80\x02lo", False, [(0x01, b"Hel"), (0x80, b"lo")]),
    "ping": (b"\x89\x05Hello", False, [(0x89, b"Hello")]),
    "pong": (b"\x8a\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58", True, [(0x8A, b"Hello")]),
    "256 bytes": (b"\x82\x7e\x01\x00" + bytes(256), False, [(0x82, bytes(256))]),
    "64 KiB": (
        b"\x82\x7f\x00\x00\x00\x00\x00\x01\x00\x00" + bytes(65536),
        False,
        [(0x82, bytes(65536))],
    ),
}

# Each length with the bytes that must announce it.
LENGTHS = {
    0: b"\x00",
    1: b"\x01",
    125: b"\x7d",
    126: b"\x7e\x00\x7e",
    127: b"\x7e\x00\x7f",
    65535: b"\x7e\xff\xff",
    65536: b"\x7f\x00\x00\x00\x00\x00\x01\x00\x00",
}

TOO_LONG_FORMS = {
    "0 in 16 bits": b"\x7e\x00\x00",
    "125 in 16 bits": b"\x7e\x00\x7d",
    "0 in 64 bits": b"\x7f" + bytes(8),
    "125 in 64 bits": b"\x7f" + bytes(7) + b"\x7d",
    "126 in 64 bits": b"\x7f" + bytes(7) + b"\x7e",
    "65535 in 64 bits": b"\x7f" + bytes(6) + b"\xff\xff",
}


def parse(data: bytes, masked: bool) -> list[tuple[int, bytes]]:
    """Return the first byte and the unmasked payload of each of the frames in `data`."""
    frames = []
    end = 0
    while end < len(data):
        header = parse_header(data, end, masked, LIMIT)
        assert header is not None, "a header is cut off"
        first, length, key, start = header
        end = start + length
        assert end <= len(data), "a payload is cut off"
        frames.append((first, wire.xor(key, data[start:end]) if key else data[start:end]))
    return frames


def parse_first(data: bytes, masked: bool = False, limit: int = LIMIT) -> FrameHeader | None:
    """Return the header of the frame that `data` begins with."""
    return parse_header(data, 0, masked, limit)


@pytest.mark.parametrize(("data", "masked", "frames"), EXAMPLES.values(), ids=EXAMPLES)
def test_the_examples_of_the_rfc_are_parsed(
    data: bytes, masked: bool, frames: list[tuple[int, bytes]]
) -> None:
    assert parse(data, masked) == frames


@pytest.mark.parametrize(("data", "masked", "frames"), EXAMPLES.values(), ids=EXAMPLES)
def test_the_examples_of_the_rfc_are_serialized(
    data: bytes, masked: bool, frames: list[tuple[int, bytes]]
) -> None:
    key = wire.KEY if masked else b""
    assert b"".join(serialize_frame(first, payload, key) for first, payload in frames) == data


@pytest.mark.parametrize("key", [b"", wire.KEY], ids=["unmasked", "masked"])
@pytest.mark.parametrize("length", LENGTHS)
def test_each_length_has_the_form_it_needs(length: int, key: bytes) -> None:
    payload = bytes(place % 251 for place in range(length))
    form = LENGTHS[length]
    if key:
        form = bytes([form[0] | 0x80]) + form[1:]
    data = b"\x82" + form + key + (wire.xor(key, payload) if key else payload)
    assert serialize_frame(0x82, payload, key) == data
    assert parse(data, bool(key)) == [(0x82, payload)]


@pytest.mark.parametrize("key", [b"", wire.KEY], ids=["unmasked", "masked"])
@pytest.mark.parametrize("length", [0, 5, 126, 65536])
def test_a_header_is_there_when_its_last_byte_is(length: int, key: bytes) -> None:
    data = wire.frame(0x82, bytes(length), key)
    start = len(data) - length
    for end in range(start):
        assert parse_first(data[:end], bool(key)) is None
    for end in (start, start + length // 2, len(data)):
        assert parse_first(data[:end], bool(key)) == (0x82, length, key, start)


def test_frames_are_parsed_wherever_they_begin() -> None:
    frames = [(0x01, b"a"), (0x89, b""), (0x00, b""), (0x80, b"b"), (0x82, bytes(300))]
    data = b"".join(wire.frame(first, payload, wire.KEY) for first, payload in frames)
    assert parse(data, True) == frames
    tail = b"\x82\x85\x37\xfa\x21\x3dab"
    start = len(data)
    assert parse_header(data + tail, start, True, LIMIT) == (0x82, 5, wire.KEY, start + 6)
    assert parse_header(data + tail[:5], start, True, LIMIT) is None


@pytest.mark.parametrize("form", TOO_LONG_FORMS.values(), ids=TOO_LONG_FORMS)
def test_a_length_in_more_bytes_than_it_needs_is_refused(form: bytes) -> None:
    with pytest.raises(ProtocolError, match="more bytes than it needs"):
        parse_first(b"\x82" + form)


@pytest.mark.parametrize("length", [2**63, 2**63 + 5, 2**64 - 1])
def test_a_length_of_64_bits_is_refused(length: int) -> None:
    with pytest.raises(ProtocolError, match="most significant bit") as caught:
        parse_first(b"\x82\x7f" + length.to_bytes(8, "big"))
    assert caught.value.code == 1002


def test_any_length_of_63_bits_is_one() -> None:
    for length in (2**62, 2**63 - 1):
        header = b"\x82\x7f" + length.to_bytes(8, "big")
        assert parse_first(header, False, 2**63) == (0x82, length, b"", 10)


@pytest.mark.parametrize("opcode", [0x0, 0x1, 0x2, 0x8, 0x9, 0xA])
@pytest.mark.parametrize("rsv", range(0x10, 0x80, 0x10), ids=hex)
def test_reserved_bits_without_a_meaning_are_refused(opcode: int, rsv: int) -> None:
    with pytest.raises(ProtocolError, match="reserved bit"):
        parse_first(bytes([0x80 | rsv | opcode, 0]))


@pytest.mark.parametrize("opcode", [0x0, 0x1, 0x2, 0x8, 0x9, 0xA])
@pytest.mark.parametrize("rsv", range(0x10, 0x80, 0x10), ids=hex)
@pytest.mark.parametrize("allowed", range(0x00, 0x80, 0x10), ids=hex)
def test_only_data_frames_may_have_the_reserved_bits_that_are_allowed(
    opcode: int, rsv: int, allowed: int
) -> None:
    first = 0x80 | rsv | opcode
    if opcode < 8 and rsv & ~allowed == 0:
        assert parse_header(bytes([first, 0]), 0, False, LIMIT, allowed) == (first, 0, b"", 2)
    else:
        with pytest.raises(ProtocolError, match="reserved bit"):
            parse_header(bytes([first, 0]), 0, False, LIMIT, allowed)


@pytest.mark.parametrize("opcode", [*range(0x3, 0x8), *range(0xB, 0x10)])
@pytest.mark.parametrize("fin", [0, 0x80])
def test_unknown_opcodes_are_refused(opcode: int, fin: int) -> None:
    with pytest.raises(ProtocolError, match=f"unknown opcode 0x{opcode:x}"):
        parse_first(bytes([fin | opcode, 0]))


@pytest.mark.parametrize("opcode", [0x8, 0x9, 0xA])
def test_control_frames_in_fragments_are_refused(opcode: int) -> None:
    with pytest.raises(ProtocolError, match="fragmented control frame"):
        parse_first(bytes([opcode, 0]))


@pytest.mark.parametrize("opcode", [0x8, 0x9, 0xA])
def test_control_frames_over_125_bytes_are_refused_before_their_length_is_there(
    opcode: int,
) -> None:
    whole = wire.frame(0x80 | opcode, bytes(125))
    assert parse(whole, False) == [(0x80 | opcode, bytes(125))]
    for form in (126, 127):
        with pytest.raises(ProtocolError, match="more than 125 bytes"):
            parse_first(bytes([0x80 | opcode, form]))


@pytest.mark.parametrize("first", [0x01, 0x02, 0x81, 0x82, 0x00, 0x80, 0x88, 0x89, 0x8A])
@pytest.mark.parametrize("length", [0, 1, 125])
def test_every_frame_must_be_masked_or_not_as_the_role_says(first: int, length: int) -> None:
    payload = bytes(length)
    masked, unmasked = wire.frame(first, payload, wire.KEY), wire.frame(first, payload)
    assert parse(masked, True) == [(first, payload)]
    assert parse(unmasked, False) == [(first, payload)]
    with pytest.raises(ProtocolError, match="not masked"):
        parse_first(unmasked[:2], True)
    with pytest.raises(ProtocolError, match="is masked"):
        parse_first(masked[:2], False)


def test_a_key_of_zeros_is_a_mask() -> None:
    assert parse(b"\x81\x81\0\0\0\0a", True) == [(0x81, b"a")]
    with pytest.raises(ProtocolError, match="is masked"):
        parse_first(b"\x81\x81\0\0\0\0a", False)


@pytest.mark.parametrize("limit", [1, 124, 125, 126, 65535, 65536])
def test_a_frame_over_the_limit_is_refused_at_its_header(limit: int) -> None:
    fits, exceeds = wire.frame(0x82, bytes(limit)), wire.frame(0x82, bytes(limit + 1))
    assert parse_first(fits, False, limit) == (0x82, limit, b"", len(fits) - limit)
    with pytest.raises(MessageTooBig, match=f"{limit + 1} bytes is over the limit of {limit}"):
        parse_first(exceeds[: len(exceeds) - limit - 1], False, limit)


@pytest.mark.parametrize("first", [0x88, 0x89, 0x8A])
def test_the_limit_of_messages_is_not_one_for_control_frames(first: int) -> None:
    assert parse_first(wire.frame(first, bytes(125)), False, 1) == (first, 125, b"", 2)


@given(
    st.lists(st.tuples(st.sampled_from([0, 1, 2, 0x80, 0x81, 0x82]), st.binary(max_size=300))),
    st.sampled_from([b"", wire.KEY, wire.ZERO_KEY]),
)
def test_what_is_serialized_is_parsed(frames: list[tuple[int, bytes]], key: bytes) -> None:
    data = b"".join(serialize_frame(first, payload, key) for first, payload in frames)
    assert wire.unframe(data) == frames
    assert parse(data, bool(key)) == frames


def test_a_ping_or_pong_to_be_sent_has_125_bytes_at_most() -> None:
    for payload in (b"", bytes(125)):
        assert check_control(payload) is payload
    with pytest.raises(ValueError, match="more than 125 bytes"):
        check_control(bytes(126))
