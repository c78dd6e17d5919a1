"""Reading an event stream (WHATWG HTML, 9.2.6), without I/O.

Invariants:
- The events do not depend on the pieces that the bytes come in.
- Lines and events are read in linear time, and are at most `max_length` bytes long.
- The parser never holds more bytes than the current event and line have.
- An event that the end of the stream cuts off is dropped.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_BOM = b"\xef\xbb\xbf"
_LF = 0x0A
_END_OF_LINE = re.compile(b"\r\n|\r|\n")


class StreamEvent(NamedTuple):
    """An event of a stream: its type, its data, and the last event ID after it."""

    type: str
    data: str
    last_event_id: str


class EventTooLong(ValueError):
    """A line, or the data of an event, longer than `max_length`."""


class Parser:
    """Parses one stream.

    Args:
        last_event_id: that of the previous stream, which lasts until this one sets another.
        max_length: how many bytes a line, and the data of an event, may have.

    Attributes:
        last_event_id: the last event ID, after the last event.
        retry: the last reconnection time that the stream has set, in seconds, or None.
    """

    def __init__(self, last_event_id: str = "", max_length: int = 2**26 - 1) -> None:
        self.last_event_id = last_event_id
        self.retry: float | None = None
        self._max_length = max_length
        # The incomplete last line.
        self._line = bytearray()
        self._is_first = True
        self._after_cr = False
        # The buffers of 9.2.6: data, type, and the ID if one was set since the last event.
        self._data = bytearray()
        self._type = b""
        self._id: bytes | None = None

    def receive_data(self, data: bytes) -> list[StreamEvent]:
        """Receive bytes, in pieces of any size, and return the events that they complete.

        Raises:
            EventTooLong: a line or an event is too long; the parser can't go on.
        """
        events: list[StreamEvent] = []
        start = 0
        if self._after_cr and data:
            # The LF of a CRLF whose CR has already ended the line.
            self._after_cr = False
            start = int(data[0] == _LF)
        for end in _END_OF_LINE.finditer(data, start):
            self._end_line(data[start : end.start()], events)
            start = end.end()
        # A CR ends its line at once, without waiting for the LF that may follow.
        self._after_cr = data.endswith(b"\r") if data else self._after_cr
        rest = data[start:]
        self._check_line(rest)
        self._line += rest
        return events

    def _check_line(self, piece: bytes) -> None:
        if len(self._line) + len(piece) > self._max_length:
            raise EventTooLong(f"a line of more than {self._max_length} bytes")

    def _end_line(self, line: bytes, events: list[StreamEvent]) -> None:
        self._check_line(line)
        if self._line:
            line = bytes(self._line) + line
            self._line = bytearray()
        if self._is_first:
            # 9.2.5: "stream = [ bom ] *event": one BOM, at the beginning.
            self._is_first = False
            line = line.removeprefix(_BOM)
        if not line:
            self._dispatch(events)
        elif not line.startswith(b":"):
            name, _, value = line.partition(b":")
            self._process_field(name, value.removeprefix(b" "))

    def _process_field(self, name: bytes, value: bytes) -> None:
        if name == b"data":
            self._data += value
            self._data += b"\n"
            if len(self._data) > self._max_length + 1:
                raise EventTooLong(f"an event of more than {self._max_length} bytes")
        elif name == b"event":
            self._type = value
        elif name == b"id":
            # "If the field value does not contain U+0000 NULL [...]. Otherwise, ignore".
            if b"\0" not in value:
                self._id = value
        elif name == b"retry" and value.isdigit():
            # "If the field value consists of only ASCII digits". A number of 16 digits or
            # more, which is 30,000 years or more, is ignored.
            digits = value.lstrip(b"0") or b"0"
            self.retry = int(digits) / 1000 if len(digits) < 16 else self.retry

    def _dispatch(self, events: list[StreamEvent]) -> None:
        if self._id is not None:
            self.last_event_id = _decode(self._id)
            self._id = None
        type, self._type = self._type, b""
        # "If the data buffer is an empty string": after a data field there is an LF in it.
        if not self._data:
            return
        data, self._data = self._data, bytearray()
        del data[-1:]
        events.append(StreamEvent(_decode(type) or "message", _decode(data), self.last_event_id))


def _decode(value: bytes | bytearray) -> str:
    # 9.2.6: "Streams must be decoded using the UTF-8 decode algorithm." No character has the
    # byte of a line break in it, so lines can be decoded one by one.
    return value.decode("utf-8", errors="replace")
