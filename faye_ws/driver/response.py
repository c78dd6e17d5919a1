"""Reading the response to a request, as far as it matters what it says.

    interim responses* -> final head -> what it opens, or the beginning of a body

Invariants: every byte is read once, however they are cut into pieces; and all is bounded:
how many interim responses there are and their bytes, the length of a head, the bytes of a
body that are kept, and those that are read for it.
"""

from __future__ import annotations

import re
from collections.abc import Container

from ..constants import MAX_HEAD_LENGTH, MAX_INTERIM_RESPONSES
from ..errors import HandshakeError
from .http import Response, find_end_of_head, has_token, parse_response

# Bytes of a body that are kept.
_MAX_BODY = 1024
# Bytes that are read for them, extensions of chunks included: as many as for a head.
_MAX_BODY_READ = MAX_HEAD_LENGTH
# Digits that a length may have, before it is the length of nothing on earth.
_MAX_LENGTH_DIGITS = 19
# RFC 9112, 6.3: responses that are "terminated by the first empty line after the header
# fields, regardless of the header fields present in the message".
_BODILESS = frozenset((101, 204, 304))
# RFC 9112, 7.1: "chunk-size [ chunk-ext ] CRLF", up to its LF.
_CHUNK_LINE = re.compile(rb"([0-9A-Fa-f]{1,16})[ \t]*(?:;.*)?\r", re.DOTALL)


class BodyReader:
    """Reads how the body of a response begins.

    A body of which nothing but the end of the connection tells where it ends (RFC 9112, 6.3)
    is not waited for. What is no chunk ends one that comes in chunks.

    Args:
        response: the response, by its head.

    Attributes:
        data: what has come of the body, as far as it is kept.
        is_done: whether no more of it is wanted: that is all, or enough.
    """

    __slots__ = ("_is_after_chunk", "_is_chunked", "_left", "_line", "_unread", "data", "is_done")

    def __init__(self, response: Response) -> None:
        headers = response.headers
        length = headers.get("Content-Length") or ""
        is_length = length.isdecimal() and len(length) < _MAX_LENGTH_DIGITS
        self._is_chunked = has_token(headers.get("Transfer-Encoding"), "chunked")
        # Bytes that are to come of the body, or of a chunk.
        self._left = int(length) if is_length and not self._is_chunked else 0
        # What has come of the line before or behind a chunk.
        self._line = bytearray()
        self._is_after_chunk = False
        # Bytes that may still be read.
        self._unread = _MAX_BODY_READ
        self.data = bytearray()
        has_body = bool(self._is_chunked or self._left) and response.status not in _BODILESS
        self.is_done = not has_body

    def receive_data(self, data: bytes) -> None:
        """Receive bytes of the body, in pieces of any size; those behind it are dropped."""
        data = data[: self._unread]
        self._unread -= len(data)
        start = 0
        while start < len(data) and not self.is_done:
            start = self._take(data, start) if self._left else self._take_line(data, start)
        self.is_done |= not self._unread

    def _take(self, data: bytes, start: int) -> int:
        # Returns up to where the data was received.
        end = min(start + self._left, len(data))
        self._left -= end - start
        self.data += data[start : min(end, start + _MAX_BODY - len(self.data))]
        self._is_after_chunk = self._is_chunked
        self.is_done = len(self.data) == _MAX_BODY or not (self._left or self._is_chunked)
        return end

    def _take_line(self, data: bytes, start: int) -> int:
        end = data.find(b"\n", start)
        self._line += data[start:] if end < 0 else data[start:end]
        if end < 0:
            return len(data)
        line, self._line = self._line, bytearray()
        if self._is_after_chunk:
            self._is_after_chunk = False
            self.is_done = line != b"\r"
        else:
            match = _CHUNK_LINE.fullmatch(line)
            self._left = int(match[1], 16) if match else 0
            # 7.1: "complete when a chunk with a chunk-size of zero is received"; the trailers
            # behind it say nothing to us.
            self.is_done = not self._left
        return end + 1


class ResponseReader:
    """Reads the final response to a request, and how its body begins if it opens nothing.

    Args:
        opens: the statuses behind whose head another protocol begins.

    Attributes:
        is_done: whether all has come that is wanted.
        head: the bytes of the final head, or what has come of it.
        rest: what has come behind the head of a response that opens something.
    """

    __slots__ = (
        "_body",
        "_interim_count",
        "_interim_length",
        "_opens",
        "_response",
        "head",
        "is_done",
        "rest",
    )

    def __init__(self, opens: Container[int]) -> None:
        self._opens = opens
        self._interim_count = 0
        self._interim_length = 0
        self._response: Response | None = None
        self._body: BodyReader | None = None
        self.is_done = False
        self.head = b""
        self.rest = b""

    @property
    def response(self) -> Response | None:
        """The final response, with what has come of its body; None before it has come."""
        if self._response is None or self._body is None:
            return self._response
        return self._response._replace(body=bytes(self._body.data))

    def receive_data(self, data: bytes) -> None:
        """Receive bytes, in pieces of any size.

        Raises:
            HandshakeError: they are no response, or there is no end of it.
        """
        if self._body is None:
            data = self._receive_head(data)
        if self._body is not None:
            self._body.receive_data(data)
            self.is_done = self._body.is_done

    def _receive_head(self, data: bytes) -> bytes:
        """Receive bytes of heads, and return those behind the final one."""
        searched = len(self.head)
        self.head += data
        while (end := find_end_of_head(self.head, searched=searched)) is not None:
            response = parse_response(self.head[:end])
            rest = self.head[end:]
            if response.status == 101 or not 100 <= response.status < 200:
                self.head = self.head[:end]
                self._receive_final(response, rest)
                return rest
            self._pass_over(end)
            self.head = rest
            searched = 0
        return b""

    def _pass_over(self, length: int) -> None:
        # RFC 9110, 15.2: "A client MUST be able to parse one or more 1xx responses received
        # prior to a final response"; not any number of them.
        self._interim_count += 1
        self._interim_length += length
        if self._interim_count > MAX_INTERIM_RESPONSES:
            raise HandshakeError(f"more than {MAX_INTERIM_RESPONSES} interim responses")
        if self._interim_length > MAX_HEAD_LENGTH:
            raise HandshakeError(f"interim responses of more than {MAX_HEAD_LENGTH} bytes")

    def _receive_final(self, response: Response, rest: bytes) -> None:
        self._response = response
        if response.status in self._opens:
            self.is_done = True
            self.rest = rest
        else:
            # It often says more than the status.
            self._body = BodyReader(response)
