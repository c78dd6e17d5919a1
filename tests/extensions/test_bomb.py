"""Compression bombs: little that inflates to much, met in memory that does not depend on it."""

from __future__ import annotations

import socket
import zlib
from pathlib import Path

import pytest

from faye_ws.constants import DEFAULT_MAX_LENGTH
from support import programs, wire

MEBIBYTE, GIBIBYTE = 2**20, 2**30
# What a process may need beside the message: the code that it had not loaded, and what the
# allocator keeps.
SLACK = 16 * MEBIBYTE


def bomb(length: int) -> bytes:
    """Return what a length of zeros, some mebibytes, is compressed to.

    All mebibytes of zeros but the first look the same when they are flushed one by one, so
    even ten gibibytes are put together at once.
    """
    deflater = zlib.compressobj(9, wbits=-15)
    first, second, third = (
        deflater.compress(bytes(MEBIBYTE)) + deflater.flush(zlib.Z_SYNC_FLUSH) for _ in range(3)
    )
    assert second == third
    return first + second * (length // MEBIBYTE - 1)


def test_a_bomb_inflates_to_what_it_says() -> None:
    inflater = zlib.decompressobj(-15)
    assert inflater.decompress(bomb(20 * MEBIBYTE)) == bytes(20 * MEBIBYTE)


@pytest.mark.parametrize(
    ("length", "max_length", "code"),
    [
        pytest.param(10 * MEBIBYTE, DEFAULT_MAX_LENGTH, 1005, id="10 MiB, which is allowed"),
        pytest.param(10 * MEBIBYTE, MEBIBYTE, 1009, id="10 MiB, over a limit of 1 MiB"),
        pytest.param(100 * MEBIBYTE, MEBIBYTE, 1009, id="100 MiB, over a limit of 1 MiB"),
        pytest.param(100 * MEBIBYTE, DEFAULT_MAX_LENGTH, 1009, id="100 MiB"),
        pytest.param(GIBIBYTE, DEFAULT_MAX_LENGTH, 1009, id="1 GiB"),
        pytest.param(10 * GIBIBYTE, DEFAULT_MAX_LENGTH, 1009, id="10 GiB"),
    ],
)
def test_a_bomb_is_met_in_bounded_memory(length: int, max_length: int, code: int) -> None:
    payload = bomb(length)
    # What came takes a few copies; what it inflates to, up to the limit, its parts and the
    # whole of them.
    bound = 4 * len(payload) + 2 * min(length, max_length) + SLACK
    with programs.python(Path(__file__).with_name("bomb_server.py"), str(max_length)) as program:
        port = int(program.wait_for_line(r"^port (\d+)$")[1])
        with socket.create_connection(("127.0.0.1", port), 30) as connection:
            connection.sendall(
                wire.request(b"Sec-WebSocket-Extensions: permessage-deflate")
                + wire.frame(0xC2, payload, wire.ZERO_KEY)
            )
            answer = connection.makefile("rb")
            head = b"".join(iter(answer.readline, b"\r\n"))
            assert b"permessage-deflate" in head
            first, second = answer.read(2)
            said = answer.read(second)
            if code == 1009:
                assert (first, said[:2]) == (0x88, code.to_bytes(2, "big"))
            else:
                assert (first, said) == (0x81, str(length).encode())
            connection.sendall(wire.frame(0x88, b"", wire.KEY))
            line = program.wait_for_line(r"^closed (\d+) (\d+)$", 30)
            assert int(line[1]) == code
            growth = int(line[2])
            print(f"{length:,} bytes in {len(payload):,}: {growth / MEBIBYTE:.1f} MiB more memory")
            assert growth < bound
        assert program.stop() == 0
        assert program.errors() == ""
