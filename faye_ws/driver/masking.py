"""Masking (RFC 6455, 5.3): each byte is combined with a byte of the key by XOR.

Python has no loop that is fast on bytes, so whole payloads are handed to C: short ones
as one long integer, long ones as four lanes through a translation table for each byte
of the key. The border between the two is where they were measured to cross.
"""

from __future__ import annotations

_LANES_FROM = 1024
_XOR_TABLES = [bytes(key ^ byte for byte in range(256)) for key in range(256)]


def mask(key: bytes, data: bytes) -> bytes:
    """Return `data` masked with the four bytes of `key`; masking again unmasks it."""
    length = len(data)
    if length < _LANES_FROM:
        keys = (key * (length // 4 + 1))[:length]
        masked = int.from_bytes(data, "little") ^ int.from_bytes(keys, "little")
        return masked.to_bytes(length, "little")
    # A bytearray from the start: its translate() is faster than that of bytes, which also
    # looks for what has changed.
    lanes = bytearray(data)
    for lane in range(4):
        lanes[lane::4] = lanes[lane::4].translate(_XOR_TABLES[key[lane]])
    return bytes(lanes)
