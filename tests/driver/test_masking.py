"""Masking against the definition in RFC 6455, 5.3."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faye_ws.driver.masking import mask
from support import wire

KEYS = st.binary(min_size=4, max_size=4)


def test_the_example_of_the_rfc_is_masked_as_it_says() -> None:
    # 5.7: "A single-frame masked text message".
    assert mask(b"\x37\xfa\x21\x3d", b"Hello") == b"\x7f\x9f\x4d\x51\x58"


@pytest.mark.parametrize("length", [*range(10), *range(125, 128), *range(1020, 1029), 65537])
def test_every_length_is_masked_as_byte_by_byte(length: int) -> None:
    data = bytes(place * 7 % 256 for place in range(length))
    assert mask(wire.KEY, data) == wire.xor(wire.KEY, data)


@pytest.mark.parametrize("length", [4, 1024])
def test_a_key_may_have_any_bytes(length: int) -> None:
    data = bytes(range(256)) * 4
    for byte in range(256):
        key = bytes((byte, 0, 255, byte ^ 255))
        assert mask(key, data[-length:]) == wire.xor(key, data[-length:])


@given(KEYS, st.binary(max_size=5000))
def test_every_key_and_payload_is_masked_as_byte_by_byte(key: bytes, data: bytes) -> None:
    assert mask(key, data) == wire.xor(key, data)


@given(KEYS, st.binary(max_size=5000))
def test_masking_twice_gives_the_payload_back(key: bytes, data: bytes) -> None:
    assert mask(key, mask(key, data)) == data


@pytest.mark.parametrize("length", [0, 5, 1023, 1024])
@pytest.mark.parametrize("kind", [bytes, bytearray])
def test_what_is_masked_is_bytes_and_leaves_its_source_alone(length: int, kind: Any) -> None:
    source = kind(b"x" * length)
    assert type(mask(b"abcd", bytes(source))) is bytes
    assert mask(b"abcd", source) == wire.xor(b"abcd", bytes(source))
    assert source == b"x" * length


def test_long_payloads_are_masked_in_linear_time() -> None:
    data = bytes(64 * 2**20)
    assert mask(b"abcd", data) == b"abcd" * (len(data) // 4)
