"""What stands between a pipe and a connection, called in the process of the tests."""

from __future__ import annotations

import pytest

from faye_ws.cli.pipe import Pipe


def test_messages_and_notes_go_different_ways(capfd: pytest.CaptureFixture[str]) -> None:
    pipe = Pipe()
    pipe.show("text")
    pipe.show(b"\x00\xff")
    pipe.note("a note")
    pipe.error("an error")
    pipe.stop()
    pipe.restore()
    assert capfd.readouterr() == ("text\n00ff\n", "a note\nan error\n")


def test_the_input_is_read_as_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", None)
    pipe = Pipe()
    assert pipe.has_input()
    assert list(pipe.lines()) == []
