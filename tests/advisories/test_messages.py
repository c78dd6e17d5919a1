"""Advisories about messages: what a peer's frames did to the memory and the time of others.

Each test names those whose class it is. Where both ends receive what an advisory is about,
it runs as both.
"""

from __future__ import annotations

import random
import sys
import time
import tracemalloc
import zlib
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from faye_ws.driver import Client, Close, Driver, Message, PreparedMessage, RequestServer
from faye_ws.driver.rfc6455 import RFC6455
from faye_ws.extensions import PermessageDeflate
from support import draft_drivers, wire
from support.deflated import deflate, open_deflate
from support.drafts import DRAFTS
from support.extended_drivers import DEFLATE, ROLES, Role, make_request, open_client, open_server
from support.streams import Cut, bytewise, feed, take

MEBIBYTE = 2**20
# Far more than any of it takes, and far less than what grows with the square of its length.
SECONDS = 60


@pytest.fixture(params=ROLES, ids=lambda role: f"as {role.name}")
def role(request: pytest.FixtureRequest) -> Role:
    """Which end we are, with a peer whose masks don't show."""
    chosen: Role = request.param
    key = wire.ZERO_KEY if chosen.is_server else b""
    return Role(chosen.name, chosen.open, key, chosen.own, chosen.peer)


def peak_of(action: Callable[[], object]) -> int:
    """Return how much memory an action holds at most."""
    tracemalloc.start()
    try:
        action()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def blocks_of(action: Callable[[], object]) -> int:
    """Return how many pieces of memory are left by an action."""
    before = sys.getallocatedblocks()
    action()
    return sys.getallocatedblocks() - before


def assert_failed(driver: RFC6455, code: int, before: Iterable[Message] = ()) -> None:
    """Check that a connection was failed, once and for all, with nothing told but `before`."""
    *told, close = take(driver)
    assert told == list(before)
    assert isinstance(close, Close)
    assert (close.code, close.was_clean) == (code, False)
    assert close.error is not None
    first, payload = wire.unframe(driver.data_to_send())[-1]
    assert (first, payload[:2]) == (wire.CLOSE, wire.close_payload(code))


def bomb(length: int) -> bytes:
    """Return what some mebibytes of zeros are compressed to, but for the end."""
    deflater = zlib.compressobj(9, wbits=-15)
    first, more = (
        deflater.compress(bytes(MEBIBYTE)) + deflater.flush(zlib.Z_SYNC_FLUSH) for _ in "12"
    )
    return first + more * (length - 1)


# Limits before, during and after inflation


def test_what_is_too_long_before_it_is_inflated_is_refused_at_its_header(role: Role) -> None:
    """CVE-2026-39804, CVE-2026-54490, CVE-2026-54464."""
    driver = open_deflate(role, max_length=1000)
    frame = role.frame(0xC2, bytes(1001))
    driver.receive_data(frame[: len(frame) - 1001])
    assert_failed(driver, 1009)


@pytest.mark.parametrize("fragments", [1, 7])
def test_inflation_stops_at_the_limit(role: Role, fragments: int) -> None:
    """CVE-2026-77528, CVE-2026-116579, GHSA-x8v2-478q-2hvg: the limit of what came was checked
    before inflation, and what it became was not."""
    driver = open_deflate(role, max_length=MEBIBYTE)
    payload = bomb(200)
    size = len(payload) // fragments + 1
    pieces = [payload[start : start + size] for start in range(0, len(payload), size)]
    stream = role.frame(0x42 if len(pieces) > 1 else 0xC2, pieces[0])
    for piece in pieces[1:-1]:
        stream += role.frame(wire.MORE, piece)
    if len(pieces) > 1:
        stream += role.frame(wire.LAST, pieces[-1])
    assert peak_of(lambda: driver.receive_data(stream)) < 4 * MEBIBYTE
    assert_failed(driver, 1009)


@pytest.mark.parametrize("length", [1000, 1001])
def test_the_limit_is_one_of_what_was_inflated(role: Role, length: int) -> None:
    """CVE-2026-54490, CVE-2026-54464."""
    driver = open_deflate(role, max_length=1000)
    driver.receive_data(role.frame(0xC2, deflate(bytes(length))))
    if length == 1000:
        assert take(driver) == [Message(bytes(1000))]
    else:
        assert_failed(driver, 1009)


def test_messages_within_the_limit_are_inflated_one_by_one(role: Role) -> None:
    """CVE-2026-39804: what one read inflates to was held at once."""
    driver = open_deflate(role, max_length=MEBIBYTE)
    stream = role.frame(0xC2, deflate(bytes(MEBIBYTE))) * 62
    assert len(stream) < 2**16 + 2**10

    def receive() -> None:
        driver.receive_data(stream)
        for _ in range(62):
            assert driver.events() == [Message(bytes(MEBIBYTE))]

    assert peak_of(receive) < 8 * MEBIBYTE
    assert driver.events() == []


@pytest.mark.parametrize("length", [1, 3])
def test_a_wrong_byte_behind_the_limit_is_not_another_error(role: Role, length: int) -> None:
    """CVE-2026-85024: a bomb, and behind it a byte that is no DEFLATE."""
    driver = open_deflate(role, max_length=MEBIBYTE)
    bad = b"\x07" * 100
    driver.receive_data(role.frame(0xC2, bomb(length) + bad) + role.frame(0xC1, bad))
    # Of a message that has the length of the limit the next byte decides.
    assert_failed(driver, 1007 if length == 1 else 1009)
    driver.receive_data(role.frame(0xC2, bad))
    driver.receive_eof()
    assert take(driver) == []
    assert driver.data_to_send() == b""


@pytest.mark.parametrize("first", [0xC1, 0xC2, 0x41, 0x42])
def test_compressed_frames_that_nobody_negotiated_are_refused(
    role: Role, cut: Cut, first: int
) -> None:
    """GHSA-mq44-7p77-q5h7."""
    driver = role.open(None)
    for piece in cut(role.frame(wire.WHOLE_TEXT, b"ok") + role.frame(first, bomb(1)[:100])):
        driver.receive_data(piece)
    assert_failed(driver, 1002, [Message("ok")])


# Fragments


def test_a_flood_of_fragments_takes_the_memory_of_its_bytes(role: Role) -> None:
    """CVE-2026-62389, CVE-2026-42786, CVE-2026-63495: a list with an entry for each of them."""
    driver = role.open(None)
    driver.receive_data(role.frame(wire.BINARY, b"x"))
    flood = role.frame(wire.MORE, b"x") * 4096

    def receive() -> None:
        for _ in range(64):
            driver.receive_data(flood)
            assert driver.events() == []

    began = time.process_time()
    assert peak_of(receive) < 2 * MEBIBYTE
    assert time.process_time() - began < SECONDS
    assert feed(driver, [role.frame(wire.LAST)]) == [Message(b"x" * (64 * 4096 + 1))]


def test_empty_fragments_leave_nothing_behind(role: Role) -> None:
    """CVE-2026-12151: a continuation with nothing in it was kept all the same."""
    driver = role.open(None)
    flood = role.frame(wire.MORE) * 4096
    feed(driver, [role.frame(wire.TEXT, b"x"), flood])
    assert blocks_of(lambda: feed(driver, [flood] * 100)) < 200
    assert feed(driver, [role.frame(wire.LAST, b"y")]) == [Message("xy")]


def test_the_limit_is_one_of_all_fragments_together(role: Role, cut: Cut) -> None:
    """CVE-2026-9675: each was held to the limit by itself."""
    driver = role.open(None, max_length=100)
    fragments = role.frame(wire.BINARY, bytes(50)) + role.frame(wire.MORE, bytes(50))
    assert feed(driver, cut(fragments + role.frame(wire.MORE))) == []
    header = role.frame(wire.MORE, b"x")[:-1]
    driver.receive_data(header)
    assert_failed(driver, 1009)


# Reads


def pieces_of_two_bytes(data: bytes) -> Iterable[bytes]:
    """Cut so that each piece is an object of its own, which single bytes are not."""
    return (data[start : start + 2] for start in range(0, len(data), 2))


@pytest.mark.parametrize("compressed", [False, True], ids=["plain", "compressed"])
def test_tiny_reads_leave_no_object_each(role: Role, compressed: bool) -> None:
    """PYSEC-2026-4389, CVE-2026-54274: of a message that trickles in each read was kept."""
    driver = open_deflate(role, max_length=MEBIBYTE)
    noise = random.Random(1).randbytes(2**16)
    frame = role.frame(0xC2, deflate(noise)) if compressed else role.frame(0x82, noise)
    pieces = pieces_of_two_bytes(frame[:-1])

    def receive() -> None:
        assert feed(driver, pieces) == []

    began = time.process_time()
    assert blocks_of(receive) < 200
    assert time.process_time() - began < SECONDS
    assert feed(driver, [frame[-1:]]) == [Message(noise)]


def test_tiny_reads_of_tiny_frames_are_taken_in_linear_time(role: Role) -> None:
    """PYSEC-2026-4389: also of headers and control frames, which are kept until they are whole."""
    driver = role.open(None)
    frames = role.frame(wire.PING, b"x" * 125) + role.frame(wire.WHOLE_TEXT, b"y" * 126)
    began = time.process_time()
    told = feed(driver, bytewise(frames * 400))
    assert len(told) == 800
    assert time.process_time() - began < SECONDS


def test_tiny_reads_whose_events_nobody_takes_are_kept_as_bytes(role: Role) -> None:
    """CVE-2026-54274."""
    driver = open_deflate(role, max_length=MEBIBYTE)
    driver.receive_data(role.frame(0xC2, deflate(bytes(MEBIBYTE))))
    stream = role.frame(wire.WHOLE_BINARY, bytes(250)) * 500

    def receive() -> None:
        for piece in pieces_of_two_bytes(stream):
            driver.receive_data(piece)

    assert blocks_of(receive) < 200
    assert take(driver) == [Message(bytes(MEBIBYTE))] + [Message(bytes(250))] * 500


# Lengths


@pytest.mark.parametrize("length", [2**63, 2**63 + 1, 2**64 - 1])
@pytest.mark.parametrize("first", [wire.WHOLE_TEXT, wire.WHOLE_BINARY, wire.TEXT])
def test_a_length_of_64_bits_is_refused(role: Role, cut: Cut, first: int, length: int) -> None:
    """CVE-2026-1528: it overflowed the parser's arithmetic."""
    driver = role.open(None)
    mask_bit = 0x80 if role.is_server else 0
    data = bytes((first, mask_bit | 127)) + length.to_bytes(8, "big") + role.peer_key + b"x"
    for piece in cut(data):
        driver.receive_data(piece)
    assert_failed(driver, 1002)


@pytest.mark.parametrize("length", [2**31, 2**32 + 1, 2**53 + 1, 2**63 - 1])
def test_a_length_beyond_the_limit_takes_no_memory(role: Role, length: int) -> None:
    """CVE-2026-1528."""
    driver = role.open(None)
    mask_bit = 0x80 if role.is_server else 0
    data = bytes((0x82, mask_bit | 127)) + length.to_bytes(8, "big") + role.peer_key + b"x"
    assert peak_of(lambda: driver.receive_data(data)) < 10_000
    assert_failed(driver, 1009)


WRONG_BITS = ["0", "7", "16", "-1", "1000", "99999999999999999999", "a", '""', "8.5", "015"]


@pytest.mark.parametrize("bits", WRONG_BITS)
@pytest.mark.parametrize("side", ["server", "client"])
def test_window_bits_of_a_server_outside_8_to_15_are_refused(side: str, bits: str) -> None:
    """CVE-2026-2229: the inflater raised where nobody caught it."""
    driver = Client("ws://server.example.com/chat", extensions=[PermessageDeflate()])
    driver.start()
    key = driver.request.headers.get("Sec-WebSocket-Key")
    assert key is not None
    answer = f"Sec-WebSocket-Extensions: {DEFLATE}; {side}_max_window_bits={bits}"
    driver.receive_data(wire.response(key, answer.encode()) + wire.frame(0xC1, b"\xf2\x48"))
    (close,) = take(driver)
    assert isinstance(close, Close)
    assert (close.code, close.was_clean) == (1006, False)
    assert close.error is not None


@pytest.mark.parametrize("bits", WRONG_BITS)
@pytest.mark.parametrize("side", ["server", "client"])
def test_window_bits_of_a_client_outside_8_to_15_are_not_agreed_to(side: str, bits: str) -> None:
    """CVE-2026-2229."""
    offer = f"{DEFLATE}; {side}_max_window_bits={bits}"
    driver = RequestServer(make_request(offer), extensions=[PermessageDeflate()])
    assert driver.start()
    assert driver.extensions == ""
    assert DEFLATE.encode() not in driver.data_to_send()


# The drafts


@pytest.mark.parametrize("version", DRAFTS)
@pytest.mark.parametrize("kind", [0x80, 0x81, 0xFE])
def test_a_length_without_an_end_is_refused_in_the_drafts(version: str, kind: int) -> None:
    """CVE-2026-54466, CVE-2026-54463: its digits were added up for as long as they came."""
    driver = draft_drivers.open_driver(version)
    blocks = blocks_of(lambda: driver.receive_data(bytes((kind,)) + b"\xff" * MEBIBYTE))
    assert blocks < 200
    _assert_refused(driver, 1002)


@pytest.mark.parametrize("version", DRAFTS)
@pytest.mark.parametrize("length", [b"\x88\x00", b"\x81\x80\x80\x80\x00", b"\xff" * 9 + b"\x7f"])
def test_a_length_beyond_the_limit_is_refused_in_the_drafts(
    version: str, cut: Cut, length: bytes
) -> None:
    """CVE-2026-54466, CVE-2026-54463: what it announces is neither awaited nor skipped."""
    driver = draft_drivers.open_driver(version, max_length=1000)
    for piece in cut(b"\x00ok\xff\x80" + length):
        driver.receive_data(piece)
    _assert_refused(driver, 1009, [Message("ok")])


@pytest.mark.parametrize("version", DRAFTS)
def test_a_text_without_an_end_is_refused_in_the_drafts(version: str) -> None:
    """CVE-2026-54466."""
    driver = draft_drivers.open_driver(version, max_length=1000)
    driver.receive_data(b"\x00" + b"x" * 1001)
    _assert_refused(driver, 1009)


def _assert_refused(driver: Driver, code: int, before: Iterable[Message] = ()) -> None:
    *told, close = take(driver)
    assert told == list(before)
    assert isinstance(close, Close)
    assert close.code == code
    driver.receive_data(b"\x00more\xff")
    assert take(driver) == []


# What we send


@pytest.mark.parametrize("reason", [b"bye", bytearray(3), memoryview(b"bye"), 3, None, ["bye"]])
def test_a_close_reason_is_a_string_or_nothing_is_sent(role: Role, reason: Any) -> None:
    """CVE-2026-45736: of a reason that was no string its length was taken, and memory sent."""
    driver = role.open(None)
    with pytest.raises(TypeError, match="must be a str"):
        driver.close(1000, reason)
    assert driver.data_to_send() == b""


def test_every_frame_of_a_client_has_a_mask_of_its_own() -> None:
    """CVE-2025-10148: one mask was used for a whole connection, so that a server could choose
    the bytes that a proxy sees."""
    driver = open_client(None)
    prepared = PreparedMessage("the same")
    for _ in range(20):
        driver.text("the same")
        driver.binary(b"the same")
        driver.ping(b"the same")
        driver.pong(b"the same")
        driver.send_prepared(prepared)
        driver.receive_data(wire.frame(wire.PING, b"the same"))
    driver.close(1000, "the same")
    data = driver.data_to_send()
    keys = []
    while data:
        assert data[1] >= 0x80
        keys.append(data[2:6])
        data = data[6 + (data[1] & 0x7F) :]
    assert len(keys) == 121
    # Of 121 random keys two are the same once in 600,000 times.
    assert len(set(keys)) >= 120


def test_a_server_sends_no_masks() -> None:
    """CVE-2025-10148: and there is none to renew."""
    driver = open_server(None)
    driver.text("Hello")
    assert driver.data_to_send() == b"\x81\x05Hello"
