"""What is left to a WSGI server of a socket that was taken from it."""

from __future__ import annotations

import socket as plain_socket
from typing import Any

import gevent.socket
import pytest

from faye_ws.wsgi.socket import take_socket


@pytest.mark.parametrize("kind", [gevent.socket, plain_socket], ids=["gevent", "threads"])
def test_a_server_reads_the_end_and_writes_to_nobody(kind: Any) -> None:
    ours, peer = kind.socketpair()
    heads: list[bytes] = []
    taken = take_socket({"gunicorn.socket": ours, "wsgi.input": None}, heads.append)
    peer.sendall(b"a frame")
    # gunicorn looks for another request, if it was stopped in the middle of this one.
    assert ours.recv(100) == b""
    assert ours.recv_into(bytearray(100)) == 0
    with pytest.raises(BrokenPipeError):
        ours.sendall(b"HTTP/1.1 500 Internal Server Error")
    assert heads == [b"HTTP/1.1 500 Int"]
    taken.socket.settimeout(5.0)
    assert taken.socket.recv(100) == b"a frame"
    taken.socket.send(b"an answer")
    assert peer.recv(100) == b"an answer"
    for sock in (taken.socket, peer, ours):
        sock.close()
