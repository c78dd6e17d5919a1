"""permessage-deflate (RFC 7692): messages compressed with DEFLATE.

There are two parameters for each side's compressor: the size of its window
(`*_max_window_bits`), and whether it starts anew with each message
(`*_no_context_takeover`). *Own* means our compressor, *peer* the peer's, hence our inflater.

With a window of 15 bits a compressor takes 256 KiB of memory and an inflater 44 KiB. So they
are made when they are first needed and, without context takeover, dropped after each message.

Invariants:
- Inflating stops at the maximum length of a message, whatever was compressed.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any

from ..errors import InvalidPayloadData, MessageTooBig
from .contract import Message
from .header import Parameters

# 7.2.1: the end of an empty stored block, which is removed from every compressed message.
_TAIL = b"\x00\x00\xff\xff"
# An empty message, compressed (7.2.3.6).
_EMPTY = b"\x00"

_MAX_WINDOW_BITS = 15
# zlib can't write a raw stream with a window of 8 bits: it silently uses 9.
_MIN_WINDOW_BITS = 9
# How many DEFLATE streams a message may consist of; no peer is known to use more than one
# for each frame.
_MAX_STREAMS = 1024
_PIECE_LENGTH = 2**12
_FLAGS = ("server_no_context_takeover", "client_no_context_takeover")
_WINDOWS = ("server_max_window_bits", "client_max_window_bits")


class PermessageDeflate:
    """permessage-deflate, to be used as in `extensions=[PermessageDeflate()]`.

    Args:
        level: how hard to compress, 0 to 9; -1 is zlib's default, 6.
        mem_level: how much memory our compressor may use, 1 to 9.
        strategy: one of zlib's `Z_*` strategies.
        no_context_takeover: compress each message by itself: worse, but without memory
            between messages.
        max_window_bits: the size of our compressor's window, 9 to 15.
        request_no_context_takeover: ask the peer to compress each message by itself.
        request_max_window_bits: ask the peer for a window of at most that size, 8 to 15; a
            server can ask only clients that offer `client_max_window_bits`.
        min_size: do not compress messages shorter than this, in bytes.

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
            # 7.1: an offer with an unknown parameter, an invalid value, or a repeated
            # parameter is declined; a client may offer window bits without a value.
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
    """Tell whether parameters are valid (7.1); the one named `bare` may have no value."""
    for name, value in params.items():
        if name in _FLAGS:
            valid = value is True
        elif name in _WINDOWS:
            # Not isinstance: True is an int, too.
            valid = (type(value) is int and 8 <= value <= _MAX_WINDOW_BITS) or (
                name == bare and value is True
            )
        else:
            valid = False
        if not valid:
            return False
    return True


class _Session:
    """What the sessions of both sides do after the negotiation."""

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
        # An empty message has one byte (7.2.3.6). With none, _TAIL would leave the inflater in
        # the middle of a block.
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
        # 7.2.3.4: a block with BFINAL set ends the stream, but not the message: what follows
        # is another stream.
        data = self._inflater.unused_data
        position = 0
        parts = [inflated]
        room = max_length + 1 - len(inflated)
        for _ in range(_MAX_STREAMS):
            self._inflater = zlib.decompressobj(-self._peer_bits)
            if data[position : position + len(_TAIL) + 1] in (b"", _TAIL):
                return b"".join(parts)
            while room and position < len(data) and not self._inflater.eof:
                # In pieces, since zlib copies all data behind the end of a stream.
                piece = data[position : position + _PIECE_LENGTH]
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
        """Deflate a message if it is long enough (7.2.1)."""
        if not self._is_worth_it(message):
            return message
        deflater = self._deflater or self._new_deflater()
        message.data = _deflate(deflater, message.data)
        message.rsv1 = True
        if self._own_takeover:
            self._deflater = deflater
        return message

    def _is_worth_it(self, message: Message) -> bool:
        # A server may demand a window of 8 bits: then nothing is compressed.
        return len(message.data) >= self._options.min_size and self._own_bits >= _MIN_WINDOW_BITS

    def _new_deflater(self) -> Any:
        options = self._options
        return zlib.compressobj(
            options.level, zlib.DEFLATED, -self._own_bits, options.mem_level, options.strategy
        )

    # Deflating once for several connections

    @property
    def shared_key(self) -> tuple[Any, ...]:
        """All that the bytes of a message deflated by itself depend on."""
        options = self._options
        return (
            self._own_bits,
            options.level,
            options.mem_level,
            options.strategy,
            options.min_size,
        )

    def process_shared_message(self, message: Message) -> Message:
        """Deflate a message by itself, for all connections with the same `shared_key`."""
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
    """A server's session for an acceptable offer."""

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
        """Return the negotiated parameters (7.1)."""
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
        # 7.1.2.2: without it the server must not ask us for a smaller window.
        offer["client_max_window_bits"] = options.max_window_bits or True
        if options.request_no_context_takeover:
            offer["server_no_context_takeover"] = True
        if options.request_max_window_bits is not None:
            offer["server_max_window_bits"] = options.request_max_window_bits
        return offer

    def activate(self, params: dict[str, Any]) -> bool:
        """Apply the server's response; return False if it is not acceptable (7.1)."""
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
