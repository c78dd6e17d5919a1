"""permessage-deflate (RFC 7692): messages compressed with DEFLATE.

Of the four parameters two are about each end's compressor: how far back it may refer
(`*_max_window_bits`), and whether it forgets each message (`*_no_context_takeover`). What
we compress with is our *own* side, what we inflate with the *peer's*.

A window of 15 bits costs a compressor 256 KiB and an inflater 44 KiB, so both exist only
while they are needed: a compressor from the first message that is long enough until the
connection closes, and where no context is taken over, for the length of a message only.

The law of this file: no more is inflated than a message may have, whatever it was
deflated from.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any

from ..errors import InvalidPayloadData, MessageTooBig
from .contract import Message
from .header import Parameters

# 7.2.1: the end of an empty stored block, which every compressed message has, and which
# is left away.
_TAIL = b"\x00\x00\xff\xff"
# What stands for nothing at all (7.2.3.6).
_EMPTY = b"\x00"

_MAX_WINDOW_BITS = 15
# zlib can't compress with a window of 8 bits as a raw stream: it would silently take 9.
_MIN_WINDOW_BITS = 9
# Streams of one message; nobody is known to end more than one for each frame.
_MAX_STREAMS = 1024
_PIECE = 2**12
_FLAGS = ("server_no_context_takeover", "client_no_context_takeover")
_WINDOWS = ("server_max_window_bits", "client_max_window_bits")


class PermessageDeflate:
    """The extension permessage-deflate; pass it in `extensions=[PermessageDeflate()]`.

    Args:
        level: how hard to compress, 0 to 9; -1 is zlib's default, 6.
        mem_level: how much memory our compressor may use, 1 to 9.
        strategy: one of zlib's `Z_*` strategies.
        no_context_takeover: compress each message by itself: worse, but with no memory
            between messages.
        max_window_bits: the size of our compressor's window, 9 to 15.
        request_no_context_takeover: ask the peer to compress each message by itself.
        request_max_window_bits: ask the peer for a window of at most that size, 8 to 15; a
            server can't ask a client that does not say that it understands.
        min_size: messages shorter than that many bytes are not compressed.

    Raises:
        ValueError: a number is out of its range.
    """

    name = "permessage-deflate"
    type = "permessage"
    rsv1 = True
    rsv2 = False
    rsv3 = False

    def __init__(
        self,
        *,
        level: int = zlib.Z_DEFAULT_COMPRESSION,
        mem_level: int = zlib.DEF_MEM_LEVEL,
        strategy: int = zlib.Z_DEFAULT_STRATEGY,
        no_context_takeover: bool = False,
        max_window_bits: int | None = None,
        request_no_context_takeover: bool = False,
        request_max_window_bits: int | None = None,
        min_size: int = 64,
    ) -> None:
        self.level = _check_range("level", level, -1, 9)
        self.mem_level = _check_range("mem_level", mem_level, 1, 9)
        self.strategy = _check_range("strategy", strategy, 0, 4)
        self.no_context_takeover = no_context_takeover
        self.max_window_bits = _check_optional("max_window_bits", max_window_bits, _MIN_WINDOW_BITS)
        self.request_no_context_takeover = request_no_context_takeover
        self.request_max_window_bits = _check_optional(
            "request_max_window_bits", request_max_window_bits, 8
        )
        self.min_size = _check_range("min_size", min_size, 0, 2**63)

    def create_client_session(self) -> ClientSession:
        """Return a session that offers what the options say."""
        return ClientSession(self)

    def create_server_session(self, offers: Sequence[dict[str, Any]]) -> ServerSession | None:
        """Return a session for the first offer that is acceptable, or None."""
        for params in offers:
            # 7.1: an offer with an unknown parameter, a wrong value, or a parameter twice
            # is declined; a client may offer window bits without a value.
            if (
                is_valid(params, bare="client_max_window_bits")
                and params.get("server_max_window_bits", _MAX_WINDOW_BITS) >= _MIN_WINDOW_BITS
            ):
                return ServerSession(self, params)
        return None


def _check_range(name: str, value: int, low: int, high: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} must be an int, not {value!r}")
    if not low <= value <= high:
        raise ValueError(f"{name} must be from {low} to {high}, not {value}")
    return value


def _check_optional(name: str, value: int | None, low: int) -> int | None:
    return None if value is None else _check_range(name, value, low, _MAX_WINDOW_BITS)


def is_valid(params: dict[str, Any], bare: str = "") -> bool:
    """Tell whether parameters are those of 7.1; `bare` may stand without a value."""
    for name, value in params.items():
        if name in _FLAGS:
            valid = value is True
        elif name in _WINDOWS:
            # Of Python's numbers True is one, too.
            valid = (type(value) is int and 8 <= value <= _MAX_WINDOW_BITS) or (
                name == bare and value is True
            )
        else:
            valid = False
        if not valid:
            return False
    return True


class _Session:
    """What both ends do once the parameters are settled."""

    __slots__ = (
        "_deflater",
        "_inflater",
        "_options",
        "_own_bits",
        "_own_takeover",
        "_peer_bits",
        "_peer_takeover",
    )

    def __init__(self, options: PermessageDeflate) -> None:
        self._options = options
        self._own_takeover = self._peer_takeover = True
        self._own_bits = self._peer_bits = _MAX_WINDOW_BITS
        self._deflater: Any = None
        self._inflater: Any = None

    # Inflating

    def process_incoming_message(self, message: Message) -> Message:
        """Inflate a message that has RSV1 set (7.2.2)."""
        if not message.rsv1:
            return message
        if self._inflater is None:
            self._inflater = zlib.decompressobj(-self._peer_bits)
        # No byte at all (7.2.3.6 has one) would leave the inflater in the middle of a block.
        if message.data:
            message.data = self._inflate(message.data + _TAIL, message.max_length)
        message.rsv1 = False
        if not self._peer_takeover:
            self._inflater = None
        return message

    def _inflate(self, data: bytes, max_length: int) -> bytes:
        inflated = self._inflate_some(data, max_length + 1)
        if self._inflater.eof:
            inflated = self._inflate_streams(inflated, max_length)
        if len(inflated) > max_length:
            raise MessageTooBig(f"a message over the limit of {max_length} bytes when inflated")
        return inflated

    def _inflate_streams(self, inflated: bytes, max_length: int) -> bytes:
        # 7.2.3.4: a block with BFINAL set ends the stream, but not the message, nor the
        # use of the extension: what follows is a stream of its own.
        data = self._inflater.unused_data
        position = 0
        parts = [inflated]
        room = max_length + 1 - len(inflated)
        for _ in range(_MAX_STREAMS):
            self._inflater = zlib.decompressobj(-self._peer_bits)
            if data[position : position + len(_TAIL) + 1] in (b"", _TAIL):
                return b"".join(parts)
            while room and position < len(data) and not self._inflater.eof:
                # In pieces, since what is behind the end of a stream is copied each time.
                piece = data[position : position + _PIECE]
                parts.append(self._inflate_some(piece, room))
                room -= len(parts[-1])
                position += len(piece) - len(self._inflater.unused_data)
            if not self._inflater.eof:
                return b"".join(parts)
        raise InvalidPayloadData(f"a message of more than {_MAX_STREAMS} streams")

    def _inflate_some(self, data: bytes, max_length: int) -> bytes:
        try:
            inflated: bytes = self._inflater.decompress(data, max_length)
        except zlib.error as error:
            raise InvalidPayloadData(f"corrupt data: {error}") from None
        return inflated

    # Deflating

    def process_outgoing_message(self, message: Message) -> Message:
        """Deflate a message that is long enough to be worth it (7.2.1)."""
        if not self._is_worth_it(message):
            return message
        deflater = self._deflater or self._new_deflater()
        message.data = _deflate(deflater, message.data)
        message.rsv1 = True
        if self._own_takeover:
            self._deflater = deflater
        return message

    def _is_worth_it(self, message: Message) -> bool:
        # To a server that demands a smaller window than zlib has, all goes as it is.
        return len(message.data) >= self._options.min_size and self._own_bits >= _MIN_WINDOW_BITS

    def _new_deflater(self) -> Any:
        options = self._options
        return zlib.compressobj(
            options.level, zlib.DEFLATED, -self._own_bits, options.mem_level, options.strategy
        )

    # Deflating once for several connections

    @property
    def shared_key(self) -> tuple[Any, ...]:
        """What the bytes of a message that is deflated by itself depend on."""
        options = self._options
        return (
            self._own_bits,
            options.level,
            options.mem_level,
            options.strategy,
            options.min_size,
        )

    def process_shared_message(self, message: Message) -> Message:
        """Deflate a message by itself, so that every connection can take it."""
        if self._is_worth_it(message):
            message.data = _deflate(self._new_deflater(), message.data)
            message.rsv1 = True
        return message

    def note_shared_message(self, message: Message) -> None:
        """Take note of what the peer gets: if its window moves on, ours has to start anew."""
        if message.rsv1:
            self._deflater = None

    def close(self) -> None:
        """Release both windows."""
        self._deflater = self._inflater = None


def _deflate(deflater: Any, data: bytes) -> bytes:
    deflated: bytes = deflater.compress(data) + deflater.flush(zlib.Z_SYNC_FLUSH)
    return deflated[: -len(_TAIL)] or _EMPTY


class ServerSession(_Session):
    """A server's session, for an offer that is acceptable."""

    __slots__ = ("_response",)

    def __init__(self, options: PermessageDeflate, offer: dict[str, Any]) -> None:
        super().__init__(options)
        response: dict[str, Any] = {}
        if options.no_context_takeover or "server_no_context_takeover" in offer:
            response["server_no_context_takeover"] = True
            self._own_takeover = False
        if options.request_no_context_takeover or "client_no_context_takeover" in offer:
            response["client_no_context_takeover"] = True
            self._peer_takeover = False
        self._own_bits = min(
            offer.get("server_max_window_bits", _MAX_WINDOW_BITS),
            options.max_window_bits or _MAX_WINDOW_BITS,
        )
        if "server_max_window_bits" in offer or self._own_bits < _MAX_WINDOW_BITS:
            response["server_max_window_bits"] = self._own_bits
        offered = offer.get("client_max_window_bits")
        if offered is not None:
            bits = _MAX_WINDOW_BITS if offered is True else offered
            self._peer_bits = min(bits, options.request_max_window_bits or _MAX_WINDOW_BITS)
            if self._peer_bits < _MAX_WINDOW_BITS:
                response["client_max_window_bits"] = self._peer_bits
        self._response = response

    def generate_response(self) -> Parameters:
        """Return the parameters that were settled (7.1)."""
        return self._response


class ClientSession(_Session):
    """A client's session."""

    __slots__ = ()

    def generate_offer(self) -> Parameters:
        """Return the parameters to offer (7.1)."""
        options = self._options
        offer: dict[str, Any] = {}
        if options.no_context_takeover:
            offer["client_no_context_takeover"] = True
        # 7.1.2.2: without it the server may not ask us for a smaller window.
        offer["client_max_window_bits"] = options.max_window_bits or True
        if options.request_no_context_takeover:
            offer["server_no_context_takeover"] = True
        if options.request_max_window_bits is not None:
            offer["server_max_window_bits"] = options.request_max_window_bits
        return offer

    def activate(self, params: dict[str, Any]) -> bool:
        """Take the server's response; return False if it can't be (7.1)."""
        options = self._options
        if not is_valid(params):
            return False
        if options.request_no_context_takeover and "server_no_context_takeover" not in params:
            return False
        wanted = options.request_max_window_bits or _MAX_WINDOW_BITS
        self._peer_bits = params.get("server_max_window_bits", _MAX_WINDOW_BITS)
        own_limit = params.get("client_max_window_bits", _MAX_WINDOW_BITS)
        if self._peer_bits > wanted:
            return False
        self._own_bits = min(own_limit, options.max_window_bits or _MAX_WINDOW_BITS)
        self._peer_takeover = "server_no_context_takeover" not in params
        self._own_takeover = not (
            options.no_context_takeover or "client_no_context_takeover" in params
        )
        return True
