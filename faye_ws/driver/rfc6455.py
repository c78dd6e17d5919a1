"""RFC 6455 after the opening handshake: frames to messages and back, for both roles.

                  close() sent                      the peer's close told
    OPEN  ------------------------->  CLOSING  ---------------------------->  CLOSED
      \\                                                                        ^
       `------ the peer's close, a violation, the end of the bytes told -------'

Invariants: a frame's payload is taken in as it comes, so a text that is not UTF-8 and a
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
from ..errors import MessageTooBig, ProtocolError
from ..extensions.contract import Message as ExtensionMessage
from ..extensions.pipeline import Pipeline
from .base import Driver, check_max_length
from .closing import PeerClosed, check_close, fit_reason, parse_close, serialize_close
from .events import Close, Event, Message, Ping, Pong
from .frames import FrameHeader, check_control, parse_header, serialize_frame
from .incoming import Arriving, Unfinished, Unread, decode_text
from .masking import mask
from .prepared import PreparedMessage

_WHOLE_TEXT = FIN | Opcode.TEXT
_WHOLE = frozenset((_WHOLE_TEXT, FIN | Opcode.BINARY))
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
_CLOSED = ReadyState.CLOSED


class RFC6455(Driver):
    """The part of the drivers for RFC 6455 that servers and clients share.

    Args:
        max_length: the longest message accepted, in bytes.
    """

    __slots__ = (
        "_arriving",
        "_ending",
        "_input",
        "_owed_pong",
        "_pipeline",
        "_unfinished",
        "_unread",
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
        # What waits until the events before it are taken, and how much those weigh.
        self._unread: Unread | None = None
        self._untaken = 0
        self._arriving: Arriving | None = None
        self._unfinished: Unfinished | None = None
        self._ending: PeerClosed | ProtocolError | None = None
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
        """Take in bytes of frames; those behind the end of the connection are dropped.

        1.4: "After receiving a control frame indicating the connection should be closed,
        a peer discards any further data received."
        """
        if self._ending is not None or self.ready_state is _CLOSED:
            return
        if self._unread is not None:
            if not self._unread.is_last:
                self._unread.add(data)
            return
        if self._input:
            data = self._input + data
            self._input = b""
        self._receive_from(data, 0)

    def receive_eof(self) -> None:
        """Take in the end of the bytes: abnormal, unless a close frame came before it."""
        if self._unread is not None:
            self._unread.is_last = True
        elif self._ending is None and self.ready_state is not _CLOSED:
            self._end_input(PeerClosed(CloseCode.ABNORMAL_CLOSURE))

    def abort(self) -> None:
        """Take in the end of the bytes, and forget what they have to tell."""
        if self.ready_state is not _CLOSED and (self._events or self._unread):
            self._events = None
            self._end_input(PeerClosed(CloseCode.ABNORMAL_CLOSURE))
        self.receive_eof()

    def _end_input(self, ending: PeerClosed | ProtocolError) -> None:
        self._ending = ending
        self._input = b""
        self._unread = None
        self._arriving = None
        self._unfinished = None

    def _receive_from(self, data: bytes, start: int) -> None:
        try:
            if self._arriving is not None:
                start = self._receive_payload(self._arriving, data, start)
            self._receive_frames(data, start)
        except ProtocolError as error:
            self._end_input(error)

    def _receive_rest(self, unread: Unread) -> None:
        """Go on with what has waited until the events before it were taken."""
        self._unread = None
        self._receive_from(bytes(unread.data), unread.start)
        if unread.is_last:
            self.receive_eof()

    def _receive_frames(self, data: bytes, position: int) -> None:
        """Take in the frames that begin at `position`, as long as there is room for events."""
        masked, max_length, pipeline = self.is_server, self.max_length, self._pipeline
        rsv_bits = 0 if pipeline is None else pipeline.rsv_bits
        untaken = self._untaken
        while position < len(data):
            if untaken > _MAX_UNTAKEN:
                self._unread = Unread(data, position)
                break
            header = parse_header(data, position, masked, max_length, rsv_bits)
            if header is None:
                self._input = data[position:]
                break
            first, length, key, start = header
            end = start + length
            if end > len(data):
                self._keep(header, data, position)
                break
            payload = mask(key, data[start:end]) if key else data[start:end]
            position = end
            if pipeline is None and self._unfinished is None and first in _WHOLE:
                untaken += length + _EVENT_WEIGHT
                self._tell(Message(decode_text(payload) if first == _WHOLE_TEXT else payload))
            elif first & OPCODE_BITS >= _FIRST_CONTROL_OPCODE:
                untaken += length + _EVENT_WEIGHT
                self._receive_control(first, payload)
                if self._ending is not None:
                    return
            else:
                message = self._begin_frame(first, length)
                message.add(payload)
                untaken += self._end_frame(first, message)
        self._untaken = untaken

    def _keep(self, header: FrameHeader, data: bytes, position: int) -> None:
        """Keep what has come of a frame that is cut off."""
        first, length, _, start = header
        if first & OPCODE_BITS >= _FIRST_CONTROL_OPCODE:
            self._input = data[position:]
            return
        self._begin_frame(first, length)
        self._receive_payload(Arriving(header, 0), data, start)

    def _receive_payload(self, arriving: Arriving, data: bytes, start: int) -> int:
        """Take in more of the frame that arrives, and return where it ends."""
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
            self._untaken += self._end_frame(first, message)
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

    def _end_frame(self, first: int, message: Unfinished) -> int:
        """Tell the message if this was its last frame, and return how much that weighs."""
        if not first & FIN:
            return 0
        self._unfinished = None
        data = bytes(message.data)
        if self._pipeline is not None:
            data = self._extend_incoming(self._pipeline, message.first, data)
        self._tell(Message(decode_text(data) if message.is_text else data))
        return len(data) + _EVENT_WEIGHT

    def _extend_incoming(self, pipeline: Pipeline, first: int, data: bytes) -> bytes:
        message = ExtensionMessage.from_frame(first, data, self.max_length)
        data = pipeline.process_incoming(message).data
        if len(data) > self.max_length:
            raise MessageTooBig(f"a message over the limit of {self.max_length} bytes")
        return data

    def _receive_control(self, first: int, payload: bytes) -> None:
        if first == _PING:
            # 5.5.2: "Upon receipt of a Ping frame, an endpoint MUST send a Pong frame in
            # response, unless it already received a Close frame."
            self._tell(Ping(payload))
            if self._owed_pong is None:
                self._send_frame(_PONG, payload)
            else:
                self._owed_pong = [payload]
        elif first == _PONG:
            self._tell(Pong(payload))
        else:
            self._end_input(PeerClosed(*parse_close(payload)))

    # Telling

    def events(self) -> list[Event]:
        """Return what has happened since the last call; the end alone and last."""
        if self._unread is not None and self._events is None:
            self._receive_rest(self._unread)
        events = self._events
        if events is not None:
            self._events = None
            self._untaken = 0
            return events
        if self._ending is None or self.ready_state is _CLOSED:
            return []
        return [self._end(self._ending)]

    @property
    def is_ending(self) -> bool:
        """Whether the end is all that is left to tell: the next `events()` tells it."""
        if self._unread is not None and self._events is None:
            self._receive_rest(self._unread)
        return self._ending is not None and self._events is None

    def _end(self, ending: PeerClosed | ProtocolError) -> Close:
        self._ending = None
        if self._pipeline is not None:
            self._pipeline.close()
        if isinstance(ending, ProtocolError):
            reason = fit_reason(str(ending))
            self._send_close(ending.code, reason)
            self.ready_state = ReadyState.CLOSED
            return Close(ending.code, reason, was_clean=False, error=ending)
        was_clean = ending.code != CloseCode.ABNORMAL_CLOSURE
        if was_clean:
            # 5.5.1: "When sending a Close frame in response, the endpoint typically
            # echos the status code it received." The reason goes along.
            self._send_close(ending.code, ending.reason)
        self.ready_state = ReadyState.CLOSED
        return Close(ending.code, ending.reason, was_clean)

    # Sending

    def text(self, data: str) -> bool:
        """Send a text message (5.6). Return False, and send nothing, unless open.

        Raises:
            UnicodeEncodeError: the text has a lone surrogate, which UTF-8 has no bytes for.
        """
        return self._send_message(Opcode.TEXT, data.encode())

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
            self._end_input(error)
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

    def _send_close(self, code: int, reason: str = "") -> None:
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
            self._end_input(error)
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
