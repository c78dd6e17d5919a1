"""The example that plays Autobahn's cases, against a server with the suite's paths."""

from __future__ import annotations

import os
import pty
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import pytest
from websockets.sync.server import ServerConnection, serve

from support import programs

EXAMPLE = programs.ROOT / "examples" / "autobahn_client.py"


class FuzzingServer:
    """Three cases, each an echo; the one of the number `broken` ends without a close frame."""

    def __init__(self) -> None:
        self.broken = 0
        self.played: list[tuple[str, str]] = []
        self.reported: list[str] = []

    def __call__(self, ws: ServerConnection) -> None:
        assert ws.request is not None
        url = urlsplit(ws.request.path)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        if url.path == "/getCaseCount":
            ws.send("3")
        elif url.path == "/updateReports":
            self.reported.append(query["agent"])
        else:
            ws.send("Hello")
            self.played.append((query["case"], str(ws.recv(10))))
            if query["case"] == str(self.broken):
                ws.socket.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def fuzzing() -> Iterator[tuple[FuzzingServer, str]]:
    """A fuzzing server, and its URL."""
    handler = FuzzingServer()
    with serve(handler, "127.0.0.1", 0, close_timeout=2) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield handler, f"ws://127.0.0.1:{server.socket.getsockname()[1]}"
        server.shutdown()
        thread.join(10)
        assert not thread.is_alive()


def play(*arguments: str, stdout: int = subprocess.PIPE) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join(filter(None, (str(programs.ROOT), os.environ.get("PYTHONPATH"))))
    return subprocess.run(
        [sys.executable, "-W", "error", EXAMPLE, *arguments],
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        timeout=30,
        env={**os.environ, "PYTHONPATH": path, "NO_PROXY": "*"},
    )


def test_every_case_is_played_and_told_in_a_line(fuzzing: tuple[FuzzingServer, str]) -> None:
    server, url = fuzzing
    done = play(url, "somebody")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "case 1: 1000 ",
        "case 2: 1000 ",
        "case 3: 1000 ",
        "3 cases were played as somebody; the reports are with the server",
    ]
    assert server.played == [("1", "Hello"), ("2", "Hello"), ("3", "Hello")]
    assert server.reported == ["somebody"]


def test_a_terminal_gets_a_bar(fuzzing: tuple[FuzzingServer, str]) -> None:
    _, url = fuzzing
    ours, theirs = pty.openpty()
    try:
        done = play(url, stdout=theirs)
        shown = os.read(ours, 4096).decode()
    finally:
        os.close(ours)
        os.close(theirs)
    assert (done.returncode, done.stderr) == (0, "")
    bars = [line.strip() for line in shown.split("\r") if "/3" in line]
    assert bars == ["#" * 13 + "." * 27 + " 1/3", "#" * 26 + "." * 14 + " 2/3", "#" * 40 + " 3/3"]
    assert "3 cases were played as faye_ws" in shown


def test_a_case_that_breaks_off_is_named_and_the_others_are_played(
    fuzzing: tuple[FuzzingServer, str],
) -> None:
    server, url = fuzzing
    server.broken = 2
    done = play(url)
    assert done.returncode == 1
    assert done.stderr == "not played to the end: 2\n"
    assert [case for case, _ in server.played] == ["1", "2", "3"]
    assert server.reported == ["faye_ws"]


def test_no_server_is_a_sentence_and_a_status() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    done = play(f"ws://127.0.0.1:{port}")
    assert done.returncode == 1
    assert "this is no fuzzing server" in done.stderr
    assert "Traceback" not in done.stderr
