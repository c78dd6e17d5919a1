"""Drivers with permessage-deflate, and what a peer's zlib makes of messages."""

from __future__ import annotations

import zlib
from typing import Any

from faye_ws.driver.rfc6455 import RFC6455
from faye_ws.extensions import PermessageDeflate
from support.extended_drivers import DEFLATE, Role
from support.wire import unframe

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
    compressed: bytes = deflater.compress(data) + deflater.flush(mode)
    ended = mode == zlib.Z_FINISH
    return compressed + b"\x00" if ended else compressed.removesuffix(TAIL)


def sent(driver: RFC6455) -> list[tuple[int, bytes]]:
    """Return the frames that a driver sends."""
    return unframe(driver.data_to_send())
