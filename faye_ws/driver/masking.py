"""Masking (RFC 6455, 5.3): each byte is combined with a byte of the key by XOR.

Loops over bytes are slow in Python, so C does the work: a short payload is one long
integer; a long one is four lanes, one for each byte of the key, each of which goes through
a translation table. `_LANES_FROM` is the length from which lanes were measured to be faster.
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
    # bytearray.translate() is faster than bytes.translate(), which also checks whether
    # anything has changed.
    lanes = bytearray(data)
    for lane in range(4):
        lanes[lane::4] = lanes[lane::4].translate(_XOR_TABLES[key[lane]])
    return bytes(lanes)
