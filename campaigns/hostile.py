"""Peers that break rules, leave at once, or never leave.

Each is a function of an address. The server may end the connection at any time, but must answer
as RFC 6455 requires.
"""

from __future__ import annotations

import os
import random
import socket
import time
import zlib
from contextlib import suppress

from .wire import (
    BINARY,
    CLOSE,
    CONTINUATION,
    DEFLATE,
    FIN,
    PING,
    RSV1,
    TEXT,
    Address,
    Peer,
    close,
    frame,
    request,
    stream_request,
    text,
)

# Seconds for which those stay that do nothing.
STAY = 1.0
# What the soak's server accepts, as `max_length`.
MAX_LENGTH = 2**18
PATHS = ("/echo", "/loop", "/open", "/room", "/feed", "/ticks")
CODES = (None, 0, 999, *range(1000, 1016), 2999, 3000, 3999, 4000, 4999, 5000, 65535)


def opened(address: Address, *paths: str, more: str = "") -> Peer:
    """Return a peer on one of the paths."""
    peer = Peer(address)
    try:
        peer.open(random.choice(paths or PATHS), more)
    except BaseException:
        peer.reset()
        raise
    return peer


def closes_with_any_code(address: Address) -> None:
    with opened(address) as peer:
        peer.send(close(random.choice(CODES), os.urandom(random.choice((0, 5)))))
        peer.read_close()


def closes_with_half_a_code(address: Address) -> None:
    with opened(address, "/echo", "/loop", "/open") as peer:
        peer.send(frame(FIN | CLOSE, b"\x03"))
        assert peer.read_close() == 1002


def resets(address: Address) -> None:
    peer = opened(address)
    peer.send(random.choice((b"", text("x" * 200)[:3], text("x" * 200)[:100], text("x"), close())))
    peer.reset()


def closes_half(address: Address) -> None:
    with opened(address, "/echo", "/loop", "/open") as peer:
        peer.send(text("hello") + random.choice((b"", close())))
        socket.socket.shutdown(peer.socket, socket.SHUT_WR)
        peer.read_to_end()


def says_nothing(address: Address) -> None:
    with Peer(address):
        time.sleep(STAY * random.random())


def says_nothing_after_the_handshake(address: Address) -> None:
    with opened(address):
        time.sleep(STAY * random.random())


def sends_garbage_as_handshake(address: Address) -> None:
    with Peer(address) as peer:
        peer.send(os.urandom(random.randrange(1, 2000)) + b"\r\n\r\n")
        socket.socket.shutdown(peer.socket, socket.SHUT_WR)
        peer.read_to_end()


def sends_a_bad_handshake(address: Address) -> None:
    good = request("/echo")
    bad = random.choice(
        (
            request("/echo", version=8),
            request("/echo", "Origin: https://elsewhere.example\r\n"),
            good.replace(b"GET", b"POST", 1),
            good.replace(b"HTTP/1.1", b"HTTP/1.0", 1),
            good.replace(b"dGhlIHNhbXBsZSBub25jZQ==", b"short"),
            good.replace(b"Host: localhost\r\n", b""),
            request("/echo", "X: " + "x" * 100_000 + "\r\n"),
        )
    )
    with Peer(address) as peer:
        peer.send(bad)
        socket.socket.shutdown(peer.socket, socket.SHUT_WR)
        assert b" 101 " not in peer.read_to_end()


def leaves_within_the_handshake(address: Address) -> None:
    peer = Peer(address)
    whole = request("/echo")
    peer.send(whole[: random.randrange(1, len(whole) + 1)])
    random.choice((peer.reset, peer.socket.close))()


def leaves_within_the_connection(address: Address) -> None:
    """Leave before TLS has begun, where there is TLS."""
    Peer(Address(address.port)).socket.close()


def sends_garbage_as_frames(address: Address) -> None:
    with opened(address) as peer:
        peer.send(os.urandom(random.randrange(1, 2000)))
        socket.socket.shutdown(peer.socket, socket.SHUT_WR)
        peer.read_to_end()


def sends_too_much(address: Address) -> None:
    with opened(address, "/echo", "/loop", "/open") as peer:
        peer.send(frame(FIN | BINARY, b"x", length=random.choice((MAX_LENGTH + 1, 2**40))))
        assert peer.read_close() == 1009


def sends_too_many_fragments(address: Address) -> None:
    with opened(address, "/echo", "/loop", "/open") as peer:
        peer.send(frame(BINARY, bytes(2**16)))
        for _ in range(MAX_LENGTH // 2**16):
            peer.send(frame(CONTINUATION, bytes(2**16)))
        assert peer.read_close() == 1009


def breaks_a_rule(address: Address) -> None:
    frames, code = random.choice(
        (
            (frame(FIN | TEXT, b"hello", masked=False), 1002),
            (frame(FIN | RSV1 | TEXT, b"hello"), 1002),
            (frame(FIN | 0x3, b"hello"), 1002),
            (frame(FIN | CONTINUATION, b"hello"), 1002),
            (frame(TEXT, b"hello") + text("hello"), 1002),
            (frame(PING, b"hello"), 1002),
            (frame(FIN | PING, bytes(126)), 1002),
            (frame(FIN | TEXT, b"\xff\xfe"), 1007),
            (frame(FIN | BINARY, length=2**63), 1002),
        )
    )
    with opened(address, "/echo", "/loop", "/open") as peer:
        peer.send(frames)
        assert peer.read_close() == code


def floods_with_pings(address: Address) -> None:
    with opened(address, "/echo", "/ticks") as peer:
        for _ in range(50):
            peer.send(frame(FIN | PING, bytes(100)) * 20)
        peer.send(close())
        peer.read_close()


def floods_and_resets(address: Address) -> None:
    peer = opened(address)
    peer.send(text("x" * 1000) * 200)
    peer.reset()


def never_reads(address: Address) -> None:
    with opened(address, "/feed"):
        time.sleep(STAY)


def never_reads_what_it_asks_for(address: Address) -> None:
    with opened(address, "/echo", "/loop", "/open") as peer:
        peer.socket.settimeout(STAY)
        # The server stops reading when it can't write.
        with suppress(TimeoutError):
            for _ in range(200):
                peer.send(text("x" * 2**16))


def drips(address: Address) -> None:
    with Peer(address) as peer:
        for byte in request("/echo") + text("hello"):
            peer.send(bytes((byte,)))
            time.sleep(random.choice((0, 0, 0, 0.01)))


def sends_a_bomb(address: Address) -> None:
    with opened(address, "/echo", "/loop", "/open", more=DEFLATE) as peer:
        peer.send(frame(FIN | RSV1 | BINARY, deflated(bytes(2**26))))
        assert peer.read_close() == 1009


def sends_many_small_bombs(address: Address) -> None:
    with opened(address, "/ticks", "/feed", more=DEFLATE) as peer:
        # Each is a message that is accepted; nobody receives them.
        peer.send(frame(FIN | RSV1 | BINARY, deflated(bytes(MAX_LENGTH - 1))) * 100)
        time.sleep(STAY * random.random())


def sends_broken_compression(address: Address) -> None:
    with opened(address, "/echo", "/loop", "/open", more=DEFLATE) as peer:
        peer.send(frame(FIN | RSV1 | TEXT, b"\xff" + os.urandom(50)))
        peer.read_close()


def deflated(data: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-15)
    whole = compressor.compress(data) + compressor.flush(zlib.Z_SYNC_FLUSH)
    return whole.removesuffix(b"\0\0\xff\xff")


def closes_while_it_is_sent_to(address: Address) -> None:
    with opened(address, "/feed") as peer:
        for _ in range(random.randrange(1, 20)):
            peer.read_message()
        peer.send(close(1000))
        assert peer.read_close() == 1000


def never_answers_a_close(address: Address) -> None:
    with opened(address, "/echo") as peer:
        peer.send(frame(FIN | 0x3))
        time.sleep(STAY)


def never_hangs_up(address: Address) -> None:
    with opened(address, "/echo") as peer:
        peer.send(close())
        peer.read_close()
        time.sleep(STAY)


def leaves_a_stream_at_once(address: Address) -> None:
    peer = Peer(address)
    ask = stream_request(random.choice(("/ticks", "/flood", "/idle", "/room")))
    if random.random() < 0.5:
        peer.send(ask)
    else:
        peer.ask(ask)
    random.choice((peer.reset, peer.socket.close))()


def never_reads_a_stream(address: Address) -> None:
    with Peer(address) as peer:
        peer.ask(stream_request("/flood"))
        time.sleep(STAY)


def sends_into_a_stream(address: Address) -> None:
    with Peer(address) as peer:
        peer.ask(stream_request("/ticks"))
        peer.send(os.urandom(1000))
        peer.take(20)


def hold(address: Address, path: str) -> Peer:
    """Return a peer that has asked for all there is, and reads none of it."""
    peer = Peer(address)
    peer.open(path)
    return peer


def hold_stream(address: Address, path: str) -> Peer:
    """Do the same with an event stream."""
    peer = Peer(address)
    peer.ask(stream_request(path))
    return peer


BEHAVIOURS = (
    closes_with_any_code,
    closes_with_half_a_code,
    resets,
    closes_half,
    says_nothing,
    says_nothing_after_the_handshake,
    sends_garbage_as_handshake,
    sends_a_bad_handshake,
    leaves_within_the_handshake,
    leaves_within_the_connection,
    sends_garbage_as_frames,
    sends_too_much,
    sends_too_many_fragments,
    breaks_a_rule,
    floods_with_pings,
    floods_and_resets,
    never_reads,
    never_reads_what_it_asks_for,
    drips,
    sends_a_bomb,
    sends_many_small_bombs,
    sends_broken_compression,
    closes_while_it_is_sent_to,
    never_answers_a_close,
    never_hangs_up,
    leaves_a_stream_at_once,
    never_reads_a_stream,
    sends_into_a_stream,
)
