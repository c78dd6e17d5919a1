"""Nothing is lost in silence, whatever the server does."""

from __future__ import annotations

import socket
import subprocess

import pytest

from support.command_line import COMMAND, run
from support.hostile import Script, read_to_end, reset, serve
from support.wire import CLOSE, WHOLE_TEXT, close_payload, frame


def test_each_of_a_great_many_lines_is_answered(url: str) -> None:
    lines = "".join(f"{number}\n" for number in range(1, 200001))
    assert run(url, input=lines) == (0, lines, "")


def test_what_comes_is_not_cut_off_by_a_reader_that_is_slow(url: str) -> None:
    # Longer than a silent server is waited for.
    lines = "".join(f"{number} {'x' * 500}\n" for number in range(5000))
    slow = "import sys, time; time.sleep(6); sys.stdout.write(sys.stdin.read())"
    with (
        subprocess.Popen(
            [*COMMAND, url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as command,
        subprocess.Popen(
            [COMMAND[0], "-c", slow], stdin=command.stdout, stdout=subprocess.PIPE
        ) as reader,
    ):
        assert command.stdout is not None
        command.stdout.close()
        command.stdout = None
        _, errors = command.communicate(lines.encode(), timeout=100)
        assert reader.stdout is not None
        assert reader.stdout.read() == lines.encode()
        assert (command.returncode, errors) == (0, b"")


def test_a_server_that_does_not_answer_at_the_end_is_told_of() -> None:
    with serve(read_to_end) as address:
        status, output, errors = run("--timeout", "0.5", f"ws://{address}", input="Hello\n")
    assert (status, output) == (3, "")
    silence = "faye-ws: no answer for 5 seconds; --wait waits longer\n"
    assert errors == f"{silence}faye-ws: closed: 1006\n"


def test_lines_that_could_not_be_sent_are_told_of() -> None:
    def script(peer: socket.socket) -> None:
        peer.sendall(frame(CLOSE, close_payload(1000)))
        read_to_end(peer)

    with serve(script) as address:
        lines = "Hello\n" * 200_000
        status, output, errors = run(f"ws://{address}", input=lines)
    assert (status, output) == (5, "")
    assert errors == "faye-ws: closed before all of the input was sent\n"


def close_oddly(peer: socket.socket) -> None:
    peer.sendall(frame(WHOLE_TEXT, b"one"))
    peer.recv(1000)
    peer.sendall(frame(CLOSE, close_payload(1011, b"odd")))


def reset_at_the_close(peer: socket.socket) -> None:
    peer.sendall(frame(WHOLE_TEXT, b"one"))
    peer.recv(1000)
    reset(peer)


def never_close(peer: socket.socket) -> None:
    peer.sendall(frame(WHOLE_TEXT, b"one") + frame(WHOLE_TEXT, b"two"))
    read_to_end(peer)


@pytest.mark.parametrize("script", [close_oddly, reset_at_the_close, never_close])
def test_enough_messages_are_enough_however_it_is_closed(script: Script) -> None:
    with serve(script) as address:
        done = run("--count", "1", "--timeout", "0.5", f"ws://{address}")
    assert done == (0, "one\n", "")


def garble(peer: socket.socket) -> None:
    peer.sendall(b"\x83\xffjunk" * 1000)
    read_to_end(peer)


def reset_in_a_frame(peer: socket.socket) -> None:
    peer.sendall(frame(WHOLE_TEXT, b"Hello")[:4])
    reset(peer)


@pytest.mark.parametrize(("script", "expected"), [(garble, 4), (reset_in_a_frame, 3), (reset, 3)])
def test_a_fault_of_the_server_is_one_sentence(script: Script, expected: int) -> None:
    with serve(script) as address:
        status, output, errors = run("--listen", "--timeout", "1", f"ws://{address}")
    assert (status, output, errors.count("\n")) == (expected, "", 1)


def test_garbage_instead_of_a_handshake_is_one_sentence() -> None:
    with serve(read_to_end, lambda head: b"\x00\xff\x1b[2J\r\n" * 1000) as address:
        status, output, errors = run("--timeout", "1", f"ws://{address}")
    assert (status, output, errors.count("\n")) == (1, "", 1)
