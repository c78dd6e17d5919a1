"""permessage-deflate (RFC 7692): messages, as the frames of both ends."""

from __future__ import annotations

import random
import zlib
from collections.abc import Sequence
from typing import Any

import pytest

from faye_ws.driver import Close, Message, Ping
from faye_ws.extensions import Message as ExtensionMessage
from faye_ws.extensions import PermessageDeflate
from support import wire
from support.deflated import HELLO, HELLO_AGAIN, LINES, deflate, open_deflate, sent
from support.extended_drivers import DEFLATE, RSV1, Role, open_client, open_server
from support.streams import Cut, feed
from support.wire import BINARY, LAST, MORE, PING, TEXT, WHOLE_BINARY, WHOLE_TEXT

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


# Context


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


# One message for several connections


def session_of(offer: dict[str, Any] | None = None, **options: Any) -> Any:
    """Return a server's session for an offer."""
    session = PermessageDeflate(**options).create_server_session([offer or {}])
    assert session is not None
    return session


def text(data: str) -> ExtensionMessage:
    """Return a message as it is before it is sent."""
    return ExtensionMessage(1, data.encode())


def inflate(inflater: Any, message: ExtensionMessage) -> str:
    """Return what a peer makes of a message, after those before it."""
    assert message.rsv1
    inflated: bytes = inflater.decompress(message.data + b"\0\0\xff\xff")
    return inflated.decode()


def test_a_shared_message_is_deflated_by_itself() -> None:
    session = session_of()
    session.process_outgoing_message(text(LINES[0]))
    shared = session.process_shared_message(text(LINES[0]))
    assert inflate(zlib.decompressobj(-15), shared) == LINES[0]
    other = session_of().process_shared_message(text(LINES[0]))
    assert (shared.data, shared.rsv1) == (other.data, other.rsv1)


def test_what_is_sent_behind_a_shared_message_does_not_refer_to_what_is_before_it() -> None:
    session, inflater = session_of(), zlib.decompressobj(-15)
    assert inflate(inflater, session.process_outgoing_message(text(LINES[0]))) == LINES[0]
    shared = session_of().process_shared_message(text(LINES[1]))
    session.note_shared_message(shared)
    assert inflate(inflater, shared) == LINES[1]
    after = session.process_outgoing_message(text(LINES[2]))
    assert inflate(zlib.decompressobj(-15), after) == LINES[2]


def test_a_shared_message_that_goes_as_it_is_leaves_the_window_where_it_was() -> None:
    session = session_of()
    first = len(session.process_outgoing_message(text(LINES[0])).data)
    shared = session.process_shared_message(text("short"))
    assert (shared.data, shared.rsv1) == (b"short", False)
    session.note_shared_message(shared)
    assert len(session.process_outgoing_message(text(LINES[0])).data) < first / 2


def test_connections_share_what_the_same_bytes_come_of() -> None:
    bits = {"server_max_window_bits": 10}
    assert session_of().shared_key == session_of().shared_key
    assert session_of(bits).shared_key == session_of(max_window_bits=10).shared_key
    # What the client sends makes no difference.
    client = {"client_no_context_takeover": True, "client_max_window_bits": 9}
    assert session_of(client).shared_key == session_of().shared_key
    keys = [
        session_of().shared_key,
        session_of(bits).shared_key,
        session_of(level=1).shared_key,
        session_of(mem_level=1).shared_key,
        session_of(strategy=zlib.Z_HUFFMAN_ONLY).shared_key,
        session_of(min_size=0).shared_key,
    ]
    assert len(set(keys)) == len(keys)
