"""The drafts before RFC 6455, at the server's end: hixie-75 and hixie-76.

    00 text FF                   a text message
    01-7F anything FF            nothing yet: skipped
    80-FF length payload         nothing yet: skipped; the length is in base 128
    FF 00                        the closing frame, in hixie-76

There are no binary messages, no pings, no extensions, and no codes to close with: a close
that was clean is a 1005. Sections named here are those of hixie-76.

Invariants: frames are found by searching, not byte by byte; and of a frame no
more is kept than its text, which is never longer than `max_length`.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..constants import (
    DEFAULT_MAX_LENGTH,
    HIXIE_75,
    HIXIE_76,
    CloseCode,
    Opcode,
    ReadyState,
)
from ..errors import MessageTooBig, ProtocolError
from .answering import Answering, find_answer
from .base import check_max_length
from .closing import check_close, fit_reason
from .events import Close, Message
from .handshake import Origins, check_origin, check_terms, check_upgrade
from .hixie_handshake import (
    KEY_LENGTH,
    accept_response,
    choose_protocol,
    parse_keys,
    solve_challenge,
)
from .http import HeaderFields, Request, Response
from .prepared import PreparedMessage

_TEXT = 0x00
_HAS_LENGTH = 0x80
_CLOSING = 0xFF
_END_OF_TEXT = b"\xff"
_CLOSING_FRAME = b"\xff\x00"
# Bytes that the length of a frame may have: with seven bits each, enough for any length.
_MAX_LENGTH_BYTES = 10
# RFC 6455, 7.1.5: without a code in it, a close is a 1005; without a close, a 1006.
_CLEAN_CLOSE = Close(CloseCode.NO_STATUS_RECEIVED, was_clean=True)
_ABNORMAL_CLOSE = Close(CloseCode.ABNORMAL_CLOSURE)


class Hixie75(Answering):
    """A server's driver for a request of hixie-75 whose head has been read.

    Args:
        request: the request head.
        url: that of the connection, as the client has it.

    The other options and the attribute `refusal` are those of `RequestServer`.
    """

    __slots__ = (
        "_answer",
        "_kept",
        "_kind",
        "_left",
        "max_length",
    )

    version = HIXIE_75
    is_text_only = True

    def __init__(
        self,
        request: Request,
        url: str,
        *,
        protocols: Sequence[str] = (),
        headers: HeaderFields = (),
        origins: Origins = None,
        max_length: int = DEFAULT_MAX_LENGTH,
    ) -> None:
        super().__init__()
        terms = check_terms(protocols, headers, origins)
        self.max_length = check_max_length(max_length)
        # Of the frame that arrives: its type byte, or None between frames; how many bytes
        # may, or are to, come yet, or None until its length is known; and what is kept of
        # it, which is its text, or its length.
        self._kind: int | None = None
        self._left: int | None = None
        self._kept = bytearray()

        def accept() -> Response:
            check_upgrade(request)
            check_origin(request, terms.origins, url.startswith("wss:"))
            self._check_keys(request)
            self.protocol = choose_protocol(request, self.version, terms.protocols)
            return accept_response(request, self.version, url, self.protocol, terms.headers)

        self._answer = find_answer(accept)

    def _check_keys(self, request: Request) -> None:
        """Check what the handshake has in it beside header fields: in this draft, nothing."""

    # Receiving

    def receive_data(self, data: bytes) -> None:
        """Receive bytes of frames; those behind the end of the connection are dropped."""
        start = 0
        try:
            while start < len(data) and self._close is None:
                start = self._receive_from(data, start)
        except ProtocolError as error:
            self._end(Close(error.code, fit_reason(str(error)), error=error))

    def receive_eof(self) -> None:
        """Receive the end of the bytes: between frames it is how clients of this draft close."""
        if self._close is None:
            is_clean = self._kind is None and self.ready_state is not ReadyState.CONNECTING
            self._end(_CLEAN_CLOSE if is_clean else _ABNORMAL_CLOSE)

    def _end(self, close: Close) -> None:
        super()._end(close)
        self._kept.clear()

    def _receive_from(self, data: bytes, start: int) -> int:
        # Returns up to where the data was received.
        if self._kind is None:
            self._kind = data[start]
            self._left = self.max_length if self._kind < _HAS_LENGTH else None
            return start + 1
        if self._left is None:
            return self._receive_length(data, start)
        if self._kind < _HAS_LENGTH:
            return self._receive_text(data, start, self._left)
        return self._skip(data, start, self._left)

    def _receive_text(self, data: bytes, start: int, left: int) -> int:
        found = data.find(_END_OF_TEXT, start)
        end = len(data) if found < 0 else found
        self._left = left - (end - start)
        if self._left < 0:
            raise self._too_big()
        if self._kind == _TEXT:
            self._kept += data[start:end]
        if found < 0:
            return end
        if self._kind == _TEXT:
            # 5.4 lets servers do so with what is no UTF-8; clients have to (4.3).
            self._report(Message(self._kept.decode(errors="replace")))
            self._kept = bytearray()
        self._kind = None
        return end + 1

    def _receive_length(self, data: bytes, start: int) -> int:
        # 5.3: seven bits of each byte, up to the first byte whose eighth is not set.
        self._kept.append(data[start])
        if data[start] >= 0x80:
            if len(self._kept) == _MAX_LENGTH_BYTES:
                raise ProtocolError(f"a frame's length of more than {_MAX_LENGTH_BYTES} bytes")
            return start + 1
        length = 0
        for byte in self._kept:
            length = length * 128 + (byte & 0x7F)
        self._kept.clear()
        if length > self.max_length:
            raise self._too_big()
        self._left = length
        if not length:
            self._receive_empty_frame(self._kind)
            self._kind = None
        return start + 1

    def _skip(self, data: bytes, start: int, left: int) -> int:
        end = min(start + left, len(data))
        self._left = left - (end - start)
        if not self._left:
            self._kind = None
        return end

    def _receive_empty_frame(self, kind: int | None) -> None:
        """Receive a frame that says that it has no payload: in this draft, nothing."""

    def _too_big(self) -> MessageTooBig:
        return MessageTooBig(f"a message over the limit of {self.max_length} bytes")

    # Sending

    def text(self, data: str) -> bool:
        """Send a text message. Return False, and send nothing, unless open.

        Raises:
            UnicodeEncodeError: the text has a lone surrogate, which UTF-8 has no bytes for.
        """
        return self._send_text(data.encode())

    def send_prepared(self, message: PreparedMessage) -> bool:
        """Send a message that goes to many connections. Return False unless open and text."""
        return message.opcode is Opcode.TEXT and self._send_text(message.data)

    def _send_text(self, data: bytes) -> bool:
        if self.ready_state is not ReadyState.OPEN:
            return False
        # No byte of UTF-8 is an FF.
        self._send(b"\x00" + data + _END_OF_TEXT)
        return True

    # Closing

    def close(self, code: int = CloseCode.NORMAL_CLOSURE, reason: str = "") -> bool:
        """Close; the peer does not get to know the code and the reason."""
        check_close(code, reason, True)
        return self._begin_closing()

    def leave(self, code: int, reason: str = "") -> bool:
        """Close because of something at our end. Return False unless open."""
        return self._begin_closing()

    def _begin_closing(self) -> bool:
        if self.ready_state is not ReadyState.OPEN:
            return False
        self.ready_state = ReadyState.CLOSING
        self._send_closing_frame()
        return True

    def _send_closing(self, close: Close) -> None:
        self._begin_closing()

    def _send_closing_frame(self) -> None:
        # In this draft that is to end TCP, so there is nothing to wait for.
        if self._close is None:
            self._end(_CLEAN_CLOSE)


class Hixie76(Hixie75):
    """A server's driver for a request of hixie-76 whose head has been read.

    The eight bytes behind the head are a part of the handshake. A proxy may hold them back
    until it has seen the head of our response, so that goes out before them, and the
    connection opens when they have come and were answered.
    """

    __slots__ = ("_keys",)

    version = HIXIE_76

    def _check_keys(self, request: Request) -> None:
        self._keys = parse_keys(request)

    def _open(self) -> None:
        """Wait for the last key."""

    def receive_data(self, data: bytes) -> None:
        """Receive bytes: the last key, then frames."""
        if self.ready_state is ReadyState.CONNECTING and self._close is None:
            missing = KEY_LENGTH - len(self._kept)
            self._kept += data[:missing]
            data = data[missing:]
            if len(self._kept) == KEY_LENGTH:
                self._send(solve_challenge(self._keys, bytes(self._kept)))
                self._kept.clear()
                super()._open()
        super().receive_data(data)

    def receive_eof(self) -> None:
        """Receive the end of the bytes: abnormal, unless a closing frame came before it."""
        if self._close is None:
            self._end(_ABNORMAL_CLOSE)

    def _receive_empty_frame(self, kind: int | None) -> None:
        # 5.3: a frame of the type FF and the length 0 is the client's closing handshake.
        if kind == _CLOSING:
            self._end(_CLEAN_CLOSE)

    def leave(self, code: int, reason: str = "") -> bool:
        """Close because of something at our end. Return False unless open, or about to."""
        if self.ready_state is ReadyState.CONNECTING and not self._answer.data:
            self.receive_eof()
            return True
        return super().leave(code, reason)

    def _send_closing_frame(self) -> None:
        self._send(_CLOSING_FRAME)
