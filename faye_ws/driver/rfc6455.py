"""RFC 6455 after the opening handshake: frames to messages and back, for both roles.

             close() or leave()                 answer_close()
    OPEN  ------------------------>  CLOSING  ------------------>  CLOSED
      \\                                                             ^
       `---------------------- answer_close() ----------------------'

Invariants: a frame's payload is looked at as it comes, so a text that is not UTF-8 and a
message that grows too long are refused at the first byte that shows it, and what is kept of
an unfinished message is never more than its bytes. While the events that nobody has taken
weigh enough, the bytes behind them are kept as they came: a compressed message is inflated
when there is room for it.
"""

from __future__ import annotations

import os

from ..constants import (
    DEFAULT_MAX_LENGTH,
    FIN,
    HYBI_13,
    OPCODE_BITS,
    RSV_BITS,
    CloseCode,
    Opcode,
    ReadyState,
)
from ..errors import InvalidPayloadData, MessageTooBig, ProtocolError
from ..extensions.contract import Message as ExtensionMessage
from ..extensions.pipeline import Pipeline
from .base import Driver, check_max_length
from .closing import check_close, fit_reason, parse_close, serialize_close
from .events import Close, Event, Message, Ping, Pong
from .frames import FrameHeader, check_control, parse_header, serialize_frame
from .incoming import Arriving, Unfinished, Unread
from .masking import mask
from .prepared import PreparedMessage

_TEXT = FIN | Opcode.TEXT
_BINARY = FIN | Opcode.BINARY
_WHOLE = frozenset((_TEXT, _BINARY))
_PING = FIN | Opcode.PING
_PONG = FIN | Opcode.PONG
_CLOSE = FIN | Opcode.CLOSE
_FIRST_CONTROL_OPCODE = int(Opcode.CLOSE)
# Events that nobody has taken may weigh this much before the bytes behind them have to wait.
# Each weighs its payload's length and what Python needs to hold it, so hardly any read of 64
# KiB weighs as much unless it is compressed.
_MAX_UNTAKEN = 2**18
_EVENT_WEIGHT = 64
# Members of an enum are slow to look up, and these are looked up for every message.
_OPEN = ReadyState.OPEN


class RFC6455(Driver):
    """The part of the drivers for RFC 6455 that servers and clients share.

    Args:
        max_length: the longest message accepted, in bytes.
    """

    __slots__ = (
        "_arriving",
        "_input",
        "_owed_pong",
        "_pipeline",
        "_unfinished",
        "_untaken",
        "max_length",
    )

    version = HYBI_13
    is_server: bool

    def __init__(self, *, max_length: int = DEFAULT_MAX_LENGTH) -> None:
        super().__init__()
        self.max_length = check_max_length(max_length)
        # The beginning of a frame: a part of its header, or of a control frame.
        self._input = b""
        # How much the events weigh that nobody has taken.
        self._untaken = 0
        self._arriving: Arriving | None = None
        self._unfinished: Unfinished | None = None
        self._pipeline: Pipeline | None = None
        # While pongs are held: the one that is owed, if any.
        self._owed_pong: list[bytes] | None = None

    def _use(self, pipeline: Pipeline | None) -> None:
        """Let messages pass through the extensions that were negotiated."""
        if pipeline is not None:
            self._pipeline = pipeline
            self.extensions = pipeline.header

    # Receiving

    def receive_data(self, data: bytes) -> None:
        """Receive bytes of frames; those behind the end of the connection are dropped.

        1.4: "After receiving a control frame indicating the connection should be closed,
        a peer discards any further data received."
        """
        if self._close is not None:
            return
        if self.unread is not None:
            self.unread.add(data)
            return
        if self._input:
            data = self._input + data
            self._input = b""
        self._receive_frames(data, 0)

    def receive_eof(self) -> None:
        """Receive the end of the bytes: abnormal, unless a close frame came before it."""
        if self.unread is not None:
            self.unread.is_last = True
        elif self._close is None:
            self._end(Close(CloseCode.ABNORMAL_CLOSURE))

    def events(self) -> list[Event]:
        """Return what has happened since the last call; see `Driver.events`."""
        if self._events is None and self.unread is not None:
            self._receive_unread(self.unread)
        events = self._events
        if events is None:
            return []
        self._events = None
        self._untaken = 0
        return events

    def _receive_unread(self, unread: Unread) -> None:
        self.unread = None
        self._receive_frames(bytes(unread.data), unread.start)
        if unread.is_last:
            self.receive_eof()

    def _end(self, close: Close) -> None:
        super()._end(close)
        self._input = b""
        self._arriving = None
        self._unfinished = None

    def _fail(self, error: ProtocolError) -> None:
        if self._close is None:
            self._end(Close(error.code, fit_reason(str(error)), error=error))

    def _receive_frames(self, data: bytes, position: int) -> None:
        """Receive what stands from `position` on, as long as there is room for events."""
        try:
            if self._arriving is not None:
                position = self._receive_payload(self._arriving, data, position)
            masked, max_length, pipeline = self.is_server, self.max_length, self._pipeline
            rsv_bits = 0 if pipeline is None else pipeline.rsv_bits
            while position < len(data):
                if self._untaken > _MAX_UNTAKEN:
                    self.unread = Unread(data, position)
                    return
                header = parse_header(data, position, masked, max_length, rsv_bits)
                if header is None:
                    self._input = data[position:]
                    return
                first, length, key, start = header
                end = start + length
                if end > len(data):
                    self._keep(header, data, position)
                    return
                payload = mask(key, data[start:end]) if key else data[start:end]
                position = end
                if pipeline is None and self._unfinished is None and first in _WHOLE:
                    self._untaken += length + _EVENT_WEIGHT
                    event = Message(payload.decode() if first == _TEXT else payload)
                    if self._events is None:
                        self._events = [event]
                    else:
                        self._events.append(event)
                elif first & OPCODE_BITS >= _FIRST_CONTROL_OPCODE:
                    self._receive_control(first, payload)
                    if self._close is not None:
                        return
                else:
                    message = self._begin_frame(first, length)
                    message.add(payload)
                    self._end_frame(first, message)
        except UnicodeDecodeError:
            self._fail(InvalidPayloadData("a text message that is not UTF-8"))
        except ProtocolError as error:
            self._fail(error)

    def _keep(self, header: FrameHeader, data: bytes, position: int) -> None:
        """Keep what has come of a frame that is cut off."""
        first, length, _, start = header
        if first & OPCODE_BITS >= _FIRST_CONTROL_OPCODE:
            self._input = data[position:]
            return
        self._begin_frame(first, length)
        self._receive_payload(Arriving(header, 0), data, start)

    def _receive_payload(self, arriving: Arriving, data: bytes, start: int) -> int:
        """Receive more of the frame that arrives, and return where it ends."""
        (first, length, key, _), received = arriving
        payload = data[start : start + length - received]
        end = start + len(payload)
        if key:
            turn = received % 4
            payload = mask(key[turn:] + key[:turn] if turn else key, payload)
        received += len(payload)
        message = self._unfinished
        assert message is not None
        message.add(payload)
        if received < length:
            self._arriving = Arriving(arriving.header, received)
        else:
            self._arriving = None
            self._end_frame(first, message)
        return end

    def _begin_frame(self, first: int, length: int) -> Unfinished:
        opcode = first & OPCODE_BITS
        message = self._unfinished
        if opcode != Opcode.CONTINUATION:
            # 5.4: "The fragments of one message MUST NOT be interleaved between the
            # fragments of another message".
            if message is not None:
                raise ProtocolError("a new message before the last one is finished")
            message = self._unfinished = Unfinished(first, self._pipeline is None)
        elif message is None:
            raise ProtocolError("a continuation frame with no message to continue")
        elif first & RSV_BITS:
            # The bits that extensions for messages use belong to the first frame (RFC
            # 7692, 6: "MUST NOT set [...] on non-first fragments").
            raise ProtocolError("a continuation frame with a reserved bit set")
        if len(message.data) + length > self.max_length:
            raise MessageTooBig(f"a message over the limit of {self.max_length} bytes")
        return message

    def _end_frame(self, first: int, message: Unfinished) -> None:
        """Report the message if this was its last frame."""
        if not first & FIN:
            return
        self._unfinished = None
        data = bytes(message.data)
        if self._pipeline is not None:
            data = self._extend_incoming(self._pipeline, message.first, data)
        self._untaken += len(data) + _EVENT_WEIGHT
        self._report(Message(data.decode() if message.is_text else data))

    def _extend_incoming(self, pipeline: Pipeline, first: int, data: bytes) -> bytes:
        message = ExtensionMessage.from_frame(first, data, self.max_length)
        data = pipeline.process_incoming(message).data
        if len(data) > self.max_length:
            raise MessageTooBig(f"a message over the limit of {self.max_length} bytes")
        return data

    def _receive_control(self, first: int, payload: bytes) -> None:
        self._untaken += len(payload) + _EVENT_WEIGHT
        if first == _PING:
            # 5.5.2: "Upon receipt of a Ping frame, an endpoint MUST send a Pong frame in
            # response, unless it already received a Close frame."
            self._report(Ping(payload))
            if self._owed_pong is None:
                self._send_frame(_PONG, payload)
            else:
                self._owed_pong = [payload]
        elif first == _PONG:
            self._report(Pong(payload))
        else:
            self._end(Close(*parse_close(payload), was_clean=True))

    # Sending

    def text(self, data: str) -> bool:
        """Send a text message (5.6). Return False, and send nothing, unless open.

        Raises:
            UnicodeEncodeError: the text has a lone surrogate, which UTF-8 has no bytes for.
        """
        payload = data.encode()
        if self._pipeline is not None or not self.is_server or self.ready_state is not _OPEN:
            return self._send_message(Opcode.TEXT, payload)
        # What servers do most of the time, without calls that can be spared.
        frame = serialize_frame(_TEXT, payload)
        if self._output is None:
            self._output = [frame]
        else:
            self._output.append(frame)
        return True

    def binary(self, data: bytes) -> bool:
        """Send a binary message (5.6). Return False, and send nothing, unless open."""
        return self._send_message(Opcode.BINARY, data)

    def send_prepared(self, message: PreparedMessage) -> bool:
        """Send a message that goes to many connections. Return False unless open."""
        if self.ready_state is not _OPEN:
            return False
        try:
            frame = message.frame_for(self._pipeline)
        except ProtocolError as error:
            self._fail(error)
            return False
        if frame is None:
            return self._send_message(message.opcode, message.data)
        if self._pipeline is not None:
            self._pipeline.note_shared(frame.message)
        if self.is_server:
            self._send(frame.data)
            return True
        # A client's frames are masked, each with a key of its own.
        return self._send_frame(FIN | frame.message.first, frame.message.data)

    def ping(self, data: bytes = b"") -> bool:
        """Send a ping (5.5.2) of at most 125 bytes. Return False unless open."""
        return self._send_frame(_PING, check_control(data))

    def pong(self, data: bytes = b"") -> bool:
        """Send a pong that no ping asked for (5.5.3). Return False unless open."""
        return self._send_frame(_PONG, check_control(data))

    def hold_pongs(self, hold: bool) -> None:
        """While `hold`, answer no pings; afterwards, the last of those that came.

        5.5.3: an endpoint "MAY elect to send a Pong frame for only the most recently
        processed Ping frame".
        """
        if hold:
            self._owed_pong = self._owed_pong or []
            return
        owed, self._owed_pong = self._owed_pong or [], None
        for payload in owed:
            self._send_frame(_PONG, payload)

    def close(self, code: int = CloseCode.NORMAL_CLOSURE, reason: str = "") -> bool:
        """Begin the closing handshake (7.1.2); see `closing.check_close` for the codes."""
        check_close(code, reason, self.is_server)
        if self.ready_state is not _OPEN:
            return False
        self._send_close(code, reason)
        return True

    def leave(self, code: int, reason: str = "") -> bool:
        """Close because of something at our end: 1011 or 1001 (7.4.1). Return False unless open."""
        if self.ready_state is not _OPEN:
            return False
        self._send_close(code, fit_reason(reason))
        return True

    def answer_close(self) -> bool:
        """Answer the event `Close` and be closed; see `Driver.answer_close`."""
        is_answered = super().answer_close()
        if is_answered and self._pipeline is not None:
            self._pipeline.close()
        return is_answered

    def _send_closing(self, close: Close) -> None:
        # 5.5.1: "When sending a Close frame in response, the endpoint typically echos the
        # status code it received." The reason goes along.
        self._send_close(close.code, close.reason)

    def _send_close(self, code: int, reason: str) -> None:
        # 5.5.1: "The application MUST NOT send any more data frames after sending a
        # Close frame."
        if self._send_frame(_CLOSE, serialize_close(code, reason)):
            self.ready_state = ReadyState.CLOSING

    def _send_message(self, opcode: int, data: bytes) -> bool:
        if self._pipeline is None or self.ready_state is not _OPEN:
            return self._send_frame(FIN | opcode, data)
        try:
            message = self._pipeline.process_outgoing(ExtensionMessage(opcode, data))
        except ProtocolError as error:
            self._fail(error)
            return False
        return self._send_frame(FIN | message.first, message.data)

    def _send_frame(self, first: int, payload: bytes) -> bool:
        if self.ready_state is not _OPEN:
            return False
        # 5.3: a client masks with a key that "MUST be derived from a strong source of
        # entropy", new for each frame.
        key = b"" if self.is_server else os.urandom(4)
        self._send(serialize_frame(first, payload, key))
        return True
