"""What has come of a stream of frames and is not a message yet.

Invariants: none of these holds more than the bytes that have come, whatever the pieces they
came in.
"""

from __future__ import annotations

import codecs
from typing import NamedTuple

from ..constants import OPCODE_BITS, Opcode
from .frames import FrameHeader

_utf8_decoder = codecs.getincrementaldecoder("utf-8")


class Unfinished:
    """A message of which the last byte has not come.

    Args:
        first: the first byte of its first frame.
        is_plain: whether no extension is going to change it. Then bytes of a text that are
            not UTF-8 are found at once.
    """

    __slots__ = ("_decoder", "data", "first")

    def __init__(self, first: int, is_plain: bool) -> None:
        self.first = first
        self.data = bytearray()
        self._decoder = _utf8_decoder() if self.is_text and is_plain else None

    @property
    def is_text(self) -> bool:
        """Whether it is a text."""
        return self.first & OPCODE_BITS == Opcode.TEXT

    def add(self, payload: bytes) -> None:
        """Add what has come of it.

        Raises:
            UnicodeDecodeError: it is a text, and this is not UTF-8.
        """
        decoder = self._decoder
        if decoder is not None:
            decoder.decode(payload)
            pending = decoder.getstate()[0]
            # Python waits for the third byte of what can only become a surrogate.
            if b"\xed\xa0" <= pending < b"\xee":
                raise UnicodeDecodeError("utf-8", pending, 0, 2, "a surrogate")
        self.data += payload


class Arriving(NamedTuple):
    """A frame of which the header has come and the payload, up to now, only in part."""

    header: FrameHeader
    received: int


class Unread:
    """Bytes that nobody has looked at, from `start` on, and whether they are the last."""

    __slots__ = ("data", "is_last", "start")

    def __init__(self, data: bytes, start: int) -> None:
        self.data: bytes | bytearray = data
        self.start = start
        self.is_last = False

    def __len__(self) -> int:
        return len(self.data) - self.start

    def add(self, data: bytes) -> None:
        """Add what has come behind them, unless they are the last."""
        if self.is_last:
            return
        if isinstance(self.data, bytes):
            self.data = bytearray(memoryview(self.data)[self.start :])
            self.start = 0
        self.data += data
