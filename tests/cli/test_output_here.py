"""The standard outputs, in the process of the tests."""

from __future__ import annotations

import io
import os
import pty
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gevent
import pytest

from faye_ws.cli.output import (
    Output,
    flush_output,
    occupy_closed_descriptors,
    standard_error,
    standard_output,
)


class Stream(io.StringIO):
    """Python's file for an output."""

    encoding = "ascii"  # type: ignore[assignment]


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """What is written, and where."""
    reading, writing = os.pipe()
    yield reading, writing
    os.close(reading)
    os.close(writing)


@pytest.fixture
def terminal() -> Iterator[tuple[int, int]]:
    """A terminal, and the side of its programs."""
    ours, theirs = pty.openpty()
    yield ours, theirs
    os.close(ours)
    os.close(theirs)


def test_a_pipe_gets_what_has_come(pipe: tuple[int, int]) -> None:
    out = Output(pipe[1], Stream())
    assert not out.is_terminal
    out.show("\x1b[31m ü\nsecond")
    out.say("a\nb")
    assert os.read(pipe[0], 100).decode() == "\x1b[31m ü\nsecond\na\nb\n"


def test_a_terminal_gets_nothing_that_drives_it(terminal: tuple[int, int]) -> None:
    out = Output(terminal[1], Stream())
    assert out.is_terminal
    out.show("\x1b[31m ü")
    out.say("a\nb")
    expected = b"\\x1b[31m \\xfc\r\na\\nb\r\n"
    read = b""
    while len(read) < len(expected):
        read += os.read(terminal[0], 100)
    assert read == expected


def test_an_output_that_is_closed_can_not_be_written() -> None:
    closed = Output(1, None)
    assert not closed.is_terminal
    with pytest.raises(OSError, match="Bad file descriptor"):
        closed.show("text")
    closed.say("nothing comes of it")


def test_an_output_that_does_not_block_is_waited_for(pipe: tuple[int, int]) -> None:
    os.set_blocking(pipe[1], False)
    text = "x" * 2**20
    writing = gevent.spawn(Output(pipe[1], Stream()).write, text)
    read = b""
    while len(read) < len(text):
        gevent.sleep(0)
        read += os.read(pipe[0], 2**16)
    writing.get(timeout=10)


def test_the_standard_outputs_are_two(capfd: pytest.CaptureFixture[str]) -> None:
    standard_output().write("output")
    standard_error().write("error")
    assert capfd.readouterr() == ("output", "error")


def test_closed_descriptors_are_occupied() -> None:
    kept = os.dup(0)
    try:
        os.close(0)
        occupy_closed_descriptors()
        assert os.path.samestat(os.fstat(0), os.stat(os.devnull))
    finally:
        os.dup2(kept, 0)
        os.close(kept)


class _Full(Stream):
    def flush(self) -> None:
        raise OSError("full")


@pytest.mark.parametrize("stream", [None, Stream()])
def test_what_python_has_kept_back_is_written(stream: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", stream)
    flush_output()


def test_what_can_not_be_written_is_dropped_for_good(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "stdout", _Full())
    kept = os.dup(1)
    try:
        with pytest.raises(OSError, match="full"):
            flush_output()
        assert os.path.samestat(os.fstat(1), os.stat(os.devnull))
    finally:
        os.dup2(kept, 1)
        os.close(kept)
