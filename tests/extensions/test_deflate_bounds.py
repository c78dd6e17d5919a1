"""permessage-deflate: how much is inflated, how long it takes, and what is kept."""

from __future__ import annotations

import os
import time
import tracemalloc
import zlib
from collections.abc import Callable

import pytest

from faye_ws.driver import Close, Message
from faye_ws.driver.rfc6455 import RFC6455
from faye_ws.extensions import PermessageDeflate
from support import wire
from support.deflated import HELLO, HELLO_AGAIN, deflate, open_deflate, sent
from support.extended_drivers import DEFLATE, Role, open_client
from support.streams import feed, take
from support.wire import WHOLE_TEXT


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
