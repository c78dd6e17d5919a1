"""What connections leave behind on servers with threads: nothing."""

from __future__ import annotations

import socket
import struct
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from websockets.sync.client import connect

from support import programs, serving

HERE = Path(__file__).parent
DEADLINE = 15.0
CONVERSATIONS = 60
GTHREAD = ["-m", "gunicorn", "-k", "gthread", "--threads", "4", "-b", "127.0.0.1:0"]
GTHREAD += ["--no-control-socket"]


@pytest.fixture(params=["gthread", "werkzeug"])
def address(request: pytest.FixtureRequest) -> Iterator[str]:
    is_werkzeug = request.param == "werkzeug"
    command: list[str | Path] = [sys.executable, "-u", HERE / "counting_app.py"]
    if not is_werkzeug:
        command = [sys.executable, *GTHREAD, "--chdir", HERE, "counting_app:app"]
    with programs.Program(command, env={"PYTHONPATH": str(programs.ROOT)}) as program:
        if is_werkzeug:
            port = int(program.wait_for_line(r"port (\d+)")[1])
        else:
            port = program.wait_for_gunicorn()
        yield f"127.0.0.1:{port}"


def _converse(address: str, number: int) -> None:
    path = "/loop" if number % 2 else "/"
    if number % 3 == 0:
        _leave_without_a_word(address, path)
    else:
        with connect(f"ws://{address}{path}", proxy=None) as ws:
            ws.send("hello")
            assert ws.recv(DEADLINE) == "hello"
    if number % 10 == 0:
        accept = {"Accept": "text/event-stream", "Connection": "close"}
        assert "data: over" in requests.get(f"http://{address}/", headers=accept, timeout=15).text


def _leave_without_a_word(address: str, path: str) -> None:
    host, _, port = address.partition(":")
    with socket.create_connection((host, int(port)), DEADLINE) as sock:
        sock.sendall(serving.handshake(path) + serving.text("hello"))
        answer = b""
        while not answer.endswith(b"\x81\x05hello"):
            answer += sock.recv(2**16)
        # RST.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def _take_census(address: str) -> Counter[str]:
    closing = {"Connection": "close"}
    return Counter(requests.get(f"http://{address}/census", headers=closing, timeout=15).json())


def test_conversations_leave_nothing_behind(address: str) -> None:
    for number in range(12):
        _converse(address, number)
    # What the first needed is there for all.
    before = _take_census(address)
    for number in range(CONVERSATIONS):
        _converse(address, number)
    deadline = time.monotonic() + DEADLINE
    while left := _take_census(address) - before:
        if time.monotonic() > deadline:
            pytest.fail(f"left behind: {left}")
        time.sleep(0.1)
