"""A thousand clients in one process, against the server in another."""

from __future__ import annotations

import gc
import os
import sys

import gevent.socket
import pytest
from greenlet import greenlet

from faye_ws import Client
from support import programs

CLIENTS = 1000
DEADLINE = 60.0

SERVER = """
import gc, os, signal, sys
import gevent.socket
from gevent.pywsgi import WSGIServer
from faye_ws import WebSocket

def app(environ, start_response):
    if environ["PATH_INFO"] == "/count":
        gc.collect()
        live = sum(type(thing) is WebSocket for thing in gc.get_objects())
        start_response("200 OK", [])
        return [f"{live} {len(os.listdir('/proc/self/fd'))}".encode()]
    ws = WebSocket(environ)
    ws.on("message", lambda event: ws.send(event.data))
    return ws(environ, start_response)

server = WSGIServer(("127.0.0.1", 0), app, log=None, backlog=2048)
server.start()
print("port", server.server_port, flush=True)
server.serve_forever()
"""


def count_here() -> tuple[int, int, int]:
    """Return how many clients, greenlets and descriptors there are."""
    gc.collect()
    things = gc.get_objects()
    clients = sum(type(thing) is Client for thing in things)
    greenlets = sum(isinstance(thing, greenlet) for thing in things)
    return clients, greenlets, len(os.listdir("/proc/self/fd"))


def count_there(port: int) -> list[int]:
    """Return how many connections and descriptors the server has."""
    with gevent.socket.create_connection(("127.0.0.1", port)) as sock:
        sock.sendall(b"GET /count HTTP/1.0\r\n\r\n")
        answer = b""
        while data := sock.recv(1000):
            answer += data
    return [int(word) for word in answer.partition(b"\r\n\r\n")[2].split()]


@pytest.mark.timeout(180)
def test_a_thousand_clients_are_opened_used_and_closed_and_nothing_is_left() -> None:
    with programs.Program([sys.executable, "-c", SERVER]) as server:
        port = int(server.wait_for_line(r"^port (\d+)$")[1])
        # What is there once only, such as the resolver's threads, is there before we count.
        with Client(f"ws://127.0.0.1:{port}/"):
            """Only to have been."""
        with gevent.Timeout(DEADLINE):
            while (there := count_there(port))[0]:
                gevent.sleep(0.05)
        here = count_here()
        use(port)
        with gevent.Timeout(DEADLINE):
            while count_there(port) > there:
                gevent.sleep(0.05)
            # The workers that have run listeners are kept for others, as threads in a pool.
            while (now := count_here())[0] > here[0] or now[2] > here[2]:
                gevent.sleep(0.05)
        assert now[1] <= here[1] + 20


def use(port: int) -> None:
    clients = [Client(f"ws://127.0.0.1:{port}/", connect_timeout=DEADLINE) for _ in range(CLIENTS)]
    for ws in clients:
        ws.wait_open()
    assert count_there(port)[0] == CLIENTS
    for number, ws in enumerate(clients):
        ws.send(f"message {number}")
    for number, ws in enumerate(clients):
        assert ws.receive(DEADLINE) == f"message {number}"
    for ws in clients:
        ws.close()
    assert all(ws.wait_closed(DEADLINE).was_clean for ws in clients)
