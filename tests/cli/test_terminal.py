"""The command line on a terminal, which is a pseudo-terminal here."""

from __future__ import annotations

import re
import shlex
import signal
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.hostile import serve
from support.screens import DEADLINE, Screen, plain
from support.wire import WHOLE_TEXT, frame

pytest.importorskip("prompt_toolkit")


@pytest.fixture
def screen(url: str, tmp_path: Path) -> Iterator[Screen]:
    with Screen(url, state=tmp_path) as screen:
        screen.wait_for(">")
        yield screen


def test_what_is_typed_is_sent_and_what_comes_is_shown(screen: Screen) -> None:
    screen.type("Hello\r")
    screen.wait_for(r"< Hello\s+>")
    screen.type("\x04")
    assert screen.end() == 0
    assert "Traceback" not in screen.seen


def test_what_comes_does_not_garble_the_line_that_is_typed(url: str, tmp_path: Path) -> None:
    with Screen(f"{url}/ticks", state=tmp_path) as screen:
        screen.wait_for(r"< tick")
        screen.type("half a line")
        screen.wait_for(r"half a line")
        shown = len(screen.seen)
        # The line is taken away, what has come is shown, and the whole line is drawn again.
        while not re.search(r"< tick\s+> half a line", plain(screen.seen[shown:])):
            screen.wait_for(r"half a line")
            assert screen.read(DEADLINE)
        screen.type("\x03")
        assert screen.end() == 0


def test_a_peer_does_not_drive_the_terminal(url: str, tmp_path: Path) -> None:
    with Screen(f"{url}/evil", state=tmp_path) as screen:
        screen.wait_for(r"< 00ff")
        assert r"< \x1b[31mred\x07 \u202e \x9b2J\r" in screen.seen
        assert re.search(r"\n  second", plain(screen.seen))
        screen.type("\x04")
        assert screen.end() == 0


def test_keys_that_are_ahead_of_the_prompt_are_not_lost(url: str, tmp_path: Path) -> None:
    with Screen(url, state=tmp_path) as screen:
        screen.wait_for(">")
        screen.type("one\rtwo\rthree\r\x04")
        assert screen.end() == 0
        for line in ("one", "two", "three"):
            assert f"< {line}" in plain(screen.seen)


def test_the_terminal_is_given_back_as_it_was(url: str, tmp_path: Path) -> None:
    with Screen(url, state=tmp_path) as screen:
        before = screen.modes()
        screen.wait_for(">")
        assert screen.modes() != before
        screen.type("\x04")
        assert screen.end() == 0
        assert screen.modes() == before


@pytest.mark.parametrize(
    ("arguments", "env", "colored"),
    [
        ([], {}, True),
        (["--color", "never"], {}, False),
        ([], {"NO_COLOR": "1"}, False),
        (["--color", "always"], {"NO_COLOR": "1"}, True),
    ],
)
def test_colours_can_be_chosen(
    url: str, tmp_path: Path, arguments: list[str], env: dict[str, Any], colored: bool
) -> None:
    with Screen(*arguments, url, state=tmp_path, **env) as screen:
        screen.wait_for(">")
        screen.type("Hello\r")
        screen.wait_for(r"< Hello")
        assert ("\x1b[36m< Hello" in screen.seen) is colored


def test_lines_are_remembered_from_one_time_to_the_next(url: str, tmp_path: Path) -> None:
    with Screen(url, state=tmp_path) as screen:
        screen.wait_for(">")
        screen.type("first\r")
        screen.wait_for(r"< first\s+>")
        screen.type("\x04")
        assert screen.end() == 0
    history = tmp_path / "faye_ws" / "history"
    assert history.stat().st_mode & 0o777 == 0o600
    with Screen(url, state=tmp_path) as screen:
        screen.wait_for(">")
        screen.type("\x1b[A\r")
        screen.wait_for("< first")
    history.write_text("\n# 2001\n+secret\n")
    with Screen("--no-history", url, state=tmp_path) as screen:
        screen.wait_for(">")
        screen.type("\x1b[Aother\r")
        screen.wait_for("< other")
        assert "secret" not in screen.seen
    assert "other" not in history.read_text()


def test_the_end_of_the_connection_ends_the_line_that_is_typed(url: str, tmp_path: Path) -> None:
    with Screen(url, state=tmp_path) as screen:
        screen.wait_for(">")
        screen.type("lose\r")
        assert screen.end() == 3
        assert "closed: 1006" in screen.seen


def test_what_can_not_be_opened_is_said(url: str, tmp_path: Path) -> None:
    with Screen(f"{url}/refuse", state=tmp_path) as screen:
        assert screen.end() == 1
        assert "the server answered 403 Forbidden: no entry" in screen.seen


def test_ctrl_z_stops_it_and_it_goes_on_in_the_foreground(url: str, tmp_path: Path) -> None:
    shell = ["bash", "--norc", "--noprofile", "-i"]
    with Screen(state=tmp_path, command=shell, PS1="$ ", INPUTRC="/dev/null") as screen:
        screen.wait_for(r"\$ ")
        screen.type(f"{shlex.join([sys.executable, '-m', 'faye_ws', url])}\r")
        screen.wait_for(r"\n\r?>")
        screen.type("one\r")
        screen.wait_for(r"< one\s+>")
        screen.type("\x1a")
        screen.wait_for(r"Stopped")
        screen.type("fg\r")
        screen.wait_for(r"Stopped(.|\n)*\n\r?>")
        screen.type("two\r")
        screen.wait_for(r"< two\s+>")
        screen.type("\x04")
        screen.wait_for(r"< two(.|\n)*\$ ")
        screen.type("exit 7\r")
        assert screen.end() == 7


def test_what_the_encoding_of_the_terminal_has_not_can_be_typed(url: str, tmp_path: Path) -> None:
    with Screen(url, state=tmp_path, PYTHONIOENCODING="ascii") as screen:
        screen.wait_for(">")
        screen.type("\u00fc\r")
        screen.wait_for(r"< \\xfc\s+>")
        screen.type("\x04")
        assert screen.end() == 0


def test_a_flood_waits_for_the_terminal(tmp_path: Path) -> None:
    sent = 0

    def flood(peer: socket.socket) -> None:
        nonlocal sent
        while True:
            peer.sendall(frame(WHOLE_TEXT, b"flood " * 1000) * 10)
            sent += 60_000

    with serve(flood) as address, Screen(f"ws://{address}", state=tmp_path) as screen:
        screen.wait_for(r"< flood")
        before = -1
        # Nobody reads the terminal. In the end nothing moves any more, wherever it waits.
        while before < sent:
            before = sent
            time.sleep(1)
        assert sent < 2**25
        screen.type("\x03")
        screen.process.send_signal(signal.SIGTERM)
        assert screen.end() in (0, 128 + signal.SIGTERM)
