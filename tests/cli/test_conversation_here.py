"""Conversations of the command line with a server, both in the process of the tests."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any

import gevent
import pytest

from faye_ws import Client, WebSocket
from faye_ws.cli import conversation
from faye_ws.cli.arguments import parse_arguments
from faye_ws.cli.conversation import Conversation, connect
from faye_ws.cli.status import CLOSED_OTHERWISE, INCOMPLETE, LOST, NOT_OPENED, OK
from support import native, serving
from support.certificates import Certificates
from support.scripts import ScriptPeer
from support.serving import Serving

serve = serving.connect


class Console:
    """Stands for the user, who says some lines and then no more."""

    def __init__(self, *said: Any, waits: bool = False) -> None:
        self.said = list(said)
        self.waits = waits
        self.shown: list[str | bytes] = []
        self.notes: list[str] = []
        self.errors: list[str] = []
        self.failure: OSError | None = None
        self.delay = 0.0
        self.is_stopped = False

    def lines(self) -> Iterator[str]:
        while self.said:
            line = self.said.pop(0)
            if isinstance(line, Exception):
                raise line
            yield line
        if self.waits:
            gevent.sleep(60)

    def has_input(self) -> bool:
        return bool(self.said)

    def show(self, message: str | bytes) -> None:
        if self.failure is not None:
            raise self.failure
        gevent.sleep(self.delay)
        self.shown.append(message)

    def note(self, text: str) -> None:
        self.notes.append(text)

    def error(self, text: str) -> None:
        self.errors.append(text)

    def stop(self) -> None:
        self.is_stopped = True

    def restore(self) -> None:
        """Do nothing."""


Hold = Callable[..., int]


@pytest.fixture
def hold(serve: Serving) -> Iterator[Hold]:
    """Hold a conversation, and return the exit status."""
    before = {number: signal.getsignal(number) for number in (1, 2, 15)}

    def hold(console: Any, *options: str, accept: Any = None) -> int:
        url = f"ws://127.0.0.1:{serve.port}{serve.expect(accept)}"
        given = parse_arguments([*options, url], "1")
        status = Conversation(connect(given), given, console).hold()
        assert console.is_stopped
        return status

    yield hold
    for number, handler in before.items():
        signal.signal(number, handler)


def echo(ws: WebSocket) -> None:
    ws.on("message", lambda event: ws.send(event.data))


def test_what_is_said_is_answered(hold: Hold) -> None:
    console = Console("one", "two")
    assert hold(console, "-v", accept=echo) == OK
    assert console.shown == ["one", "two"]
    assert console.notes[0].endswith(": 101")
    assert any(note.lower() == "upgrade: websocket" for note in console.notes)


def test_binary_messages_are_digits(hold: Hold) -> None:
    console = Console("00ff", "00f")
    assert hold(console, "-b", accept=echo) == OK
    assert console.shown == [b"\0\xff"]
    assert console.errors == ["faye-ws: not hexadecimal: '00f'"]


def test_it_ends_with_the_count(hold: Hold) -> None:
    console = Console("one", "two", "three", waits=True)
    assert hold(console, "--count", "2", accept=echo) == OK
    assert console.shown == ["one", "two"]


def test_it_may_only_listen(hold: Hold) -> None:
    def accept(ws: WebSocket) -> None:
        ws.on("open", lambda event: (ws.send("news"), ws.close(3001, "enough")))

    console = Console("not said")
    assert hold(console, "--listen", accept=accept) == CLOSED_OTHERWISE
    assert console.shown == ["news"]
    assert console.errors == ["faye-ws: closed: 3001 enough"]


def test_a_connection_that_is_lost_is_told(hold: Hold) -> None:
    console: Any = Console(waits=True)
    with ScriptPeer() as peer:
        leaving = native.start(lambda: peer.accept().socket.close())
        given = parse_arguments([peer.url], "1")
        assert Conversation(connect(given), given, console).hold() == LOST
        leaving.join(10)
    assert console.errors == ["faye-ws: closed: 1006"]


def test_a_server_that_refuses_is_told(serve: Serving, hold: Hold) -> None:
    def app(environ: Any, start_response: Any) -> list[bytes]:
        start_response("403 Forbidden", [("Content-Length", "0")])
        return [b""]

    given = parse_arguments([f"ws://127.0.0.1:{serve.port}{serve.expect(app=app)}", "-v"], "1")
    console: Any = Console()
    assert Conversation(connect(given), given, console).hold() == NOT_OPENED
    assert console.notes[0].endswith(": 403")
    assert "403" in console.errors[0]


def test_an_input_that_can_not_be_read_is_told(hold: Hold) -> None:
    console = Console("one", OSError("broken"))
    assert hold(console, accept=echo) == INCOMPLETE
    assert console.errors == ["faye-ws: can't read the input: broken"]


def test_an_output_that_can_not_be_written_is_told(hold: Hold) -> None:
    console = Console("one", waits=True)
    console.failure = OSError("full")
    assert hold(console, accept=echo) == INCOMPLETE
    assert console.errors == ["faye-ws: can't write the output: full"]


def test_nobody_need_read_to_the_end(hold: Hold) -> None:
    console = Console("one", waits=True)
    console.failure = BrokenPipeError()
    assert hold(console, accept=echo) == OK
    assert console.errors == []


def test_what_could_not_be_sent_any_more_is_told(hold: Hold) -> None:
    def accept(ws: WebSocket) -> None:
        ws.on("open", lambda event: ws.close())

    class Slow(Console):
        def lines(self) -> Iterator[str]:
            gevent.sleep(0.05)
            yield from super().lines()

    console = Slow("too late")
    assert hold(console, accept=accept) == INCOMPLETE
    assert console.errors == ["faye-ws: closed before all of the input was sent"]


def test_after_the_input_it_waits_as_long_as_it_is_told(hold: Hold) -> None:
    def accept(ws: WebSocket) -> None:
        ws.on("message", lambda event: (gevent.sleep(0.05), ws.send("late"), ws.close()))

    console = Console("one")
    assert hold(console, "--wait", "60", accept=accept) == OK
    assert console.shown == ["late"]


def test_answers_that_are_slow_to_show_are_waited_for(
    hold: Hold, monkeypatch: pytest.MonkeyPatch
) -> None:
    console = Console("one", "two", "three")
    console.delay = 0.02
    assert hold(console, accept=echo) == OK
    assert console.shown == ["one", "two", "three"]


def test_a_server_that_never_stops_talking_is_left(
    hold: Hold, monkeypatch: pytest.MonkeyPatch
) -> None:
    def talk(ws: WebSocket) -> None:
        while ws.send("news"):
            gevent.sleep(0)

    monkeypatch.setattr(conversation, "_MAX_SILENCE", 0.1)
    console = Console("one")
    accept = lambda ws: ws.on("open", lambda event: talk(ws))  # noqa: E731
    assert hold(console, accept=accept) == OK
    assert len(console.shown) > 1


def test_a_server_that_does_not_answer_is_told(hold: Hold, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conversation, "_MAX_SILENCE", 0.05)
    # None of its pongs comes.
    monkeypatch.setattr(Client, "ping", lambda ws, callback: True)
    console = Console("one")
    assert hold(console, accept=echo) == INCOMPLETE
    assert console.errors == ["faye-ws: no answer for 0.05 seconds; --wait waits longer"]


def test_a_server_that_closes_owes_no_answer(hold: Hold, monkeypatch: pytest.MonkeyPatch) -> None:
    def accept(ws: WebSocket) -> None:
        ws.on("message", lambda event: gevent.spawn_later(0.1, ws.close))

    monkeypatch.setattr(conversation, "_MAX_SILENCE", 0.02)
    monkeypatch.setattr(Client, "ping", lambda ws, callback: True)
    monkeypatch.setattr(Client, "buffered_amount", property(lambda ws: time.monotonic()))
    console = Console("one")
    assert hold(console, accept=accept) == OK
    assert console.errors == []


def test_a_signal_ends_it_and_is_its_status(hold: Hold) -> None:
    def accept(ws: WebSocket) -> None:
        ws.on("open", lambda event: os.kill(os.getpid(), signal.SIGTERM))

    console = Console(waits=True)
    assert hold(console, accept=accept) == 128 + signal.SIGTERM
    assert console.errors == []


def test_a_count_is_waited_for_after_the_input(hold: Hold) -> None:
    def accept(ws: WebSocket) -> None:
        ws.on("message", lambda event: gevent.spawn_later(0.05, ws.end, "late"))

    console = Console("one")
    assert hold(console, "--count", "5", accept=accept) == OK
    assert console.shown == ["late"]


def _kill() -> None:
    os.kill(os.getpid(), signal.SIGTERM)
    gevent.sleep(0.01)


@pytest.mark.parametrize("when", ["before", "meanwhile"])
def test_who_ends_the_program_does_not_wait_for_answers(
    hold: Hold, when: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conversation, "_MAX_SILENCE", 0.02)
    # As if more and more were to be sent.
    monkeypatch.setattr(Client, "buffered_amount", property(lambda ws: time.monotonic()))
    console: Any = Console("one")
    if when == "before":
        console.lines = lambda: map(str, filter(lambda _: _kill(), [1]))
    else:
        gevent.spawn_later(0.1, _kill)
    # A server that answers nothing, not even the close.
    with ScriptPeer() as peer:
        accepting = native.start(peer.accept)
        given = parse_arguments(["--timeout", "1", peer.url], "1")
        assert Conversation(connect(given), given, console).hold() == 128 + signal.SIGTERM
        accepting.join(10)
    assert console.errors == []


def test_the_options_are_those_of_a_client(serve: Serving, certificates: Certificates) -> None:
    url = f"ws://127.0.0.1:{serve.port}{serve.expect()}"
    more = ["--insecure", "--no-proxy", "--compress", "--ca", certificates.ca, "-p", "irc"]
    ws = connect(parse_arguments([*more, url], "1"))
    ws.wait_open()
    assert not ws.protocol
    ws.close()
    ws.wait_closed(10)
