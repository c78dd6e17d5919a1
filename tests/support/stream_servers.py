"""Servers of event streams that do as they are told, and some that nobody would wish for."""

from __future__ import annotations

import socket as plain_socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import gevent
from gevent import socket

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
STOP = [b"HTTP/1.1 204 No Content\r\n\r\n"]
FOREVER = [HEAD, 1000]
# One call of the system takes all of it, so a client that reads always finds more.
_FLOOD = 2**24


class Script:
    """A server that answers each connection with the next of its scripts.

    A script is what to send, piece by piece; a number is a pause in seconds, None a reset.
    The last one is used again. `heads` is what was asked.
    """

    def __init__(self, *scripts: list[Any], chunked: bool = False) -> None:
        self.scripts = list(scripts)
        self.heads: list[bytes] = []
        self._chunked = chunked
        self._listener = socket.socket()
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen()
        self._greenlets = [gevent.spawn(self._accept)]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}/feed?a=b"

    def _accept(self) -> None:
        while True:
            sock, _ = self._listener.accept()
            conversation: Any = gevent.spawn(self._answer, sock)
            # Also if it is killed before it has begun.
            conversation.rawlink(lambda _, sock=sock: sock.close())
            self._greenlets.append(conversation)

    def _answer(self, sock: Any) -> None:
        try:
            head = b""
            while b"\r\n\r\n" not in head:
                data = sock.recv(65536)
                if not data:
                    return
                head += data
            self.heads.append(head)
            script = self.scripts.pop(0) if len(self.scripts) > 1 else self.scripts[0]
            for piece in script:
                if piece is None:
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1" + bytes(7))
                    return
                if isinstance(piece, bytes):
                    sock.sendall(piece)
                else:
                    gevent.sleep(piece)
        except OSError:
            """The client has had enough."""

    def __enter__(self) -> Script:
        return self

    def __exit__(self, *exc_info: object) -> None:
        gevent.killall(self._greenlets)
        self._listener.close()


def read_head(sock: Any) -> bytes:
    """Return what comes until a blank line, and nothing behind it."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        byte = sock.recv(1)
        if not byte:
            raise OSError("no more")
        head += byte
    return head


@contextmanager
def flood(first: bytes, piece: bytes) -> Iterator[str]:
    """Answer every request with `first`, and then with the same again and again, faster than
    anybody reads: in native threads, which wait for nobody. The URL of it."""
    # So that the clients of the test live in its hub, also if it is the first to make one.
    gevent.get_hub()
    pieces = piece * (_FLOOD // len(piece))
    listener = plain_socket.create_server(("127.0.0.1", 0))
    threads: list[threading.Thread] = []

    def talk(sock: Any) -> None:
        with closing(sock):
            try:
                read_head(sock)
                sock.sendall(first)
                while True:
                    sock.sendall(pieces)
            except OSError:
                """The client has had enough."""

    def accept() -> None:
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            threads.append(threading.Thread(target=talk, args=(sock,), daemon=True))
            threads[-1].start()

    threads.append(threading.Thread(target=accept))
    threads[0].start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
    finally:
        listener.shutdown(plain_socket.SHUT_RDWR)
        listener.close()
        for thread in threads:
            thread.join(15.0)
