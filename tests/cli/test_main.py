"""The command line as a whole, in the process of the tests."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from typing import Any

import pytest

from faye_ws.cli import main as module
from faye_ws.cli.main import main, open_console
from faye_ws.cli.pipe import Pipe
from faye_ws.cli.status import INTERRUPTED, MISUSED, NOT_OPENED, OK
from support import serving
from support.serving import Serving
from support.stream_servers import HEAD, STOP, Script

connect = serving.connect


@pytest.fixture(autouse=True)
def pipe_for_us(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An input that is closed, and the handlers of signals as they were."""
    monkeypatch.setattr("sys.stdin", None)
    before = {number: signal.getsignal(number) for number in (1, 2, 15)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_a_websocket_is_talked_to(connect: Serving, capfd: pytest.CaptureFixture[str]) -> None:
    path = connect.expect(lambda ws: ws.on("open", lambda event: ws.send("news")))
    assert main([f"ws://127.0.0.1:{connect.port}{path}"]) == OK
    assert capfd.readouterr() == ("news\n", "")


def test_an_event_stream_is_shown(capfd: pytest.CaptureFixture[str]) -> None:
    with Script([HEAD, b"data: a\n\n", 10]) as server:
        assert main(["--count", "1", server.url]) == OK
    assert capfd.readouterr() == ("a\n", "")


@pytest.mark.parametrize("url", ["ftp://example.com/", "http://", "ws://example.com/#fragment"])
def test_what_is_no_url_is_said(url: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert main([url]) == MISUSED
    assert capfd.readouterr().err.startswith("faye-ws: ")


def test_a_stream_that_is_over_is_said(capfd: pytest.CaptureFixture[str]) -> None:
    with Script(STOP) as server:
        assert main([server.url]) == NOT_OPENED
    assert "204" in capfd.readouterr().err


def test_an_interrupt_before_the_signals_are_ours_has_its_status(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "parse_arguments", interrupted)
    assert main([]) == INTERRUPTED


@pytest.mark.parametrize(
    ("color", "env", "colored"),
    [
        ("auto", {"TERM": "xterm"}, True),
        ("auto", {"TERM": "dumb"}, False),
        ("auto", {"TERM": "xterm", "NO_COLOR": ""}, False),
        ("never", {"TERM": "xterm"}, False),
        ("always", {"TERM": "dumb"}, True),
    ],
)
def test_a_terminal_has_colours_if_it_can_and_may(
    color: str, env: dict[str, str], colored: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[tuple[bool, bool]] = []
    monkeypatch.delenv("NO_COLOR", raising=False)
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    terminal: Any = type("Output", (), {"is_terminal": True})
    monkeypatch.setattr(module, "standard_output", terminal)
    monkeypatch.setattr(module.os, "isatty", lambda descriptor: True)  # type: ignore[attr-defined]
    monkeypatch.setattr(module, "Terminal", lambda *args: opened.append(args))
    open_console(color, history=True)
    assert opened == [(colored, True)]


def test_anything_else_is_a_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.os, "isatty", lambda descriptor: False)  # type: ignore[attr-defined]
    assert isinstance(open_console("always", history=True), Pipe)
