"""What goes to a terminal can't drive it; what goes elsewhere is as it came. And what can't go
anywhere is said."""

from __future__ import annotations

import os
import pty
import shlex
import socket
import subprocess
import sys
import tty
from collections.abc import Iterator
from typing import Any

import pytest

from support.hostile import ESCAPED, EVIL, read_to_end, serve, upgrade
from support.wire import CLOSE, WHOLE_TEXT, close_payload, frame

COMMAND = [sys.executable, "-W", "error", "-m", "faye_ws", "--no-history"]
STREAMS = ("stdin", "stdout", "stderr")


def run(*arguments: str, terminals: str = "", **env: str) -> tuple[int, str, str]:
    """Return the exit status, the output and the errors of a run.

    Args:
        terminals: which of the standard streams are a terminal, each one of its own.
    """
    masters: dict[str, int] = {}
    streams: dict[str, Any] = dict.fromkeys(STREAMS, subprocess.PIPE)
    for name in terminals.split():
        masters[name], streams[name] = pty.openpty()
        tty.setraw(streams[name])
    with subprocess.Popen([*COMMAND, *arguments], **streams, env={**os.environ, **env}) as process:
        for name in masters:
            os.close(streams[name])
        shown = {name: read_terminal(masters[name]) for name in STREAMS[1:] if name in masters}
        piped = process.communicate(timeout=100)
        for name, data in zip(STREAMS[1:], piped, strict=True):
            shown.setdefault(name, data)
    for master in masters.values():
        os.close(master)
    output, errors = (shown[name].decode() for name in STREAMS[1:])
    return process.returncode, output, errors


def read_terminal(master: int) -> bytes:
    """Return all that is shown, until the program has gone."""
    seen = b""
    while True:
        try:
            seen += os.read(master, 65536)
        except OSError:
            return seen


def say_evil(peer: socket.socket) -> None:
    reason = close_payload(4000, f"bye {EVIL}\n< fake".encode())
    peer.sendall(frame(WHOLE_TEXT, f"message {EVIL}".encode()) + frame(CLOSE, reason))
    read_to_end(peer)


@pytest.mark.parametrize("terminals", ["", "stdout", "stderr", "stdin stderr", "stdout stderr"])
def test_messages_and_reasons_are_escaped_for_the_stream_that_is_a_terminal(
    terminals: str,
) -> None:
    with serve(say_evil) as address:
        status, output, errors = run("-l", f"ws://{address}", terminals=terminals)
    assert status == 4
    assert output == f"message {ESCAPED if 'stdout' in terminals else EVIL}\n"
    if "stderr" in terminals:
        assert errors == f"faye-ws: closed: 4000 bye {ESCAPED}\\n< fake\n"
    else:
        assert errors == f"faye-ws: closed: 4000 bye {EVIL}\n< fake\n"


def hang_up_with_1000(peer: socket.socket) -> None:
    peer.sendall(frame(CLOSE, close_payload(1000)))
    read_to_end(peer)


def test_header_values_are_escaped_on_a_terminal() -> None:
    with serve(hang_up_with_1000, upgrade(b"X-Evil: a\x9b31m\r\n")) as address:
        _, _, errors = run("-l", "-v", f"ws://{address}", terminals="stderr")
        assert "X-Evil: a\\x9b31m\n" in errors
        assert "\x9b" not in errors


def refuse(head: bytes) -> bytes:
    body = f"no {EVIL}".encode()
    return b"HTTP/1.1 403 \x9b31m\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


@pytest.mark.parametrize("scheme", ["ws", "http"])
def test_refusals_are_escaped_on_a_terminal(scheme: str) -> None:
    with serve(read_to_end, refuse) as address:
        status, output, errors = run(f"{scheme}://{address}", terminals="stderr")
    assert (status, output) == (1, "")
    assert not set(errors) & set("\x1b\x07\x9b\u202e")
    assert r"\x9b31m" in errors


def stream(head: bytes) -> bytes:
    event = f"event: type {EVIL}\nid: id {EVIL}\ndata: data {EVIL}\n\n"
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
    return head + event.encode()


@pytest.mark.parametrize("terminals", ["", "stdout", "stderr"])
def test_events_are_escaped_for_the_stream_that_is_a_terminal(terminals: str) -> None:
    with serve(read_to_end, stream) as address:
        status, output, errors = run("-v", "-c", "1", f"http://{address}", terminals=terminals)
    assert status == 0
    assert output == f"data {ESCAPED if 'stdout' in terminals else EVIL}\n"
    words = ESCAPED if "stderr" in terminals else EVIL
    assert errors.split("\n", 1)[1] == f"type {words} id {words}\n"


def test_a_terminal_without_the_characters_gets_escapes() -> None:
    def script(peer: socket.socket) -> None:
        peer.sendall(frame(WHOLE_TEXT, "ü🚀".encode()))
        read_to_end(peer)

    with serve(script) as address:
        arguments = ("-c", "1", "--timeout", "0.5", f"ws://{address}")
        ascii = {"PYTHONIOENCODING": "ascii"}
        assert run(*arguments, terminals="stdout", **ascii) == (0, "\\xfc\\U0001f680\n", "")
        assert run(*arguments, **ascii) == (0, "ü🚀\n", "")


def shell(line: str) -> tuple[int, str, str]:
    """Return the exit status, the output and the errors of a line of the shell."""
    line = line.replace("faye-ws", shlex.join(COMMAND))
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=100)
    return done.returncode, done.stdout, done.stderr


@pytest.fixture(params=["message", "event", "help", "version"])
def talkative(request: pytest.FixtureRequest, url: str) -> Iterator[str]:
    """A command that writes to its output, and nothing to the errors."""
    if request.param == "event":
        with serve(read_to_end, stream) as address:
            yield f"faye-ws -c 1 http://{address}"
    else:
        message = f"echo Hello | faye-ws {url}"
        yield {"message": message, "help": "faye-ws --help", "version": "faye-ws --version"}[
            request.param
        ]


@pytest.mark.parametrize(("to", "reason"), [(">/dev/full", "space"), (">&-", "descriptor")])
def test_an_output_that_takes_nothing_is_one_sentence(talkative: str, to: str, reason: str) -> None:
    status, _, errors = shell(f"{talkative} {to}")
    assert (status, errors.count("\n")) == (5, 1)
    assert errors.startswith("faye-ws: can't write the output: ")
    assert reason in errors


@pytest.mark.parametrize("to", ["2>/dev/full", "2>&-"])
@pytest.mark.parametrize(
    ("command", "status"),
    [
        ("echo Hello | faye-ws -v URL", 0),
        ("faye-ws -l URL/close?[4001]", 4),
        ("faye-ws URL/refuse", 1),
        ("faye-ws ws://127.0.0.1:1", 1),
        ("faye-ws http://127.0.0.1:x", 2),
        ("faye-ws ftp://localhost", 2),
        ("faye-ws --no-such-option", 2),
        ("echo Hello | faye-ws URL >/dev/full", 5),
    ],
)
def test_errors_that_nobody_can_read_change_no_status(
    url: str, command: str, status: int, to: str
) -> None:
    done = shell(f"{command.replace('URL', url)} {to}")
    assert done == (status, "Hello\n" if status == 0 else "", "")


def test_an_input_that_is_closed_is_an_empty_one(url: str) -> None:
    assert shell(f"faye-ws {url} <&-") == (0, "", "")
    assert shell(f"faye-ws -c 2 {url}/count <&-") == (0, "0\n1\n", "")
    assert shell(f"faye-ws {url} <&- >&- 2>&-") == (0, "", "")


def test_an_input_that_can_not_be_read_is_one_sentence(url: str) -> None:
    status, output, errors = shell(f"faye-ws {url} 0>/dev/null")
    assert (status, output) == (5, "")
    assert errors == "faye-ws: can't read the input: [Errno 9] Bad file descriptor\n"


def test_streams_that_do_not_block_lose_nothing(url: str) -> None:
    # The pipe is full long before anybody reads, and empty before anybody writes.
    unblock = "import os, sys; [os.set_blocking(fd, False) for fd in (0, 1)]"
    start = f"{unblock}; os.execv(sys.argv[1], sys.argv[1:])"
    command = shlex.join([sys.executable, "-c", start, *COMMAND, url])
    line = f"(sleep 0.5; seq 30000) | {command} | (sleep 0.5; cat)"
    assert shell(line) == (0, "".join(f"{number}\n" for number in range(1, 30001)), "")
