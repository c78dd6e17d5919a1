"""Signals end the command line in good order; the second one at once."""

from __future__ import annotations

import os
import pty
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from support.command_line import COMMAND
from support.hostile import read_to_end, serve
from support.screens import Screen
from support.wire import WHOLE_TEXT, frame


def greet(peer: socket.socket) -> None:
    """Say something, and never answer a close."""
    peer.sendall(frame(WHOLE_TEXT, b"Hello"))
    read_to_end(peer)


def start(*arguments: str, wrapper: tuple[str, ...] = ()) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(
        [*wrapper, *COMMAND, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdout.readline().strip() in (b"tick", b"Hello")
    return process


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_it_with_a_status_of_its_own(url: str, signum: signal.Signals) -> None:
    with start("--listen", f"{url}/ticks") as process:
        process.send_signal(signum)
        assert process.wait(20) == 128 + signum
        assert process.stderr is not None
        assert process.stderr.read() == b""


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_the_second_signal_waits_for_no_server(signum: signal.Signals) -> None:
    with serve(greet) as address, start("-l", "--timeout", "600", f"ws://{address}") as process:
        # Signals of one kind that come at once are one.
        while process.poll() is None:
            process.send_signal(signum)
            try:
                process.wait(0.2)
            except subprocess.TimeoutExpired:
                continue
        assert process.returncode == 128 + signum


def test_a_signal_that_is_ignored_stays_ignored(url: str) -> None:
    ignore = "import os, signal, sys; signal.signal(signal.SIGHUP, signal.SIG_IGN)"
    wrapper = (sys.executable, "-c", f"{ignore}; os.execv(sys.argv[1], sys.argv[1:])")
    with start("-l", f"{url}/ticks", wrapper=wrapper) as process:
        process.send_signal(signal.SIGHUP)
        assert process.stdout is not None
        for _ in range(3):
            assert process.stdout.readline() == b"tick\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 128 + signal.SIGTERM


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGHUP])
def test_the_terminal_is_given_back_at_a_signal(
    url: str, tmp_path: Path, signum: signal.Signals
) -> None:
    with Screen(url, state=tmp_path) as screen:
        before = screen.modes()
        screen.wait_for(">")
        screen.process.send_signal(signum)
        assert screen.end() == 128 + signum
        assert screen.modes() == before
        assert "Traceback" not in screen.seen


def test_the_terminal_is_given_back_at_the_second_signal(tmp_path: Path) -> None:
    with (
        serve(greet) as address,
        Screen("--timeout", "600", f"ws://{address}", state=tmp_path) as screen,
    ):
        before = screen.modes()
        screen.wait_for("< Hello")
        screen.wait_for(">")
        while screen.process.poll() is None:
            screen.process.send_signal(signal.SIGTERM)
            screen.read(0.2)
        assert screen.end() == 128 + signal.SIGTERM
        assert screen.modes() == before


def test_a_terminal_that_is_gone_ends_it(url: str, tmp_path: Path) -> None:
    master, slave = pty.openpty()
    errors = tmp_path / "errors"
    with errors.open("wb") as file:
        process = subprocess.Popen(
            [*COMMAND, "--no-history", f"{url}/ticks"],
            stdin=slave,
            stdout=slave,
            stderr=file,
            start_new_session=True,
        )
    os.close(slave)
    seen = b""
    while b"tick" not in seen:
        seen += os.read(master, 65536)
    os.close(master)
    # It is not its controlling terminal, so there is no SIGHUP either.
    assert process.wait(20) in (0, 5)
    assert "Traceback" not in errors.read_text()
