"""The command line tails an event stream, both in the process of the tests."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from typing import Any

import gevent
import pytest

from faye_ws.cli import stream
from faye_ws.cli.arguments import parse_arguments
from faye_ws.cli.status import INCOMPLETE, NOT_OPENED, OK
from faye_ws.cli.stream import Tail, connect_stream
from support.stream_servers import HEAD, STOP, Script

EVENTS = [HEAD, b"id: 1\nevent: tick\ndata: a\n\ndata: b\n\n"]


class Console:
    """Stands for the user."""

    def __init__(self) -> None:
        self.shown: list[str] = []
        self.notes: list[str] = []
        self.errors: list[str] = []
        self.failure: OSError | None = None

    def show(self, text: str) -> None:
        if self.failure is not None:
            raise self.failure
        self.shown.append(text)

    def note(self, text: str) -> None:
        self.notes.append(text)

    def error(self, text: str) -> None:
        self.errors.append(text)

    def stop(self) -> None:
        self.errors.append("stopped")

    def restore(self) -> None:
        """Do nothing."""


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """Leave the handlers as they were."""
    before = {number: signal.getsignal(number) for number in (1, 2, 15)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def tail(console: Any, *options: str, scripts: Any = (EVENTS, STOP)) -> int:
    """Tail a stream, and return the exit status."""
    with Script(*scripts) as server:
        given = parse_arguments([*options, server.url], "1")
        es = connect_stream(given)
        return Tail(es, given, console).hold()


def test_events_are_shown_until_there_are_no_more() -> None:
    console = Console()
    assert tail(console, scripts=([*EVENTS, b"retry: 10\n\n"], STOP)) == NOT_OPENED
    assert console.shown == ["a", "b"]
    assert "204" in console.errors[0]
    assert console.errors[1:] == ["stopped"]
    assert console.notes == []


def test_a_count_of_events_ends_it() -> None:
    console = Console()
    assert tail(console, "-c", "2", scripts=([*EVENTS, 60],)) == OK
    assert console.shown == ["a", "b"]


def test_types_and_ids_are_noted_and_losses_are_errors() -> None:
    console = Console()
    scripts = ([HEAD, b"retry: 10\nevent: tick\nid: 1\ndata: a\n\n"], STOP)
    assert tail(console, "-v", scripts=scripts) == NOT_OPENED
    assert console.notes[0].endswith(": 200")
    assert console.notes[1:] == ["tick 1"]
    # That it was lost, and then why it is over, which is said once.
    assert len(console.errors) == 3
    assert "204" in console.errors[1]


@pytest.mark.parametrize(
    ("failure", "status", "errors"),
    [
        (BrokenPipeError(), OK, []),
        (OSError("full"), INCOMPLETE, ["faye-ws: can't write the output: full"]),
    ],
)
def test_an_output_that_fails_ends_it(failure: OSError, status: int, errors: list[str]) -> None:
    console = Console()
    console.failure = failure
    assert tail(console) == status
    assert console.errors == [*errors, "stopped"]


def test_a_signal_ends_it_and_is_its_status() -> None:
    gevent.spawn_later(0.05, os.kill, os.getpid(), signal.SIGTERM)
    assert tail(Console(), scripts=([HEAD, 60],)) == 128 + signal.SIGTERM


@pytest.mark.parametrize(
    ("options", "given"),
    [
        ([], {}),
        (["--insecure"], {"verify": False}),
        (["--ca", "file"], {"verify": "file"}),
        (["--proxy", "http://p"], {"proxies": {"http": "http://p", "https": "http://p"}}),
        (["--no-proxy"], {"proxies": {"http": "", "https": ""}}),
        (["--cert", "c"], {"cert": "c"}),
        (["--cert", "c", "--key", "k"], {"cert": ("c", "k")}),
        (["-H", "A: b", "-o", "http://o"], {"headers": {"A": "b", "Origin": "http://o"}}),
        (["--last-event-id", "7"], {"last_event_id": "7"}),
    ],
)
def test_the_options_are_those_of_a_client(
    options: list[str], given: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[dict[str, Any]] = []
    monkeypatch.setattr(stream, "EventSourceClient", lambda url, **more: seen.append(more))
    connect_stream(parse_arguments([*options, "http://example.com/"], "1"))
    assert seen == [{"headers": {}, "last_event_id": "", **given}]
