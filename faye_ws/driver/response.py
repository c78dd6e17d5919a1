"""Reading the response to a request: its head, and the beginning of its body.

    interim responses* -> final head -> another protocol, or a body

Invariants:
- Every byte is processed once, whatever pieces the bytes come in.
- There are limits for the number and the bytes of interim responses, the length of a head,
  and the bytes of a body that are kept, and that are read.
"""

from __future__ import annotations

import re
from collections.abc import Container

from ..constants import MAX_HEAD_LENGTH, MAX_INTERIM_RESPONSES
from ..errors import HandshakeError
from .http import Response, find_end_of_head, has_token, parse_response

# How many bytes of a body are kept.
_MAX_BODY = 1024
# How many are read, the framing of chunks included; as many as for a head.
_MAX_BODY_READ = MAX_HEAD_LENGTH
# A Content-Length with as many digits is ignored: Python refuses to convert very long ones.
_MAX_LENGTH_DIGITS = 19
# RFC 9112, 6.3: responses that are "terminated by the first empty line after the header
# fields, regardless of the header fields present in the message".
_BODILESS = frozenset((101, 204, 304))
# RFC 9112, 7.1: "chunk-size [ chunk-ext ] CRLF", up to its LF.
_CHUNK_LINE = re.compile(rb"([0-9A-Fa-f]{1,16})[ \t]*(?:;.*)?\r", re.DOTALL)


class BodyReader:
    """Reads the beginning of a response's body.

    A body that only the end of the connection ends (RFC 9112, 6.3) counts as empty. A
    malformed chunk ends a chunked body.

    Args:
        response: the response's head.

    Attributes:
        data: the bytes of the body that are kept.
        is_done: whether the body is complete, or enough of it is there.
    """

    __slots__ = (
        "_body_remaining",
        "_is_after_chunk",
        "_is_chunked",
        "_line",
        "_read_remaining",
        "data",
        "is_done",
    )

    def __init__(self, response: Response) -> None:
        headers = response.headers
        length = headers.get("Content-Length") or ""
        is_length = length.isdecimal() and len(length) < _MAX_LENGTH_DIGITS
        self._is_chunked = has_token(headers.get("Transfer-Encoding"), "chunked")
        # Bytes that are still to come of the body, or of the current chunk.
        self._body_remaining = int(length) if is_length and not self._is_chunked else 0
        # The incomplete line before or behind a chunk.
        self._line = bytearray()
        self._is_after_chunk = False
        # Bytes that may still be read.
        self._read_remaining = _MAX_BODY_READ
        self.data = bytearray()
        has_length = bool(self._is_chunked or self._body_remaining)
        has_body = has_length and response.status not in _BODILESS
        self.is_done = not has_body

    def receive_data(self, data: bytes) -> None:
        """Receive bytes of the body, in pieces of any size; those behind it are dropped."""
        data = data[: self._read_remaining]
        self._read_remaining -= len(data)
        start = 0
        while start < len(data) and not self.is_done:
            receive = self._receive_body if self._body_remaining else self._receive_chunk_line
            start = receive(data, start)
        self.is_done |= not self._read_remaining

    def _receive_body(self, data: bytes, start: int) -> int:
        """Receive bytes of the body or the chunk from `start`; return where they end."""
        end = min(start + self._body_remaining, len(data))
        self._body_remaining -= end - start
        self.data += data[start : min(end, start + _MAX_BODY - len(self.data))]
        self._is_after_chunk = self._is_chunked
        is_complete = not (self._body_remaining or self._is_chunked)
        self.is_done = len(self.data) == _MAX_BODY or is_complete
        return end

    def _receive_chunk_line(self, data: bytes, start: int) -> int:
        """Receive bytes of the line before or behind a chunk; return where they end."""
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
            self._body_remaining = int(match[1], 16) if match else 0
            # 7.1: "complete when a chunk with a chunk-size of zero is received". Trailers are
            # not read.
            self.is_done = not self._body_remaining
        return end + 1


class ResponseReader:
    """Reads the final response to a request, up to the beginning of its body.

    Args:
        opens: the statuses of heads that another protocol follows, not a body.

    Attributes:
        is_done: whether nothing more is to be read.
        head: the bytes of the final head received so far.
        rest: the bytes received behind the head of a response that opens another protocol.
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
        """The final response with its body so far; None until its head is complete."""
        if self._response is None or self._body is None:
            return self._response
        return self._response._replace(body=bytes(self._body.data))

    def receive_data(self, data: bytes) -> None:
        """Receive bytes, in pieces of any size.

        Raises:
            HandshakeError: the response is malformed, or over a limit.
        """
        if self._body is None:
            data = self._receive_head(data)
        if self._body is not None:
            self._body.receive_data(data)
            self.is_done = self._body.is_done

    def _receive_head(self, data: bytes) -> bytes:
        """Receive bytes of heads; return those behind the final one."""
        searched = len(self.head)
        self.head += data
        while (end := find_end_of_head(self.head, searched=searched)) is not None:
            response = parse_response(self.head[:end])
            rest = self.head[end:]
            if response.status == 101 or not 100 <= response.status < 200:
                self.head = self.head[:end]
                self._receive_final(response, rest)
                return rest
            self._count_interim(end)
            self.head = rest
            searched = 0
        return b""

    def _count_interim(self, length: int) -> None:
        # RFC 9110, 15.2: "A client MUST be able to parse one or more 1xx responses received
        # prior to a final response". It need not parse any number of them.
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
            # The body often explains the status.
            self._body = BodyReader(response)
