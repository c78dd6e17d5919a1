"""The numbers and names of RFC 6455 that travel on the wire, and the limits of this library.

Nothing here has behaviour; everything else may import it.
"""

from __future__ import annotations

from enum import IntEnum

# The version of this library.
VERSION = "0.1.0"

# RFC 6455, 1.3: "concatenate this with the Globally Unique Identifier".
HANDSHAKE_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

# RFC 6455, 4.4: the only version of the final protocol.
PROTOCOL_VERSION = "13"

# What the versions are called: the final protocol, and the drafts that browsers shipped with
# a handshake of their own.
HYBI_13 = "hybi-13"
HIXIE_76 = "hixie-76"
HIXIE_75 = "hixie-75"

# RFC 9110, 4.2; `ws` and `wss` have the same (RFC 6455, 3).
DEFAULT_PORTS = {"http": 80, "https": 443}
# Header fields that a client may send to another origin after a redirect. Any other may be
# a secret.
HARMLESS_FIELDS = frozenset(("accept-language", "origin", "user-agent"))

FIN = 0x80
RSV1 = 0x40
RSV2 = 0x20
RSV3 = 0x10
RSV_BITS = RSV1 | RSV2 | RSV3
OPCODE_BITS = 0x0F
MASK_BIT = 0x80
LENGTH_BITS = 0x7F

# RFC 6455, 5.5: "All control frames MUST have a payload length of 125 bytes or less".
MAX_CONTROL_PAYLOAD = 125
# What is left of it beside the two bytes of the status code (5.5.1).
MAX_CLOSE_REASON = MAX_CONTROL_PAYLOAD - 2

# Largest frame and message that are accepted, in bytes; the same as faye-websocket's.
DEFAULT_MAX_LENGTH = 2**26 - 1
# Bytes of a request or response head, and header fields in it; Apache and Node have
# limits of the same order (8 KiB a line and 100 fields; 16 KiB and 2,000 fields).
MAX_HEAD_LENGTH = 16 * 1024
MAX_HEADER_FIELDS = 100
# Interim responses (1xx) before the final one, which together have no more bytes than a
# head; Go's net/http passes over 5.
MAX_INTERIM_RESPONSES = 16
# Bytes that may wait for a peer that does not read before `send` waits.
DEFAULT_MAX_BACKLOG = 2**20
# Seconds for names, TCP, TLS and the opening handshake together, as in websockets.
DEFAULT_CONNECT_TIMEOUT = 10.0
# Seconds the closing handshake may take, as in ws (Node).
DEFAULT_CLOSE_TIMEOUT = 30.0
# Seconds a peer may stay silent after a ping, as in websockets.
DEFAULT_PING_TIMEOUT = 20.0
# Seconds in which a peer must take something of what waits for it, as in nginx.
DEFAULT_SEND_TIMEOUT = 60.0
# The deadline of what has none.
NEVER = float("inf")


class Opcode(IntEnum):
    """Frame opcodes (RFC 6455, 5.2 and 11.8)."""

    CONTINUATION = 0x0
    TEXT = 0x1
    BINARY = 0x2
    CLOSE = 0x8
    PING = 0x9
    PONG = 0xA


class CloseCode(IntEnum):
    """Close status codes, after the IANA registry (RFC 6455, 7.4.1 and 11.7)."""

    NORMAL_CLOSURE = 1000
    GOING_AWAY = 1001
    PROTOCOL_ERROR = 1002
    UNSUPPORTED_DATA = 1003
    NO_STATUS_RECEIVED = 1005
    ABNORMAL_CLOSURE = 1006
    INVALID_FRAME_PAYLOAD_DATA = 1007
    POLICY_VIOLATION = 1008
    MESSAGE_TOO_BIG = 1009
    MANDATORY_EXTENSION = 1010
    INTERNAL_ERROR = 1011
    SERVICE_RESTART = 1012
    TRY_AGAIN_LATER = 1013
    BAD_GATEWAY = 1014
    TLS_HANDSHAKE = 1015


class ReadyState(IntEnum):
    """The life of a connection (WHATWG WebSockets, readyState)."""

    CONNECTING = 0
    OPEN = 1
    CLOSING = 2
    CLOSED = 3
