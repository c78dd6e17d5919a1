"""A server that sends whatever a test wants, by hand, in threads."""

from __future__ import annotations

import base64
import hashlib
import re
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

# A title, a cleared screen, colours, and an order that is turned around.
EVIL = "\x1b]0;owned\x07\x1b[2J\x9b31m\u202e"
ESCAPED = r"\x1b]0;owned\x07\x1b[2J\x9b31m\u202e"

Script = Callable[[socket.socket], object]


def upgrade(more: bytes = b"") -> Callable[[bytes], bytes]:
    """Return what makes a response that opens a WebSocket connection out of a request."""

    def respond(head: bytes) -> bytes:
        match = re.search(rb"(?i)sec-websocket-key: *(\S+)", head)
        assert match is not None
        digest = hashlib.sha1(match[1] + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
        return (
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + base64.b64encode(digest) + b"\r\n" + more + b"\r\n"
        )

    return respond


@contextmanager
def serve(script: Script, respond: Callable[[bytes], bytes] | None = None) -> Iterator[str]:
    """Serve each connection by a script, and give the address: host and port.

    Args:
        script: called with the socket when the response has been sent.
        respond: makes the response; by default one that opens a WebSocket connection.
    """
    with socket.create_server(("127.0.0.1", 0)) as server:

        def talk(peer: socket.socket) -> None:
            with peer, suppress(OSError):
                head = b""
                while b"\r\n\r\n" not in head:
                    head += peer.recv(1)
                peer.sendall((respond or upgrade())(head))
                script(peer)

        def accept() -> None:
            with suppress(OSError):
                while True:
                    peer = server.accept()[0]
                    threading.Thread(target=talk, args=(peer,), daemon=True).start()

        accepting = threading.Thread(target=accept, daemon=True)
        accepting.start()
        try:
            yield f"127.0.0.1:{server.getsockname()[1]}"
        finally:
            server.shutdown(socket.SHUT_RDWR)
            accepting.join()


def read_to_end(peer: socket.socket) -> None:
    """Take what comes until the other side is gone."""
    while peer.recv(2**16):
        """Nobody wants to know."""


def reset(peer: socket.socket) -> None:
    """End the connection with a RST."""
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.close()
