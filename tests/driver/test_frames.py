"""Frames (RFC 6455, 5.2): parsed, refused and serialized."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

import wire
from faye_ws.driver.frames import FrameHeader, parse_frames, serialize_frame
from faye_ws.errors import MessageTooBig, ProtocolError

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


@pytest.mark.parametrize(("data", "masked", "frames"), EXAMPLES.values(), ids=EXAMPLES)
def test_the_examples_of_the_rfc_are_parsed(
    data: bytes, masked: bool, frames: list[tuple[int, bytes]]
) -> None:
    assert parse_frames(data, masked, LIMIT) == (frames, len(data), None)


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
    assert parse_frames(data, bool(key), LIMIT) == ([(0x82, payload)], len(data), None)


@pytest.mark.parametrize("key", [b"", wire.KEY], ids=["unmasked", "masked"])
@pytest.mark.parametrize("length", [0, 5, 126, 65536])
def test_a_frame_that_is_cut_off_is_left_for_later(length: int, key: bytes) -> None:
    data = wire.frame(0x82, bytes(length), key)
    start = len(data) - length
    header = FrameHeader(0x82, length, key, start)
    for end in (*range(start + 1), start + length // 2, start + length - 1):
        if end < len(data):
            expected = header if end >= start else None
            assert parse_frames(data[:end], bool(key), LIMIT) == ([], 0, expected)


def test_as_many_frames_are_parsed_as_there_are() -> None:
    frames = [(0x01, b"a"), (0x89, b""), (0x00, b""), (0x80, b"b"), (0x82, bytes(300))]
    data = b"".join(wire.frame(first, payload, wire.KEY) for first, payload in frames)
    tail = b"\x82\x85\x37\xfa\x21\x3dab"
    header = FrameHeader(0x82, 5, wire.KEY, len(data) + 6)
    assert parse_frames(data + tail, True, LIMIT) == (frames, len(data), header)
    assert parse_frames(data + tail[:5], True, LIMIT) == (frames, len(data), None)


@pytest.mark.parametrize("form", TOO_LONG_FORMS.values(), ids=TOO_LONG_FORMS)
def test_a_length_in_more_bytes_than_it_needs_is_refused(form: bytes) -> None:
    with pytest.raises(ProtocolError, match="more bytes than it needs"):
        parse_frames(b"\x82" + form, False, LIMIT)


@pytest.mark.parametrize("length", [2**63, 2**63 + 5, 2**64 - 1])
def test_a_length_of_64_bits_is_refused(length: int) -> None:
    with pytest.raises(ProtocolError, match="most significant bit") as caught:
        parse_frames(b"\x82\x7f" + length.to_bytes(8, "big"), False, LIMIT)
    assert caught.value.code == 1002


@pytest.mark.parametrize("opcode", [0x0, 0x1, 0x2, 0x8, 0x9, 0xA])
@pytest.mark.parametrize("rsv", range(0x10, 0x80, 0x10), ids=hex)
def test_reserved_bits_without_a_meaning_are_refused(opcode: int, rsv: int) -> None:
    with pytest.raises(ProtocolError, match="reserved bit"):
        parse_frames(bytes([0x80 | rsv | opcode, 0]), False, LIMIT)


@pytest.mark.parametrize("opcode", [0x0, 0x1, 0x2, 0x8, 0x9, 0xA])
@pytest.mark.parametrize("rsv", range(0x10, 0x80, 0x10), ids=hex)
@pytest.mark.parametrize("allowed", range(0x00, 0x80, 0x10), ids=hex)
def test_only_data_frames_may_have_the_reserved_bits_that_are_allowed(
    opcode: int, rsv: int, allowed: int
) -> None:
    first = 0x80 | rsv | opcode
    if opcode < 8 and rsv & ~allowed == 0:
        assert parse_frames(bytes([first, 0]), False, LIMIT, allowed) == ([(first, b"")], 2, None)
    else:
        with pytest.raises(ProtocolError, match="reserved bit"):
            parse_frames(bytes([first, 0]), False, LIMIT, allowed)


@pytest.mark.parametrize("opcode", [*range(0x3, 0x8), *range(0xB, 0x10)])
@pytest.mark.parametrize("fin", [0, 0x80])
def test_unknown_opcodes_are_refused(opcode: int, fin: int) -> None:
    with pytest.raises(ProtocolError, match=f"unknown opcode 0x{opcode:x}"):
        parse_frames(bytes([fin | opcode, 0]), False, LIMIT)


@pytest.mark.parametrize("opcode", [0x8, 0x9, 0xA])
def test_control_frames_in_fragments_are_refused(opcode: int) -> None:
    with pytest.raises(ProtocolError, match="fragmented control frame"):
        parse_frames(bytes([opcode, 0]), False, LIMIT)


@pytest.mark.parametrize("opcode", [0x8, 0x9, 0xA])
def test_control_frames_over_125_bytes_are_refused_before_their_length_is_there(
    opcode: int,
) -> None:
    whole = wire.frame(0x80 | opcode, bytes(125))
    assert parse_frames(whole, False, LIMIT) == ([(0x80 | opcode, bytes(125))], 127, None)
    for form in (126, 127):
        with pytest.raises(ProtocolError, match="more than 125 bytes"):
            parse_frames(bytes([0x80 | opcode, form]), False, LIMIT)


@pytest.mark.parametrize("first", [0x01, 0x02, 0x81, 0x82, 0x00, 0x80, 0x88, 0x89, 0x8A])
@pytest.mark.parametrize("length", [0, 1, 125])
def test_every_frame_must_be_masked_or_not_as_the_role_says(first: int, length: int) -> None:
    payload = bytes(length)
    masked, unmasked = wire.frame(first, payload, wire.KEY), wire.frame(first, payload)
    assert parse_frames(masked, True, LIMIT)[0] == [(first, payload)]
    assert parse_frames(unmasked, False, LIMIT)[0] == [(first, payload)]
    with pytest.raises(ProtocolError, match="not masked"):
        parse_frames(unmasked[:2], True, LIMIT)
    with pytest.raises(ProtocolError, match="is masked"):
        parse_frames(masked[:2], False, LIMIT)


def test_a_key_of_zeros_is_a_mask() -> None:
    assert parse_frames(b"\x81\x81\0\0\0\0a", True, LIMIT)[0] == [(0x81, b"a")]
    with pytest.raises(ProtocolError, match="is masked"):
        parse_frames(b"\x81\x81\0\0\0\0a", False, LIMIT)


@pytest.mark.parametrize("limit", [1, 124, 125, 126, 65535, 65536])
def test_a_frame_over_the_limit_is_refused_at_its_header(limit: int) -> None:
    fits, exceeds = wire.frame(0x82, bytes(limit)), wire.frame(0x82, bytes(limit + 1))
    assert parse_frames(fits, False, limit)[0] == [(0x82, bytes(limit))]
    with pytest.raises(MessageTooBig, match=f"{limit + 1} bytes is over the limit of {limit}"):
        parse_frames(exceeds[: len(exceeds) - limit - 1], False, limit)


def test_the_limit_of_messages_is_not_one_for_control_frames() -> None:
    frames = [(0x89, bytes(125)), (0x8A, bytes(2)), (0x88, b"\x03\xe8bye")]
    data = b"".join(wire.frame(first, payload) for first, payload in frames)
    assert parse_frames(data, False, 1) == (frames, len(data), None)
    assert parse_frames(data[:20], False, 1)[2] == FrameHeader(0x89, 125, b"", 2)


@pytest.mark.parametrize(
    "violation",
    [b"\x83\x00", b"\xc1\x00", b"\x09\x00", b"\x88\x7e", b"\x81\x80", b"\x82\x7e\x00\x7d"],
    ids=["opcode", "reserved bit", "fragment", "control length", "mask", "length"],
)
def test_frames_before_a_violation_are_returned_first(violation: bytes) -> None:
    good = b"\x81\x02hi\x89\x00"
    frames, taken, header = parse_frames(good + violation, False, LIMIT)
    assert frames == [(0x81, b"hi"), (0x89, b"")]
    assert taken == len(good)
    assert header is None
    with pytest.raises(ProtocolError):
        parse_frames(violation, False, LIMIT)


def test_a_frame_over_the_limit_lets_those_before_it_pass() -> None:
    data = b"\x81\x02hi\x82\x03abc"
    assert parse_frames(data, False, 2) == ([(0x81, b"hi")], 4, None)


def test_a_million_frames_are_parsed_in_linear_time() -> None:
    frames, taken, header = parse_frames(b"\x02\x00" * 2**20, False, LIMIT)
    assert (len(frames), taken, header) == (2**20, 2**21, None)


@given(
    st.lists(st.tuples(st.sampled_from([0, 1, 2, 0x80, 0x81, 0x82]), st.binary(max_size=300))),
    st.sampled_from([b"", wire.KEY, wire.ZERO_KEY]),
)
def test_what_is_serialized_is_parsed(frames: list[tuple[int, bytes]], key: bytes) -> None:
    data = b"".join(serialize_frame(first, payload, key) for first, payload in frames)
    assert wire.unframe(data) == frames
    assert parse_frames(data, bool(key), LIMIT) == (frames, len(data), None)
