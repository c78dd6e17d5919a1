"""The payload of close frames (RFC 6455, 5.5.1 and 7.4), parsed and serialized."""

from __future__ import annotations

from ..constants import MAX_CLOSE_REASON, CloseCode
from ..errors import InvalidPayloadData, ProtocolError

# 7.4.1: these "MUST NOT be set as a status code in a Close control frame".
_NEVER_SENT = frozenset(
    (CloseCode.NO_STATUS_RECEIVED, CloseCode.ABNORMAL_CLOSURE, CloseCode.TLS_HANDSHAKE)
)
_PROTOCOL_CODES = frozenset(CloseCode) - _NEVER_SENT
# 7.4.2: 3000-3999 are registered by libraries and frameworks, 4000-4999 are private.
_APPLICATION_CODES = range(3000, 5000)


def parse_close(payload: bytes) -> tuple[int, str]:
    """Return the code and reason of a close frame; 1005 and "" if it is empty.

    Raises:
        ProtocolError: the code is incomplete, or must not be sent (7.4).
        InvalidPayloadData: the reason is not UTF-8.
    """
    if not payload:
        return CloseCode.NO_STATUS_RECEIVED, ""
    if len(payload) == 1:
        raise ProtocolError("a close frame with half a status code")
    code = int.from_bytes(payload[:2], "big")
    if code not in _PROTOCOL_CODES and code not in _APPLICATION_CODES:
        raise ProtocolError(f"a close frame with the status code {code}")
    try:
        return code, payload[2:].decode()
    except UnicodeDecodeError:
        raise InvalidPayloadData("a close reason that is not UTF-8") from None


def serialize_close(code: int, reason: str = "") -> bytes:
    """Return the payload of a close frame; empty for the code 1005."""
    if code == CloseCode.NO_STATUS_RECEIVED:
        return b""
    return code.to_bytes(2, "big") + reason.encode()


def check_close(code: int, reason: str, by_server: bool) -> None:
    """Check the code and reason that an application closes with.

    A client may use 1000 and 3000-4999, as in the WebSocket API of browsers; a server may
    also use the registered codes.

    Raises:
        TypeError: the code is not an integer, or the reason is not a string.
        ValueError: the code must not be sent, or the reason is over 123 bytes of UTF-8.
    """
    if not isinstance(code, int) or isinstance(code, bool):
        raise TypeError(f"a close code must be an int, not {type(code).__name__}")
    if not isinstance(reason, str):
        raise TypeError(f"a close reason must be a str, not {type(reason).__name__}")
    allowed = code == CloseCode.NORMAL_CLOSURE or code in _APPLICATION_CODES
    if not allowed and not (by_server and code in _PROTOCOL_CODES):
        who = "a server closes" if by_server else "a client closes"
        codes = "1000-1003, 1007-1014" if by_server else "1000"
        raise ValueError(f"{who} with {codes} or 3000-4999, not {code}")
    if len(reason.encode()) > MAX_CLOSE_REASON:
        raise ValueError(f"a close reason of more than {MAX_CLOSE_REASON} bytes")


def fit_reason(text: str) -> str:
    """Truncate a text to the length of a close reason, without splitting a character."""
    return text.encode(errors="replace")[:MAX_CLOSE_REASON].decode(errors="ignore")
