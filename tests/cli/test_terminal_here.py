"""What is shown on a terminal, in the process of the tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from faye_ws.cli import terminal
from faye_ws.cli.terminal import Terminal, open_history


class Shown:
    """An output that notes what it is given."""

    def __init__(self, is_terminal: bool = True) -> None:
        self.is_terminal = is_terminal
        self.written: list[str] = []
        self.failure: OSError | None = None

    def write(self, text: str) -> None:
        if self.failure is not None:
            raise self.failure
        self.written.append(text)

    def say(self, text: str) -> None:
        self.written.append(f"said: {text}")


class Typed:
    """Stands for the line that is typed."""

    def __init__(self, history: Path | None, output: Any) -> None:
        self.history = history
        self.typed = ["one", "two"]
        self.print = output.write
        self.log: list[str] = []

    def read(self) -> str | None:
        return self.typed.pop(0) if self.typed else None

    def stop(self) -> None:
        self.log.append("stop")

    def restore(self) -> None:
        self.log.append("restore")


class Outputs:
    def __init__(self) -> None:
        self.output = Shown()
        self.errors = Shown()


@pytest.fixture
def outputs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Outputs:
    outputs = Outputs()
    monkeypatch.setattr(terminal, "standard_output", lambda: outputs.output)
    monkeypatch.setattr(terminal, "standard_error", lambda: outputs.errors)
    monkeypatch.setattr(terminal, "Prompt", Typed)
    monkeypatch.setattr(terminal, "IS_INSTALLED", True)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    return outputs


def test_messages_notes_and_errors_look_different(outputs: Outputs) -> None:
    shown = Terminal(color=True, history=False)
    shown.show("a\x1b\nb")
    shown.note("a\nb")
    shown.error("c")
    assert outputs.output.written == [
        "\x1b[36m< a\\x1b\n  b\x1b[0m\n",
        "\x1b[2ma\\nb\x1b[0m\n",
        "\x1b[31mc\x1b[0m\n",
    ]


def test_notes_and_errors_go_where_errors_go(outputs: Outputs) -> None:
    outputs.errors.is_terminal = False
    Terminal(color=False, history=False).note("a")
    assert outputs.errors.written == ["said: a"]


def test_what_can_not_be_said_is_not_worth_an_error(outputs: Outputs) -> None:
    outputs.output.failure = OSError("gone")
    shown = Terminal(color=False, history=False)
    shown.error("a")
    with pytest.raises(OSError, match="gone"):
        shown.show("a")


def test_lines_are_typed_and_the_terminal_is_given_back(outputs: Outputs) -> None:
    shown = Terminal(color=False, history=True)
    assert not shown.has_input()
    assert list(shown.lines()) == ["one", "two"]
    shown.stop()
    shown.restore()
    prompt: Any = shown._prompt
    assert prompt.log == ["stop", "restore"]
    assert prompt.history.name == "history"


def test_without_the_extra_lines_are_read_as_the_terminal_gives_them(
    outputs: Outputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Lines:
        def lines(self) -> list[str]:
            return ["plain"]

    monkeypatch.setattr(terminal, "IS_INSTALLED", False)
    monkeypatch.setattr(terminal, "Input", Lines)
    shown = Terminal(color=False, history=True)
    assert "faye_ws[cli]" in outputs.output.written[0]
    assert list(shown.lines()) == ["plain"]
    shown.show("a")
    shown.stop()
    shown.restore()
    assert outputs.output.written[1:] == ["< a\n"]


def test_the_history_is_for_our_eyes_only_and_has_a_bound(outputs: Outputs, tmp_path: Path) -> None:
    errors: Any = Shown()
    path = open_history(errors)
    assert path is not None
    assert path.stat().st_mode & 0o777 == 0o600
    entry = b"\n# 2026-01-01\n+line\n"
    path.write_bytes(entry * 20000)
    assert open_history(errors) == path
    kept = path.read_bytes()
    assert len(kept) < 2**18
    assert kept.startswith(b"\n# ")
    assert errors.written == []


def test_there_may_be_no_place_for_a_history(
    outputs: Outputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    errors: Any = Shown()
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    assert open_history(errors) is None
    assert errors.written[0].startswith("said: no history: ")
