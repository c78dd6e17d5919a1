"""A client of the drafts hixie-75 and hixie-76, written from their text, and their examples."""

from __future__ import annotations

import hashlib
import random
import socket
from typing import Any, NamedTuple

from support.reading import Reader
from support.streams import Cut, whole

HIXIE_75 = "hixie-75"
HIXIE_76 = "hixie-76"
DRAFTS = (HIXIE_75, HIXIE_76)
VERSIONS = ("hybi-13", HIXIE_76, HIXIE_75)

CLOSING = b"\xff\x00"

# hixie-75, 1.2.
EXAMPLE_75 = (
    b"GET /demo HTTP/1.1\r\n"
    b"Upgrade: WebSocket\r\n"
    b"Connection: Upgrade\r\n"
    b"Host: example.com\r\n"
    b"Origin: http://example.com\r\n"
    b"WebSocket-Protocol: sample\r\n"
    b"\r\n"
)
ANSWER_75 = (
    b"HTTP/1.1 101 Web Socket Protocol Handshake\r\n"
    b"Upgrade: WebSocket\r\n"
    b"Connection: Upgrade\r\n"
    b"WebSocket-Origin: http://example.com\r\n"
    b"WebSocket-Location: ws://example.com/demo\r\n"
    b"WebSocket-Protocol: sample\r\n"
    b"\r\n"
)
# hixie-76, 1.2: the last eight bytes are a part of the handshake, on both sides.
EXAMPLE_76 = (
    b"GET /demo HTTP/1.1\r\n"
    b"Host: example.com\r\n"
    b"Connection: Upgrade\r\n"
    b"Sec-WebSocket-Key2: 12998 5 Y3 1  .P00\r\n"
    b"Sec-WebSocket-Protocol: sample\r\n"
    b"Upgrade: WebSocket\r\n"
    b"Sec-WebSocket-Key1: 4 @1  46546xW%0l 1 5\r\n"
    b"Origin: http://example.com\r\n"
    b"\r\n"
    b"^n:ds[4U"
)
ANSWER_76 = (
    b"HTTP/1.1 101 WebSocket Protocol Handshake\r\n"
    b"Upgrade: WebSocket\r\n"
    b"Connection: Upgrade\r\n"
    b"Sec-WebSocket-Origin: http://example.com\r\n"
    b"Sec-WebSocket-Location: ws://example.com/demo\r\n"
    b"Sec-WebSocket-Protocol: sample\r\n"
    b"\r\n"
    b"8jKS'y:G*Co,Wxa-"
)


def text(message: str | bytes) -> bytes:
    """Return the frame of a text message."""
    return b"\x00" + (message.encode() if isinstance(message, str) else message) + b"\xff"


def sized(payload: bytes, kind: int = 0x80) -> bytes:
    """Return a frame that begins with its length."""
    digits = [len(payload) & 0x7F]
    rest = len(payload) >> 7
    while rest:
        digits.insert(0, 0x80 | (rest & 0x7F))
        rest >>= 7
    return bytes([kind, *digits]) + payload


class Key(NamedTuple):
    """A key of hixie-76, and the number that it stands for."""

    value: str
    number: int


def make_key(chance: random.Random) -> Key:
    """Make a key as a client does (hixie-76, 4.1, steps 16 to 22)."""
    spaces = chance.randint(1, 12)
    number = chance.randint(0, (2**32 - 1) // spaces)
    characters = list(str(number * spaces))
    noise = [chr(code) for code in (*range(0x21, 0x30), *range(0x3A, 0x7F))]
    for _ in range(chance.randint(1, 12)):
        characters.insert(chance.randint(0, len(characters)), chance.choice(noise))
    for _ in range(spaces):
        characters.insert(chance.randint(1, len(characters) - 1), " ")
    return Key("".join(characters), number)


class Client(Reader):
    """A client at one end of a socket.

    Args:
        sock: the socket, connected.
        version: of the drafts.
        host: what to say in the Host header.
        path: the path to ask for.
        protocol: the subprotocol to ask for, if any.
        seed: of the random numbers.
        is_secure: whether it speaks TLS, to a proxy if not to the other end of the socket.
    """

    def __init__(
        self,
        sock: Any,
        version: str,
        host: str,
        path: str = "/echo",
        protocol: str | None = None,
        seed: int = 1,
        is_secure: bool = False,
    ) -> None:
        super().__init__(sock)
        self.version = version
        chance = random.Random(seed)
        self._keys = [make_key(chance), make_key(chance)]
        self.last_key = chance.randbytes(8) if version == HIXIE_76 else b""
        self._prefix = "" if version == HIXIE_75 else "Sec-"
        secure = "s" if is_secure or hasattr(sock, "unwrap") else ""
        self.origin, self.location = f"http{secure}://{host}", f"ws{secure}://{host}{path}"
        lines = [
            f"GET {path} HTTP/1.1",
            f"Host: {host}",
            "Connection: Upgrade",
            "Upgrade: WebSocket",
            f"Origin: {self.origin}",
        ]
        if protocol is not None:
            lines.append(f"{self._prefix}WebSocket-Protocol: {protocol}")
        if version == HIXIE_76:
            lines += [
                f"Sec-WebSocket-Key{place}: {key.value}" for place, key in enumerate(self._keys, 1)
            ]
        self.request = "\r\n".join((*lines, "", "")).encode()
        self.protocol = protocol

    def open(self, cut: Cut = whole, early: bytes = b"", is_late: bool = False) -> None:
        """Make the handshake, with frames right behind it if there are any.

        With `is_late` the last key goes out when the head of the response has come, as
        through a proxy that waits for it.
        """
        if is_late:
            self.send(self.request, cut)
            self.read_answer()
            self.send(self.last_key + early, cut)
        else:
            self.send(self.request + self.last_key + early, cut)
            self.read_answer()
        if self.version == HIXIE_76:
            numbers = b"".join(key.number.to_bytes(4, "big") for key in self._keys)
            assert self.take(16) == hashlib.md5(numbers + self.last_key).digest()

    def read_answer(self) -> None:
        head = self.read_head()
        phrase = "Web Socket" if self.version == HIXIE_75 else "WebSocket"
        lines = head.decode().split("\r\n")
        assert lines[0] == f"HTTP/1.1 101 {phrase} Protocol Handshake"
        if self.version == HIXIE_75:
            # 4.1: it compares byte by byte.
            assert lines[1:3] == ["Upgrade: WebSocket", "Connection: Upgrade"]
        fields = dict(line.split(": ") for line in lines[1:])
        assert (fields["Upgrade"], fields["Connection"].lower()) == ("WebSocket", "upgrade")
        assert fields[f"{self._prefix}WebSocket-Origin"] == self.origin
        assert fields[f"{self._prefix}WebSocket-Location"] == self.location
        assert fields.get(f"{self._prefix}WebSocket-Protocol") == self.protocol

    def send(self, data: bytes, cut: Cut = whole) -> None:
        """Send bytes."""
        for piece in cut(data):
            self.socket.sendall(piece)

    def read_text(self) -> str:
        """Return the next message."""
        assert self.take(1) == b"\x00"
        return self.take_until(b"\xff").decode()

    def close(self) -> None:
        """Close as the draft has it, and see that the server does."""
        if self.version == HIXIE_76:
            self.send(CLOSING)
            assert self.read_to_end() == CLOSING
        elif hasattr(self.socket, "unwrap"):
            self.socket = self.socket.unwrap()
        else:
            self.socket.shutdown(socket.SHUT_WR)
            assert self.read_to_end() == b""
        self.socket.close()

    def be_closed(self) -> None:
        """See that the server closes as the draft has it, and answer."""
        if self.version == HIXIE_76:
            assert self.take(2) == CLOSING
            self.send(CLOSING)
        assert self.read_to_end() == b""
        self.socket.close()
