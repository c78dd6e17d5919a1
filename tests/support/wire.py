"""Frames and heads as bytes, put together by hand: no test relies on the code it tests."""

from __future__ import annotations

import base64
import hashlib
import struct

# First bytes of frames: a message or control frame that is whole ...
WHOLE_TEXT = 0x81
WHOLE_BINARY = 0x82
CLOSE = 0x88
PING = 0x89
PONG = 0x8A
# ... and the parts of a message: its first, what follows, and its last.
TEXT = 0x01
BINARY = 0x02
MORE = 0x00
LAST = 0x80

# The masking key of the examples in RFC 6455, 5.7.
KEY = b"\x37\xfa\x21\x3d"
# A key under which a payload looks as it is.
ZERO_KEY = b"\0\0\0\0"


def xor(key: bytes, data: bytes) -> bytes:
    """Mask or unmask, each byte by itself (RFC 6455, 5.3)."""
    masked = bytearray(data)
    for place in range(4):
        table = bytes(byte ^ key[place] for byte in range(256))
        masked[place::4] = masked[place::4].translate(table)
    return bytes(masked)


def frame(first: int, payload: bytes = b"", key: bytes = b"") -> bytes:
    """Return a frame, masked if there is a key."""
    mask_bit = 0x80 if key else 0
    length = len(payload)
    if length < 126:
        header = struct.pack("!BB", first, mask_bit | length)
    elif length < 65536:
        header = struct.pack("!BBH", first, mask_bit | 126, length)
    else:
        header = struct.pack("!BBQ", first, mask_bit | 127, length)
    return header + key + (xor(key, payload) if key else payload)


def unframe(data: bytes) -> list[tuple[int, bytes]]:
    """Return the first byte and the unmasked payload of each frame."""
    frames = []
    while data:
        first, second = data[0], data[1]
        length, start = second & 0x7F, 2
        if length == 126:
            length, start = struct.unpack_from("!H", data, 2)[0], 4
        elif length == 127:
            length, start = struct.unpack_from("!Q", data, 2)[0], 10
        key = b""
        if second & 0x80:
            key, start = data[start : start + 4], start + 4
        payload = data[start : start + length]
        assert len(payload) == length, "a frame is cut off"
        frames.append((first, xor(key, payload) if key else payload))
        data = data[start + length :]
    return frames


def close_payload(code: int, reason: bytes = b"") -> bytes:
    """Return what a close frame with a code carries."""
    return struct.pack("!H", code) + reason


# The handshake of RFC 6455, 1.3.
REQUEST_LINE = b"GET /chat HTTP/1.1\r\n"
REQUEST_FIELDS = (
    b"Host: server.example.com",
    b"Upgrade: websocket",
    b"Connection: Upgrade",
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    b"Sec-WebSocket-Version: 13",
)
ACCEPT = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
ACCEPTANCE = (
    b"HTTP/1.1 101 Switching Protocols\r\n"
    b"Upgrade: websocket\r\n"
    b"Connection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
    b"\r\n"
)


def request(*more: bytes, without: bytes = b"", line: bytes = REQUEST_LINE) -> bytes:
    """Return a handshake's request, with more fields and without those of a name.

    A field of `more` takes the place of the one that has the same name.
    """
    names = {name_of(field) for field in more} | {without.lower()}
    kept = [field for field in REQUEST_FIELDS if name_of(field) not in names]
    return line + b"".join(field + b"\r\n" for field in (*kept, *more)) + b"\r\n"


def response(
    key: str,
    *more: bytes,
    without: bytes = b"",
    line: bytes = b"HTTP/1.1 101 Switching Protocols\r\n",
) -> bytes:
    """Return the response that accepts a key; `more` and `without` as in `request`."""
    digest = hashlib.sha1(key.encode() + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
    fields = (
        b"Upgrade: websocket",
        b"Connection: Upgrade",
        b"Sec-WebSocket-Accept: " + base64.b64encode(digest),
    )
    names = {name_of(field) for field in more} | {without.lower()}
    kept = [field for field in fields if name_of(field) not in names]
    return line + b"".join(field + b"\r\n" for field in (*kept, *more)) + b"\r\n"


def name_of(field: bytes) -> bytes:
    """Return the name of a header field, in lower case."""
    return field.partition(b":")[0].lower()


def fields_of(head: bytes) -> dict[bytes, bytes]:
    """Return the header fields of a head by their names in lower case."""
    lines = head.partition(b"\r\n\r\n")[0].split(b"\r\n")[1:]
    return {name_of(line): line.partition(b": ")[2] for line in lines}
