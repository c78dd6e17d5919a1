"""The proxy among the examples, as clients that are none of ours meet it."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator

import pytest

from support import programs
from support.forward_proxies import PROXY

REFUSALS = {
    b"GET http://localhost/ HTTP/1.1\r\n\r\n": b"405 Method Not Allowed",
    b"CONNECT localhost HTTP/1.1\r\n\r\n": b"400 Bad Request",
    b"CONNECT localhost:x HTTP/1.1\r\n\r\n": b"400 Bad Request",
    b"CONNECT localhost:99999 HTTP/1.1\r\n\r\n": b"502 Bad Gateway",
    b"CONNECT localhost:1 HTTP/1.1\r\n\r\n": b"502 Bad Gateway",
    b"\x16\x03\x01 nonsense\r\n\r\n": b"400 Bad Request",
    b"x" * 2**14: b"400 Bad Request",
}


@pytest.fixture(scope="module")
def proxy() -> Iterator[programs.Program]:
    with programs.python(PROXY, "0") as program:
        program.port = int(program.wait_for_line(r"^tunnels on port (\d+)$")[1])  # type: ignore[attr-defined]
        yield program
        assert program.stop() == 0
        assert program.errors() == ""


def connect(proxy: programs.Program) -> socket.socket:
    return socket.create_connection(("127.0.0.1", proxy.port), 10)  # type: ignore[attr-defined]


@pytest.mark.parametrize("request_", REFUSALS, ids=lambda head: repr(head[:20]))
def test_what_it_does_not_do_it_refuses(proxy: programs.Program, request_: bytes) -> None:
    with connect(proxy) as client:
        client.sendall(request_)
        answer = client.recv(1000)
        assert answer.startswith(b"HTTP/1.1 " + REFUSALS[request_])
        assert client.recv(1000) == b""


def test_the_end_of_one_direction_passes_through_and_the_other_goes_on(
    proxy: programs.Program,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, connect(proxy) as client:
        port = listener.getsockname()[1]
        client.sendall(f"CONNECT 127.0.0.1:{port} HTTP/1.1\r\n\r\nearly".encode())
        server, _ = listener.accept()
        with server:
            assert client.recv(1000) == b"HTTP/1.1 200 Connection established\r\n\r\n"
            assert server.recv(1000) == b"early"
            client.shutdown(socket.SHUT_WR)
            assert server.recv(1000) == b""
            server.sendall(b"late")
            assert client.recv(1000) == b"late"
            server.shutdown(socket.SHUT_WR)
            assert client.recv(1000) == b""


@pytest.mark.parametrize("side", ["client", "server"])
def test_nothing_is_left_of_a_tunnel_that_breaks(proxy: programs.Program, side: str) -> None:
    folder = f"/proc/{proxy.process.pid}/fd"
    with connect(proxy) as unused:
        unused.sendall(b"GET / HTTP/1.1\r\n\r\n")
        while unused.recv(1000):
            pass
    before = len(os.listdir(folder))
    with socket.create_server(("127.0.0.1", 0)) as listener, connect(proxy) as client:
        client.sendall(f"CONNECT 127.0.0.1:{listener.getsockname()[1]} HTTP/1.1\r\n\r\n".encode())
        server, _ = listener.accept()
        client.recv(1000)
        broken, other = (client, server) if side == "client" else (server, client)
        broken.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        broken.close()
        other.settimeout(10)
        try:
            assert other.recv(1000) == b""
        except ConnectionError:
            """That tells it as well."""
        other.close()
    deadline = time.monotonic() + 10
    while len(os.listdir(folder)) != before:
        assert time.monotonic() < deadline
        time.sleep(0.01)
