"""Frames (RFC 6455, 5.2): bytes to frames and back, as pure functions.

     0                   1                   2                   3
     0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
    +-+-+-+-+-------+-+-------------+-------------------------------+
    |F|R|R|R| opcode|M|  length (7) |   length, 16 or 64 bits, if   |
    |I|S|S|S|  (4)  |A|             |   the 7 bits say 126 or 127   |
    |N|V|V|V|       |S|             |                               |
    | |1|2|3|       |K|             |                               |
    +-+-+-+-+-------+-+-------------+-------------------------------+
    |   masking key, if MASK is set     |   payload ...             |
    +-----------------------------------+---------------------------+

The first byte of a frame is FIN, RSV1-3 and the opcode.

Invariants:
- All rules about a single frame are checked here, as soon as the necessary bytes are there.
  Rules that involve earlier frames (fragmentation, UTF-8, the length of a message) are
  checked by the driver.
"""

from __future__ import annotations

from ..constants import (
    FIN,
    LENGTH_BITS,
    MASK_BIT,
    MAX_CONTROL_PAYLOAD,
    OPCODE_BITS,
    RSV_BITS,
    Opcode,
)
from ..errors import MessageTooBig, ProtocolError
from .masking import mask

# The first byte, the payload's length, the masking key (empty if there is none), and the
# position of the payload in the buffer.
FrameHeader = tuple[int, int, bytes, int]

_FIRST_CONTROL_OPCODE = 8
_OPCODES = frozenset(Opcode)
# The first bytes of data frames without reserved bits, which are always valid.
_PLAIN_DATA = frozenset(opcode | fin for opcode in (0, 1, 2) for fin in (0, FIN))


def parse_header(
    buffer: bytes, start: int, masked: bool, max_length: int, rsv_allowed: int = 0
) -> FrameHeader | None:
    """Parse the header of the frame at `start`; return None if it is incomplete.

    Args:
        buffer: bytes of frames.
        start: the position of the frame in the buffer.
        masked: whether frames must be masked (a client's) or must not be (a server's).
        max_length: the longest payload that a data frame may have, in bytes.
        rsv_allowed: the bits of RSV1-3 that extensions use.

    Raises:
        ProtocolError: the header, complete or not, violates the protocol.
        MessageTooBig: the payload is too long.
    """
    end = len(buffer)
    if end - start < 2:
        return None
    first = buffer[start]
    second = buffer[start + 1]
    if first not in _PLAIN_DATA or (second >= MASK_BIT) is not masked:
        _check_first_bytes(first, second, masked, rsv_allowed)
    length = second & LENGTH_BITS
    position = start + 2
    if length > MAX_CONTROL_PAYLOAD:
        position += 2 if length == 126 else 8
        if position > end:
            return None
        length = _parse_extended_length(buffer[start + 2 : position])
    if length > max_length and first & OPCODE_BITS < _FIRST_CONTROL_OPCODE:
        raise MessageTooBig(f"a frame of {length} bytes is over the limit of {max_length}")
    if not masked:
        return first, length, b"", position
    if position + 4 > end:
        return None
    return first, length, buffer[position : position + 4], position + 4


def _check_first_bytes(first: int, second: int, masked: bool, rsv_allowed: int) -> None:
    opcode = first & OPCODE_BITS
    if opcode not in _OPCODES:
        # 5.2: "If an unknown opcode is received, the receiving endpoint MUST _Fail the
        # WebSocket Connection_."
        raise ProtocolError(f"unknown opcode 0x{opcode:x}")
    if first & RSV_BITS & ~rsv_allowed:
        # 5.2: "If a nonzero value is received and none of the negotiated extensions
        # defines the meaning of such a nonzero value, the receiving endpoint MUST
        # _Fail the WebSocket Connection_."
        raise ProtocolError("a reserved bit is set that no extension has defined")
    if opcode >= _FIRST_CONTROL_OPCODE:
        # 5.5: "All control frames MUST have a payload length of 125 bytes or less and
        # MUST NOT be fragmented."
        if not first & FIN:
            raise ProtocolError("a fragmented control frame")
        if second & LENGTH_BITS > MAX_CONTROL_PAYLOAD:
            raise ProtocolError("a control frame of more than 125 bytes")
        if first & RSV_BITS:
            raise ProtocolError("a control frame with a reserved bit set")
    if bool(second & MASK_BIT) is not masked:
        # 5.1: "The server MUST close the connection upon receiving a frame that is not
        # masked." and "A client MUST close a connection if it detects a masked frame."
        raise ProtocolError(
            "a client's frame is not masked" if masked else "a server's frame is masked"
        )


def _parse_extended_length(field: bytes) -> int:
    # 5.2: "the minimal number of bytes MUST be used to encode the length", and of 64
    # bits "the most significant bit MUST be 0".
    length = int.from_bytes(field, "big")
    if length <= MAX_CONTROL_PAYLOAD or (len(field) == 8 and length <= 0xFFFF):
        raise ProtocolError("a payload length in more bytes than it needs")
    if length >> 63:
        raise ProtocolError("a payload length with its most significant bit set")
    return length


def serialize_frame(first: int, payload: bytes, key: bytes = b"") -> bytes:
    """Serialize a frame, masked with `key` unless that is empty."""
    length = len(payload)
    mask_bit = 0
    if key:
        mask_bit = MASK_BIT
        payload = key + mask(key, payload)
    if length <= MAX_CONTROL_PAYLOAD:
        return bytes((first, mask_bit | length)) + payload
    if length <= 0xFFFF:
        return bytes((first, mask_bit | 126, length >> 8, length & 0xFF)) + payload
    return bytes((first, mask_bit | 127)) + length.to_bytes(8, "big") + payload


def check_control(payload: bytes) -> bytes:
    """Check the payload of a ping or pong that an application sends (5.5), and return it.

    Raises:
        ValueError: it is longer than 125 bytes.
    """
    if len(payload) > MAX_CONTROL_PAYLOAD:
        raise ValueError(f"a ping or pong of more than {MAX_CONTROL_PAYLOAD} bytes")
    return payload
