"""Event streams on every WSGI server, as clients of others hear them."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import httpx_sse
import pytest
import requests
import sseclient

from faye_ws import EventSource
from support import programs
from support.event_streams import DEADLINE, HERE, Served

pytestmark = pytest.mark.timeout(120)

Heard = list[tuple[str, str, str | None]]
FIRST_FIVE: Heard = [
    ("message" if number % 2 else "tick", f"event {number}", str(number)) for number in range(5)
]


def hear_with_sseclient(url: str, count: int) -> Heard:
    heard: Heard = []
    with requests.get(url, stream=True, headers={"Accept": "text/event-stream"}, timeout=20) as got:
        client = sseclient.SSEClient(got)  # type: ignore[arg-type]
        for event in client.events():
            heard.append((event.event, event.data, event.id))
            if len(heard) == count:
                break
        client.close()
    return heard


def hear_with_httpx(url: str, count: int) -> Heard:
    heard: Heard = []
    with httpx.Client(trust_env=False) as client, httpx_sse.connect_sse(client, "GET", url) as got:
        for event in got.iter_sse():
            if event.retry is not None:
                # For it a reconnection time alone is an event, too.
                continue
            heard.append((event.event, event.data, event.id))
            if len(heard) == count:
                break
    return heard


def hear_with_node(url: str, count: int) -> Heard:
    programs.require_node_module("eventsource", HERE.parent / "interop")
    command = [programs.require("node"), str(HERE / "node_client.js"), url, str(count)]
    lines = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout
    return [tuple(json.loads(line)) for line in lines.splitlines()]


def hear_with_ours(url: str, count: int) -> Heard:
    heard: Heard = []
    with EventSource.Client(url) as es:
        for event in es:
            heard.append((event.type, event.data, event.last_event_id))
            if len(heard) == count:
                break
    return heard


CLIENTS = {
    "sseclient-py": hear_with_sseclient,
    "httpx-sse": hear_with_httpx,
    "eventsource of npm": hear_with_node,
    "ours": hear_with_ours,
}


@pytest.mark.parametrize("hear", CLIENTS.values(), ids=CLIENTS)
def test_every_client_hears_what_is_sent(server: Served, hear: Callable[..., Heard]) -> None:
    assert hear(server.url(), 5) == FIRST_FIVE
    server.wait_closed()


def test_curl_shows_events_as_they_come(server: Served) -> None:
    command = [programs.require("curl"), "-sN", "-H", "Accept: text/event-stream", server.url()]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as curl:
        assert curl.stdout is not None
        lines = [curl.stdout.readline() for _ in range(5)]
        curl.send_signal(signal.SIGTERM)
    assert lines == [b"retry: 100\n", b"\n", b"event: tick\n", b"id: 0\n", b"data: event 0\n"]
    server.wait_closed()


def test_a_stream_that_ends_ends_the_response(server: Served) -> None:
    got = requests.get(server.url("/three"), headers={"Accept": "text/event-stream"}, timeout=20)
    assert got.headers["Content-Type"] == "text/event-stream; charset=utf-8"
    assert got.headers["Cache-Control"] == "no-cache, no-transform"
    assert got.headers["Access-Control-Allow-Origin"] == "*"
    assert got.content.endswith("data: \u00fcber\ndata: zwei Zeilen\n\n".encode())
    server.wait_closed("/three")


@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
def test_older_http_gets_an_older_response(server: Served, version: bytes) -> None:
    with socket.create_connection(("127.0.0.1", server.port), 10) as sock:
        sock.sendall(
            b"GET /three HTTP/" + version + b"\r\nHost: h\r\nAccept: text/event-stream\r\n"
            b"Connection: close\r\n\r\n"
        )
        answer = b""
        while data := sock.recv(65536):
            answer += data
    head, _, body = answer.partition(b"\r\n\r\n")
    is_chunked = b"transfer-encoding: chunked" in head.lower()
    # Werkzeug chunks whatever it is asked.
    assert not (is_chunked and version == b"1.0") or server.name == "werkzeug"
    assert is_chunked or body.startswith(b"retry: 100\n\n")
    server.wait_closed("/three")


def test_pings_show_that_the_stream_lives(server: Served) -> None:
    with socket.create_connection(("127.0.0.1", server.port), 10) as sock:
        sock.sendall(b"GET /idle HTTP/1.0\r\nAccept: text/event-stream\r\n\r\n")
        text = b""
        while text.count(b":\n\n") < 2:
            text += sock.recv(65536)
    server.wait_closed("/idle")


def test_a_client_that_leaves_an_idle_stream_is_noticed(server: Served) -> None:
    with socket.create_connection(("127.0.0.1", server.port), 10) as sock:
        sock.sendall(b"GET /idle HTTP/1.0\r\nAccept: text/event-stream\r\n\r\n")
        while b"retry" not in sock.recv(65536):
            """Not open yet."""
    server.wait_closed("/idle")


def test_nothing_is_left_of_streams(server: Served) -> None:
    def count() -> int:
        pid = server.program.process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return len(os.listdir(f"/proc/{children[0] if children else pid}/fd"))

    def is_left(before: int) -> bool:
        deadline = time.monotonic() + DEADLINE / 5
        while count() > before and time.monotonic() < deadline:
            time.sleep(0.02)
        return count() > before

    # Each thread that a listener has slept in keeps its hub, but there are not ever more.
    for _ in range(5):
        before = count()
        for _ in range(10):
            hear_with_ours(server.url(), 1)
            server.wait_closed()
        if not is_left(before):
            return
    pytest.fail(f"each time there are more descriptors: {count()}")
