"""Two ends of a transport: one with an owner that notes what it is told, and a bare socket."""

from __future__ import annotations

import socket
import ssl
from typing import Any

import gevent

from faye_ws.runtime.tls_transport import open_transport


class Owner:
    """Whoever has a transport: it notes what it is told."""

    def __init__(self) -> None:
        self.data = b""
        self.told: list[str] = []

    def data_received(self, data: bytes) -> None:
        """Note it."""
        self.data += data

    def eof_received(self) -> None:
        """Note it."""
        self.told.append("eof")

    def progressed(self) -> None:
        """Take note of nothing: tests look at what has come."""

    def drained(self) -> None:
        """Note it."""
        self.told.append("drained")

    def released(self) -> None:
        """Note it."""
        self.told.append("released")


def tcp_pair() -> tuple[socket.socket, socket.socket]:
    """Return two sockets that are connected to each other."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        server, _ = listener.accept()
    return server, client


class Ends:
    """The two ends: a transport with its owner, and the peer's plain socket."""

    def __init__(self, sockets: tuple[Any, Any], keep_socket: bool = False) -> None:
        self.ours, self.peer = sockets
        self.peer.setblocking(False)
        self.owner = Owner()
        self.transport = open_transport(self.ours, gevent.get_hub().loop, self.owner, keep_socket)

    def peer_reads(self, length: int) -> bytes:
        """Return so many bytes, or what comes before the end."""
        data = b""
        while len(data) < length:
            try:
                more = self.peer.recv(length - len(data))
            except (BlockingIOError, ssl.SSLWantReadError):
                gevent.sleep(0.001)
                continue
            if not more:
                break
            data += more
        return data

    def stop(self) -> None:
        """End what is left."""
        self.transport.abort()
        self.peer.close()
        self.ours.close()
