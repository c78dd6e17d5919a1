"""permessage-deflate (RFC 7692): messages, as the frames of both ends."""

from __future__ import annotations

import os
import random
import time
import tracemalloc
import zlib
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import Frame, Opcode

import wire
from extensions.ends import DEFLATE, RSV1, Role, open_client, open_server
from faye_ws.driver import Close, Message, Ping
from faye_ws.driver.rfc6455 import RFC6455
from faye_ws.extensions import PermessageDeflate
from streams import Cut, feed, take
from wire import BINARY, LAST, MORE, PING, TEXT, WHOLE_BINARY, WHOLE_TEXT, unframe

TAIL = b"\x00\x00\xff\xff"
HELLO = bytes.fromhex("f248cdc9c90700")
HELLO_AGAIN = bytes.fromhex("f200110000")
# Long enough to be compressed, and alike enough to be worth it.
LINES = [f"line {number} of a poem that repeats itself " * 3 for number in range(50)]


def open_deflate(role: Role, params: str = "", **options: Any) -> RFC6455:
    """Return a driver with permessage-deflate, which compresses messages of any length."""
    header = f"{DEFLATE}; {params}" if params else DEFLATE
    max_length = options.pop("max_length", 2**20)
    return role.open(header, PermessageDeflate(**{"min_size": 0, **options}), max_length=max_length)


def deflate(data: bytes, deflater: Any = None, mode: int = zlib.Z_SYNC_FLUSH) -> bytes:
    """Return what a peer's zlib makes of a message, by itself or after others."""
    deflater = deflater or zlib.compressobj(wbits=-15)
    compressed = deflater.compress(data) + deflater.flush(mode)
    return compressed.removesuffix(TAIL) if mode != zlib.Z_FINISH else compressed + b"\x00"


def sent(driver: RFC6455) -> list[tuple[int, bytes]]:
    """Return the frames that a driver sends."""
    return unframe(driver.data_to_send())


# 7.2.3: the examples of the RFC


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        pytest.param([(0xC1, HELLO)], "Hello", id="7.2.3.1"),
        pytest.param([(0x41, HELLO[:3]), (0x80, HELLO[3:])], "Hello", id="7.2.3.1, fragments"),
        pytest.param(
            [(0xC1, bytes.fromhex("000500faff48656c6c6f00"))], "Hello", id="7.2.3.3, stored"
        ),
        pytest.param([(0xC1, bytes.fromhex("f348cdc9c9070000"))], "Hello", id="7.2.3.4, BFINAL"),
        pytest.param(
            [(0xC1, bytes.fromhex("f248050000 00ffffcac9c90700"))], "Hello", id="7.2.3.5, blocks"
        ),
        pytest.param([(0xC1, b"\x00")], "", id="7.2.3.6, empty"),
        # Beside the RFC: other forms of nothing, and of a last block.
        pytest.param([(0xC1, b"")], "", id="empty, without a byte"),
        pytest.param([(0xC1, b"\x02\x00")], "", id="empty, a block of fixed codes"),
        pytest.param([(0xC1, b"\x03\x00\x00")], "", id="empty, BFINAL"),
        pytest.param([(0xC1, b"\x03\x00")], "", id="empty, BFINAL and nothing after it"),
        pytest.param([(0xC1, b"\x01\x00\x00\xff\xff\x00")], "", id="empty, BFINAL and stored"),
        pytest.param(
            [(0xC1, bytes.fromhex("f348cdc9c90700"))], "Hello", id="BFINAL and nothing after it"
        ),
        pytest.param(
            [(0xC1, bytes.fromhex("f348cdc9c90700") * 2 + b"\x00")], "HelloHello", id="two BFINAL"
        ),
        pytest.param(
            [(0xC1, bytes.fromhex("f348cdc9c90700") + HELLO)], "HelloHello", id="BFINAL, then more"
        ),
    ],
)
def test_the_examples_of_the_rfc_are_inflated(
    role: Role, cut: Cut, frames: list[tuple[int, bytes]], message: str
) -> None:
    driver = open_deflate(role)
    # Twice, and something else between: no form of an end is the end of the connection.
    stream = role.frames(*frames, (0xC2, deflate(b"between")), *frames)
    assert feed(driver, cut(stream)) == [Message(message), Message(b"between"), Message(message)]


def test_the_window_of_the_last_message_is_used_by_the_next(role: Role, cut: Cut) -> None:
    # 7.2.3.2
    driver = open_deflate(role)
    stream = role.frames((0xC1, HELLO), (0xC1, HELLO_AGAIN), (0xC1, HELLO_AGAIN))
    assert feed(driver, cut(stream)) == [Message("Hello")] * 3


def test_we_send_the_examples_of_the_rfc_as_they_stand_there(role: Role) -> None:
    driver = open_deflate(role)
    driver.text("Hello")
    driver.text("Hello")
    driver.text("")
    assert sent(driver) == [(0xC1, HELLO), (0xC1, HELLO_AGAIN), (0xC1, b"\x00")]


def test_stored_blocks_are_sent_at_level_0(role: Role) -> None:
    driver = open_deflate(role, level=0)
    driver.text("Hello")
    ((first, payload),) = sent(driver)
    assert (first, payload) == (0xC1, bytes.fromhex("000500faff48656c6c6f00"))


def test_empty_messages_are_messages(role: Role, cut: Cut) -> None:
    driver = open_deflate(role)
    for _ in range(3):
        driver.text("")
        driver.binary(b"")
    frames = sent(driver)
    assert frames == [(0xC1, b"\x00"), (0xC2, b"\x00")] * 3
    assert feed(driver, cut(role.frames(*frames))) == [Message(""), Message(b"")] * 3


# Frames


def test_the_fragments_of_a_compressed_message_may_be_any_cut_of_it(role: Role, cut: Cut) -> None:
    driver = open_deflate(role)
    deflater = zlib.compressobj(wbits=-15)
    stream, expected = b"", []
    for number, line in enumerate(LINES):
        payload = deflate(line.encode(), deflater)
        places = sorted({0, number % len(payload), (3 * number) % len(payload)})
        parts = [payload[a:b] for a, b in zip(places, [*places[1:], None], strict=True)]
        firsts = [TEXT | RSV1] + [MORE] * len(parts)
        # With an empty frame and a ping among them, and an empty one at the end.
        stream += role.frames(*zip(firsts, parts, strict=False), (MORE, b""), (PING, b"?"))
        stream += role.frame(LAST)
        expected += [Ping(b"?"), Message(line)]
    assert feed(driver, cut(stream)) == expected


def test_messages_that_are_not_compressed_come_between_those_that_are(role: Role, cut: Cut) -> None:
    driver = open_deflate(role)
    stream = role.frames(
        (0xC1, HELLO),
        (WHOLE_TEXT, b"plain"),
        (TEXT, b"pl"),
        (LAST, b"ain"),
        (WHOLE_BINARY, b""),
        (0xC1, HELLO_AGAIN),
    )
    expected = ["Hello", "plain", "plain", b"", "Hello"]
    assert [event.data for event in feed(driver, cut(stream))] == expected


@pytest.mark.parametrize(
    "frames",
    [
        pytest.param([(0x41, HELLO[:3]), (0xC0, HELLO[3:])], id="on the last fragment"),
        pytest.param([(0x41, HELLO[:3]), (0x40, HELLO[3:])], id="on a fragment between"),
        pytest.param([(0x01, b"He"), (0xC0, HELLO)], id="after a fragment without it"),
        pytest.param([(0xC9, b"")], id="on a ping"),
        pytest.param([(0xCA, b"")], id="on a pong"),
        pytest.param([(0xC8, b"")], id="on a close"),
        pytest.param([(0xE1, HELLO)], id="beside RSV2"),
        pytest.param([(0xD1, HELLO)], id="beside RSV3"),
        pytest.param([(0xC3, HELLO)], id="on an unknown opcode"),
    ],
)
def test_rsv1_stands_on_the_first_frame_of_a_message_only(
    role: Role, cut: Cut, frames: list[tuple[int, bytes]]
) -> None:
    (close,) = feed(open_deflate(role), cut(role.frames(*frames)))
    assert isinstance(close, Close)
    assert close.code == 1002


@pytest.mark.parametrize("first", [0xC1, 0xC2, 0x41, 0xC9])
def test_rsv1_means_nothing_where_compression_was_not_negotiated(
    role: Role, cut: Cut, first: int
) -> None:
    driver = role.open(None, PermessageDeflate())
    (close,) = feed(driver, cut(role.frame(first, HELLO)))
    assert isinstance(close, Close)
    assert close.code == 1002


def test_control_frames_are_not_compressed(role: Role) -> None:
    driver = open_deflate(role)
    driver.ping(b"a" * 125)
    driver.pong(b"a" * 125)
    driver.close(1000, "a" * 123)
    assert sent(driver) == [
        (0x89, b"a" * 125),
        (0x8A, b"a" * 125),
        (0x88, wire.close_payload(1000, b"a" * 123)),
    ]


@pytest.mark.parametrize("min_size", [0, 1, 5, 64, 1024])
def test_messages_shorter_than_min_size_go_out_as_they_are(role: Role, min_size: int) -> None:
    driver = open_deflate(role, min_size=min_size)
    for length in (0, 1, 4, 5, 63, 64, 1023, 1024, 5000):
        driver.binary(b"a" * length)
        ((first, payload),) = sent(driver)
        assert first == (0xC2 if length >= min_size else 0x82)
        assert first == 0xC2 or payload == b"a" * length


def test_min_size_counts_bytes_and_not_characters(role: Role) -> None:
    driver = open_deflate(role, min_size=6)
    driver.text("äöü")
    driver.text("aouaa")
    assert [first for first, _ in sent(driver)] == [0xC1, 0x81]


def test_short_messages_are_not_compressed_unless_that_is_asked_for(role: Role) -> None:
    driver = role.open(DEFLATE, PermessageDeflate())
    driver.text("Hello")
    driver.text("Hello, world! " * 10)
    assert [first for first, _ in sent(driver)] == [0x81, 0xC1]


# Text


@pytest.mark.parametrize("data", [b"\xff", b"caf\xc3", b"\xed\xa0\x80", b"\xc0\xaf", b"ok\xf8"])
def test_text_that_came_compressed_is_checked_as_utf_8(role: Role, cut: Cut, data: bytes) -> None:
    for frame in ((0xC1, deflate(data)), (0x81, data)):
        driver = open_deflate(role)
        events = feed(driver, cut(role.frames((0xC2, deflate(data)), frame, (0x82, b"late"))))
        assert events[0] == Message(data)
        (close,) = events[1:]
        assert isinstance(close, Close)
        assert (close.code, close.was_clean) == (1007, False)


# Corrupt data


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param(b"\x07", id="an unknown type of block"),
        pytest.param(b"\x00\x05\x00\xff\xffHello\x00", id="a stored block of two lengths"),
        pytest.param(HELLO_AGAIN, id="further back than there is anything"),
        pytest.param(b"\x05" + b"\xff" * 20, id="codes that are none"),
        pytest.param(b"\xf3H\xcd\xc9\xc9\x07\x00\x07", id="after a last block"),
        pytest.param(b"\x78\x9c" + HELLO, id="the header of zlib"),
        pytest.param(b"\x1f\x8b\x08\x00" + HELLO, id="the header of gzip"),
    ],
)
def test_corrupt_data_fails_the_connection_with_nothing_delivered(
    role: Role, cut: Cut, payload: bytes
) -> None:
    driver = open_deflate(role)
    stream = role.frames((WHOLE_TEXT, b"before"), (0xC1, payload), (WHOLE_TEXT, b"after"))
    before, close = feed(driver, cut(stream))
    assert before == Message("before")
    assert isinstance(close, Close)
    assert close.code == 1007
    assert close.reason.startswith("permessage-deflate: ")
    assert [first for first, _ in sent(driver)] == [wire.CLOSE]


def test_a_message_may_not_refer_to_one_that_was_to_be_forgotten(role: Role, cut: Cut) -> None:
    driver = open_deflate(role, f"{role.peer}_no_context_takeover")
    stream = role.frames((0xC1, HELLO), (0xC1, HELLO), (0xC1, HELLO_AGAIN))
    *messages, close = feed(driver, cut(stream))
    assert messages == [Message("Hello")] * 2
    assert isinstance(close, Close)
    assert close.code == 1007


def test_a_message_may_not_refer_back_beyond_the_window(role: Role, cut: Cut) -> None:
    deflater = zlib.compressobj(9, zlib.DEFLATED, -15)
    noise = random.Random(1).randbytes(2000)
    first, second = deflate(noise, deflater), deflate(noise, deflater)
    assert len(second) < 100
    stream = role.frames((0xC2, first), (0xC2, second))
    assert feed(open_deflate(role), cut(stream)) == [Message(noise)] * 2
    message, close = feed(open_deflate(role, f"{role.peer}_max_window_bits=9"), cut(stream))
    assert message == Message(noise)
    assert isinstance(close, Close)
    assert close.code == 1007


@given(st.data())
def test_no_bytes_make_a_driver_raise_or_deliver_too_much(data: st.DataObject) -> None:
    is_server = data.draw(st.booleans())
    open_end = open_server if is_server else open_client
    driver = open_end(DEFLATE, PermessageDeflate(), max_length=1000)
    key = wire.KEY if is_server else b""
    pieces = data.draw(
        st.lists(
            st.binary(max_size=60)
            | st.builds(
                lambda first, payload: wire.frame(first, payload, key),
                st.sampled_from([0xC1, 0xC2, 0x41, 0x42, 0x00, 0x80, 0x81, 0x02, 0x89]),
                st.binary(max_size=60)
                | st.binary(max_size=3000).map(deflate)
                | st.integers(0, 5000).map(lambda size: deflate(bytes(size)))
                | st.binary(max_size=90).map(lambda data: deflate(data, mode=zlib.Z_FINISH)),
            ),
            max_size=8,
        )
    )
    for event in feed(driver, pieces):
        if isinstance(event, Message):
            length = len(event.data.encode() if isinstance(event.data, str) else event.data)
            assert length <= 1000
    driver.receive_eof()
    take(driver)
    for first, _ in unframe(driver.data_to_send()):
        assert first in (wire.CLOSE, wire.PONG)


@given(st.binary(min_size=1, max_size=400), st.randoms(use_true_random=False))
def test_damaged_data_is_refused_or_read_as_zlib_reads_it(
    data: bytes, chance: random.Random
) -> None:
    payload = bytearray(deflate(data))
    for _ in range(chance.randint(1, 3)):
        payload[chance.randrange(len(payload))] ^= 1 << chance.randrange(8)
    driver = open_server(DEFLATE, PermessageDeflate(), max_length=10_000)
    (event,) = feed(driver, [wire.frame(0xC2, bytes(payload), wire.KEY)])
    inflater = zlib.decompressobj(-15)
    try:
        expected = inflater.decompress(bytes(payload) + TAIL, 10_001)
    except zlib.error:
        assert isinstance(event, Close)
        assert event.code == 1007
        return
    if inflater.eof or len(expected) > 10_000:
        # What zlib alone does not read to its end is the matter of other tests.
        return
    assert event == Message(expected)


# Beside others: zlib itself, and the library websockets

MESSAGES = st.lists(
    st.binary(max_size=300)
    | st.sampled_from([line.encode() for line in LINES])
    | st.tuples(st.binary(min_size=1, max_size=20), st.integers(1, 3000)).map(
        lambda pair: pair[0] * pair[1]
    ),
    max_size=12,
)


@given(
    MESSAGES,
    st.booleans(),
    st.integers(9, 15),
    st.integers(-1, 9),
    st.integers(1, 9),
    st.integers(0, 4),
    st.sampled_from([0, 64]),
)
def test_zlib_and_websockets_inflate_what_we_send(
    messages: list[bytes],
    takeover: bool,
    bits: int,
    level: int,
    mem_level: int,
    strategy: int,
    min_size: int,
) -> None:
    params = f"; server_max_window_bits={bits}" + "; server_no_context_takeover" * (not takeover)
    driver = open_server(
        DEFLATE + params,
        PermessageDeflate(level=level, mem_level=mem_level, strategy=strategy, min_size=min_size),
    )
    inflater = zlib.decompressobj(-bits)
    peer = PerMessageDeflate(not takeover, True, bits, 15)
    for message in messages:
        driver.binary(message)
        ((first, payload),) = sent(driver)
        assert (first == 0xC2) is (len(message) >= min_size)
        if first == 0xC2:
            if not takeover:
                inflater = zlib.decompressobj(-bits)
            assert inflater.decompress(payload + TAIL) == message
            assert inflater.unused_data == b""
            assert not payload.endswith(TAIL)
        assert peer.decode(Frame(Opcode.BINARY, payload, rsv1=first == 0xC2)).data == message


@given(MESSAGES, st.booleans(), st.integers(9, 15), st.randoms(use_true_random=False))
def test_we_inflate_what_websockets_sends(
    messages: list[bytes], takeover: bool, bits: int, chance: random.Random
) -> None:
    params = f"; client_max_window_bits={bits}" + "; client_no_context_takeover" * (not takeover)
    driver = open_server(DEFLATE + params, PermessageDeflate())
    peer = PerMessageDeflate(True, not takeover, 15, bits)
    stream = b""
    for message in messages:
        # In fragments, which it compresses one by one, as a stream that is flushed.
        places = sorted(chance.randint(0, len(message)) for _ in range(chance.randint(0, 3)))
        parts = [message[a:b] for a, b in zip([0, *places], [*places, None], strict=True)]
        for number, part in enumerate(parts):
            opcode = Opcode.CONT if number else Opcode.BINARY
            frame = peer.encode(Frame(opcode, part, fin=number == len(parts) - 1))
            first = int(frame.opcode) | frame.fin << 7 | frame.rsv1 << 6
            stream += wire.frame(first, bytes(frame.data), wire.KEY)
    assert feed(driver, [stream]) == [Message(message) for message in messages]


@given(MESSAGES, st.sampled_from([zlib.Z_FINISH, zlib.Z_FULL_FLUSH, zlib.Z_PARTIAL_FLUSH]))
def test_we_inflate_streams_that_were_flushed_in_other_ways(
    messages: list[bytes], mode: int
) -> None:
    driver = open_server(DEFLATE, PermessageDeflate())
    deflater = zlib.compressobj(wbits=-15)
    for message in messages:
        if mode == zlib.Z_PARTIAL_FLUSH:
            # 7.2.1 asks for an end at the border of a byte, however it comes about.
            payload = deflater.compress(message) + deflater.flush(mode)
            payload += deflater.flush(zlib.Z_SYNC_FLUSH).removesuffix(TAIL)
        else:
            deflater = zlib.compressobj(wbits=-15)
            payload = deflate(message, deflater, mode)
        assert feed(driver, [wire.frame(0xC2, payload, wire.KEY)]) == [Message(message)]


@settings(max_examples=20)
@given(st.integers(0, 70_000))
def test_messages_of_any_length_that_can_not_be_compressed_come_through(length: int) -> None:
    # Lengths at which what is flushed fills zlib's buffers exactly are no exception.
    server = open_server(DEFLATE, PermessageDeflate())
    client = open_client(DEFLATE, PermessageDeflate())
    message = random.Random(length).randbytes(length)
    for sender, receiver in ((server, client), (client, server)):
        sender.binary(message)
        assert feed(receiver, [sender.data_to_send()]) == [Message(message)]


# Bounds


def limits(role: Role) -> list[tuple[str, bytes, int]]:
    """Return payloads that inflate to a number of bytes, and what they are."""
    cases = []
    for length in (999, 1000, 1001, 5000):
        data = bytes(length)
        half = deflate(data[: length // 2], mode=zlib.Z_FINISH)[:-1]
        rest = deflate(data[length // 2 :], mode=zlib.Z_FINISH)
        cases += [
            ("one stream", deflate(data), length),
            ("one stream with its end", deflate(data, mode=zlib.Z_FINISH), length),
            ("two streams", half + rest, length),
            ("two streams, the second open", half + deflate(data[length // 2 :]), length),
        ]
    return cases


def test_a_message_is_as_long_as_max_length_when_inflated_and_not_longer(role: Role) -> None:
    for what, payload, length in limits(role):
        driver = open_deflate(role, max_length=1000)
        (event,) = feed(driver, [role.frame(0xC2, payload)])
        if length <= 1000:
            assert event == Message(bytes(length)), what
        else:
            assert isinstance(event, Close)
            assert event.code == 1009, what
            assert "over the limit of 1000 bytes" in event.reason


def test_a_message_that_is_too_long_before_it_is_inflated_is_refused_at_once(role: Role) -> None:
    driver = open_deflate(role, max_length=1000)
    (close,) = feed(driver, [role.frame(0xC2, bytes(1001))[:8]])
    assert isinstance(close, Close)
    assert close.code == 1009


def zeros(length: int) -> bytes:
    """Return a message of so many mebibytes of zeros, as it comes over the wire.

    All mebibytes of zeros but the first look the same when they are flushed one by one.
    """
    deflater = zlib.compressobj(9, wbits=-15)
    pieces = [deflater.compress(bytes(2**20)) + deflater.flush(zlib.Z_SYNC_FLUSH) for _ in "123"]
    assert pieces[1] == pieces[2]
    return pieces[0] + pieces[1] * (length - 1)


@pytest.mark.parametrize("end", ["open", "ended"])
def test_a_bomb_is_not_inflated_beyond_max_length(role: Role, end: str) -> None:
    payload = zeros(800) if end == "open" else deflate(bytes(2**20), mode=zlib.Z_FINISH)[:-1] * 700
    driver = open_deflate(role, max_length=2**20)
    frame = wire.frame(0xC2, payload, wire.ZERO_KEY if role.is_server else b"")
    assert len(frame) < 2**20
    tracemalloc.start()
    try:
        driver.receive_data(frame)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    (close,) = take(driver)
    assert isinstance(close, Close)
    assert close.code == 1009
    # The message as it came, some copies of it, and what was inflated, in parts and whole.
    assert peak < 8 * 2**20


def empty_streams(count: int) -> bytes:
    """Return a message of streams of two bytes each that inflate to nothing."""
    return b"\x03\x00" * count


def test_a_message_of_many_streams_is_read(role: Role) -> None:
    one = deflate(b"Hello", mode=zlib.Z_FINISH)[:-1]
    driver = open_deflate(role)
    events = feed(driver, [role.frames((0xC2, one * 1000 + b"\x00"), (0xC2, HELLO))])
    assert events == [Message(b"Hello" * 1000), Message(b"Hello")]


def test_streams_without_end_are_refused_in_little_time(role: Role) -> None:
    # Each end of a stream copies what is behind it: 16 MiB of ends would take hours.
    driver = open_deflate(role, max_length=2**24)
    payload = empty_streams(2**23)
    began = time.process_time()
    driver.receive_data(wire.frame(0xC2, payload, wire.ZERO_KEY if role.is_server else b""))
    assert time.process_time() - began < 5
    (close,) = take(driver)
    assert isinstance(close, Close)
    assert close.code == 1007


def test_a_long_stream_behind_the_end_of_another_is_read_whole(role: Role) -> None:
    noise = os.urandom(300_000)
    payload = deflate(noise, mode=zlib.Z_FINISH)[:-1] + deflate(noise, mode=zlib.Z_FINISH)
    driver = open_deflate(role)
    frame = wire.frame(0xC2, payload, wire.ZERO_KEY if role.is_server else b"")
    assert feed(driver, [frame]) == [Message(noise + noise)]


# Windows


def windows(driver: RFC6455) -> tuple[bool, bool]:
    """Tell whether a driver holds a compressor, and an inflater."""
    assert driver._pipeline is not None
    ((_, session),) = driver._pipeline._sessions
    return session._deflater is not None, session._inflater is not None  # type: ignore[attr-defined]


def test_windows_exist_from_the_first_message_that_needs_them(role: Role) -> None:
    driver = open_deflate(role, min_size=100)
    assert windows(driver) == (False, False)
    driver.text("short")
    feed(driver, [role.frame(WHOLE_TEXT, b"plain")])
    assert windows(driver) == (False, False)
    feed(driver, [role.frame(0xC1, HELLO)])
    assert windows(driver) == (False, True)
    driver.text("long" * 25)
    assert windows(driver) == (True, True)


def test_windows_are_not_kept_where_nothing_is_taken_over(role: Role) -> None:
    params = "server_no_context_takeover; client_no_context_takeover"
    driver = open_deflate(role, params)
    for _ in range(2):
        driver.text("Hello")
        feed(driver, [role.frame(0xC1, HELLO)])
        assert windows(driver) == (False, False)
    assert sent(driver) == [(0xC1, HELLO)] * 2


@pytest.mark.parametrize("side", ["own", "peer"])
def test_each_side_forgets_by_itself(role: Role, side: str) -> None:
    driver = open_deflate(role, f"{getattr(role, side)}_no_context_takeover")
    driver.text("Hello")
    feed(driver, [role.frame(0xC1, HELLO)])
    assert windows(driver) == (side != "own", side != "peer")


@pytest.mark.parametrize("end", ["close", "violation", "eof", "bomb", "corrupt"])
def test_windows_are_released_at_the_end_of_the_connection(role: Role, end: str) -> None:
    driver = open_deflate(role, max_length=1000)
    driver.text("Hello")
    feed(driver, [role.frame(0xC1, HELLO)])
    assert windows(driver) == (True, True)
    ends: dict[str, Callable[[], object]] = {
        "close": lambda: driver.receive_data(role.frame(0x88)),
        "violation": lambda: driver.receive_data(role.frame(0x83)),
        "eof": driver.receive_eof,
        "bomb": lambda: driver.receive_data(role.frame(0xC1, deflate(bytes(1001)))),
        "corrupt": lambda: driver.receive_data(role.frame(0xC1, b"\x07")),
    }
    ends[end]()
    take(driver)
    assert windows(driver) == (False, False)


def test_a_window_of_8_bits_makes_a_client_send_all_as_it_is() -> None:
    driver = open_client(f"{DEFLATE}; client_max_window_bits=8", PermessageDeflate())
    driver.text("Hello, world! " * 100)
    assert [first for first, _ in sent(driver)] == [WHOLE_TEXT]
    assert feed(driver, [wire.frame(0xC1, HELLO)]) == [Message("Hello")]


def test_a_peer_may_use_a_window_of_8_bits(role: Role) -> None:
    params = f"{role.peer}_max_window_bits=8"
    options = {"request_max_window_bits": 8} if not role.is_server else {}
    driver = open_deflate(role, params, **options)
    # Stored, and a reference over 5 bytes: both fit into 256.
    stream = role.frames((0xC1, HELLO), (0xC1, HELLO_AGAIN), (0xC1, b"\x00"))
    assert feed(driver, [stream]) == [Message("Hello"), Message("Hello"), Message("")]


@pytest.mark.parametrize("takeover", [True, False])
@pytest.mark.parametrize("bits", [9, 15])
def test_conversations_come_through_whatever_was_settled(
    role: Role, cut: Cut, takeover: bool, bits: int
) -> None:
    params = [f"{side}_max_window_bits={bits}" for side in (role.own, role.peer)]
    if not takeover:
        params += [f"{side}_no_context_takeover" for side in (role.own, role.peer)]
    ours = open_deflate(role, "; ".join(params))
    open_theirs = open_client if role.is_server else open_server
    theirs = open_theirs("; ".join([DEFLATE, *params]), PermessageDeflate(min_size=0))
    sizes: list[int] = []
    for sender, receiver in ((ours, theirs), (theirs, ours)):
        for line in LINES:
            sender.text(line)
            data = sender.data_to_send()
            sizes.append(len(data))
            assert feed(receiver, cut(data)) == [Message(line)]
    # A context that is taken over shows in what is sent.
    assert (max(sizes[1:10]) < sizes[0] / 2) is takeover


def _sequence(*payloads: bytes) -> Sequence[tuple[int, bytes]]:
    return [(0xC2, payload) for payload in payloads]


def test_a_context_survives_fragments_pings_and_plain_messages(role: Role, cut: Cut) -> None:
    deflater = zlib.compressobj(wbits=-15)
    first, second, third = (deflate(LINES[0].encode(), deflater) for _ in "123")
    assert len(third) < len(first) / 4
    driver = open_deflate(role)
    stream = role.frames(
        *_sequence(first),
        (BINARY | RSV1, second[:2]),
        (PING, b""),
        (LAST, second[2:]),
        (WHOLE_BINARY, b"plain"),
        *_sequence(third),
    )
    data = [event.data for event in feed(driver, cut(stream))]
    line = LINES[0].encode()
    assert data == [line, b"", line, b"plain", line]
