"""A peer that speaks WebSocket and HTTP in bytes, so that it can break every rule."""

from __future__ import annotations

import os
import socket
import ssl
import struct
from typing import NamedTuple

PATIENCE = 15.0

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
FIN, RSV1 = 0x80, 0x40
DEFLATE = "Sec-WebSocket-Extensions: permessage-deflate\r\n"


class Address(NamedTuple):
    """Where a server is, and what trusts it where it speaks TLS."""

    port: int
    ca: str | None = None

    def url(self, scheme: str, path: str) -> str:
        return f"{scheme}{'s' if self.ca else ''}://localhost:{self.port}{path}"


def request(path: str, more: str = "", version: int = 13) -> bytes:
    """Return the request of a handshake."""
    return (
        f"GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        f"Sec-WebSocket-Version: {version}\r\n{more}\r\n"
    ).encode()


def stream_request(path: str) -> bytes:
    """Return the request for an event stream."""
    return (f"GET {path} HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n").encode()


def frame(
    first: int, payload: bytes = b"", masked: bool = True, length: int | None = None
) -> bytes:
    """Return a frame; `length` may be a lie."""
    size = len(payload) if length is None else length
    bit = 0x80 if masked else 0
    if size < 126:
        head = struct.pack("!BB", first, bit | size)
    elif size < 2**16:
        head = struct.pack("!BBH", first, bit | 126, size)
    else:
        head = struct.pack("!BBQ", first, bit | 127, size)
    if not masked:
        return head + payload
    key = os.urandom(4)
    pad = (key * (len(payload) // 4 + 1))[: len(payload)]
    masked_payload = int.from_bytes(payload, "big") ^ int.from_bytes(pad, "big")
    return head + key + masked_payload.to_bytes(len(payload), "big")


def text(message: str) -> bytes:
    return frame(FIN | TEXT, message.encode())


def close(code: int | None = 1000, reason: bytes = b"") -> bytes:
    return frame(FIN | CLOSE, b"" if code is None else struct.pack("!H", code) + reason)


class Peer:
    """A socket to the server, as a context manager that closes it."""

    def __init__(self, address: Address) -> None:
        self._buffer = b""
        self.head = b""
        self.socket = socket.create_connection(("127.0.0.1", address.port), PATIENCE)
        if address.ca is not None:
            trust = trust_of(address.ca)
            self.socket = trust.wrap_socket(self.socket, server_hostname="localhost")

    def __enter__(self) -> Peer:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def ask(self, data: bytes) -> str:
        """Send a request, and return the status line of the answer."""
        self.send(data)
        while b"\r\n\r\n" not in self._buffer:
            self._more()
        self.head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
        return self.head.partition(b"\r\n")[0].decode("latin-1")

    def open(self, path: str, more: str = "", early: bytes = b"") -> None:
        """Complete a handshake, perhaps with frames in the same segment."""
        status = self.ask(request(path, more) + early)
        assert " 101 " in status, status

    def take(self, size: int) -> bytes:
        """Return so many bytes."""
        while len(self._buffer) < size:
            self._more()
        data, self._buffer = self._buffer[:size], self._buffer[size:]
        return data

    def read_frame(self) -> tuple[int, bytes]:
        """Return the opcode and the payload of the next frame."""
        first, size = self.take(2)
        if size == 126:
            size = struct.unpack("!H", self.take(2))[0]
        elif size == 127:
            size = struct.unpack("!Q", self.take(8))[0]
        return first & 0x0F, self.take(size)

    def read_message(self) -> bytes:
        """Return the payload of the next frame that is no ping or pong."""
        while True:
            opcode, payload = self.read_frame()
            if opcode not in (PING, PONG):
                return payload

    def read_close(self) -> int | None:
        """Pass over what comes before the close frame, and return its code."""
        while True:
            opcode, payload = self.read_frame()
            if opcode == CLOSE:
                return struct.unpack("!H", payload[:2])[0] if payload else None

    def read_to_end(self) -> bytes:
        """Return all bytes up to the end of the connection, which may be a reset."""
        data, self._buffer = self._buffer, b""
        try:
            while more := self.socket.recv(2**16):
                data += more
        except ConnectionError:
            pass  # A reset is an end, too.
        return data

    def reset(self) -> None:
        """Close the connection with a RST."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def _more(self) -> None:
        data = self.socket.recv(2**16)
        if not data:
            raise ConnectionResetError("the server has hung up")
        self._buffer += data


_trusts: dict[str, ssl.SSLContext] = {}


def trust_of(ca: str) -> ssl.SSLContext:
    """Return what trusts the servers, the same each time: it is costly to make."""
    if ca not in _trusts:
        _trusts[ca] = ssl.create_default_context(cafile=ca)
        # The client of `websockets` reads in one thread and writes in another. In TLS 1.3 the
        # tickets after the handshake make the two meet, and a request can be lost.
        _trusts[ca].maximum_version = ssl.TLSVersion.TLSv1_2
    return _trusts[ca]
