"""The opening handshakes of the drafts that browsers shipped before RFC 6455.

    hixie-75    draft-hixie-thewebsocketprotocol-75, February 2010
    hixie-76    draft-hixie-thewebsocketprotocol-76, May 2010; also known as
                draft-ietf-hybi-thewebsocketprotocol-00

Invariants:
- Every refusal is a `HandshakeError` whose message may be shown to the peer; nothing that a
  peer sends raises anything else.
"""

from __future__ import annotations

import hashlib
import re
import struct
from collections.abc import Sequence

from ..constants import HIXIE_75, HIXIE_76, HYBI_13
from ..errors import HandshakeError
from .http import Headers, Request, Response

KEY_LENGTH = 8

_KEYS = ("Sec-WebSocket-Key1", "Sec-WebSocket-Key2")
_NOT_DIGITS = re.compile("[^0-9]+")
# hixie-76, 4.1: a key's number is at most 4,294,967,295.
_MAX_DIGITS = 10
_NUMBERS = range(2**32)
# hixie-75, 4.1: clients compare the beginning of the response, these included, byte by byte.
_PHRASES = {HIXIE_75: "Web Socket Protocol Handshake", HIXIE_76: "WebSocket Protocol Handshake"}
_PREFIXES = {HIXIE_75: "WebSocket-", HIXIE_76: "Sec-WebSocket-"}


def find_version(request: Request) -> str:
    """Return which version of the protocol a request for WebSocket is of."""
    headers = request.headers
    if "Sec-WebSocket-Version" in headers or "Sec-WebSocket-Key" in headers:
        return HYBI_13
    return HIXIE_76 if any(name in headers for name in _KEYS) else HIXIE_75


def parse_keys(request: Request) -> bytes:
    """Return the eight bytes of the challenge that the two keys of a request encode (5.2).

    Raises:
        HandshakeError: a key is missing or malformed.
    """
    return struct.pack(">II", *(_parse_key(request, name) for name in _KEYS))


def _parse_key(request: Request, name: str) -> int:
    # 5.2: the value of a key is the number that its digits form, divided by the number of
    # its spaces; no spaces, or a remainder, "is a symptom of a cross-protocol attack".
    values = request.headers.get_all(name)
    if len(values) != 1:
        raise HandshakeError(f"there must be one {name}")
    spaces = values[0].count(" ")
    digits = _NOT_DIGITS.sub("", values[0])
    if not spaces or not digits or len(digits) > _MAX_DIGITS or int(digits) not in _NUMBERS:
        raise HandshakeError(f"the {name} has no spaces, or no number of 32 bits")
    number, remainder = divmod(int(digits), spaces)
    if remainder:
        raise HandshakeError(f"the number in the {name} is no multiple of its spaces")
    return number


def solve_challenge(keys: bytes, last_key: bytes) -> bytes:
    """Return the 16 bytes that answer the challenge of a hixie-76 handshake (5.2)."""
    return hashlib.md5(keys + last_key, usedforsecurity=False).digest()


def choose_protocol(request: Request, version: str, supported: Sequence[str]) -> str | None:
    """Return the subprotocol, if it is supported: clients of the drafts ask for one at most."""
    requested = request.headers.get(f"{_PREFIXES[version]}Protocol")
    return requested if requested in supported else None


def accept_response(
    request: Request, version: str, url: str, protocol: str | None, extra: Headers
) -> Response:
    """Return the 101 response to a checked request.

    Args:
        url: the URL that the client connected to; the client compares it.

    Raises:
        HandshakeError: the origin or the URL can't be put into a header field.
    """
    prefix = _PREFIXES[version]
    origin = request.headers.get("Origin")
    headers = Headers([("Upgrade", "WebSocket"), ("Connection", "Upgrade")])
    try:
        if origin is not None:
            headers.append(f"{prefix}Origin", origin)
        headers.append(f"{prefix}Location", url)
    except ValueError as error:
        raise HandshakeError(str(error)) from None
    if protocol is not None:
        headers.append(f"{prefix}Protocol", protocol)
    for name, value in extra:
        headers.append(name, value)
    return Response(101, headers, phrase=_PHRASES[version])
