"""permessage-deflate beside zlib itself, and beside the library websockets; and any bytes."""

from __future__ import annotations

import random
import zlib

from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import Frame, Opcode

from faye_ws.driver import Close, Message
from faye_ws.extensions import PermessageDeflate
from support import wire
from support.deflated import LINES, TAIL, deflate, sent
from support.extended_drivers import DEFLATE, open_client, open_server
from support.streams import feed, take
from support.wire import unframe


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
