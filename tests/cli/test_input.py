"""The standard input, read as lines."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from io import FileIO

import gevent
import pytest

from faye_ws.cli import input as module
from faye_ws.cli.input import Input
from support.serving import wait_for


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch) -> Iterator[FileIO]:
    """The other end of what is the standard input meanwhile."""
    reading, writing = os.pipe()
    monkeypatch.setattr(module, "_INPUT", reading)
    with FileIO(reading), FileIO(writing, "w") as file:
        yield file


def test_lines_come_without_their_ends(typed: FileIO) -> None:
    typed.write(b"one\n\ntwo\r\nbad \xff\nno end")
    typed.close()
    assert list(Input().lines()) == ["one", "", "two", "bad \ufffd", "no end"]


def test_a_line_may_come_in_pieces(typed: FileIO) -> None:
    lines = gevent.spawn(list, Input().lines())
    for piece in (b"on", b"e\ntw", b"o\n"):
        typed.write(piece)
        gevent.sleep(0.01)
    typed.close()
    assert lines.get(timeout=10) == ["one", "two"]


def test_it_is_known_whether_somebody_would_have_to_wait(typed: FileIO) -> None:
    reader = Input()
    lines = reader.lines()
    assert reader.has_come()
    first = gevent.spawn(next, lines)
    wait_for(lambda: not reader.has_come(), "it waits")
    typed.write(b"one\n")
    assert first.get(timeout=10) == "one"
    assert reader.has_come()


def test_an_input_that_does_not_block_is_waited_for(typed: FileIO) -> None:
    os.set_blocking(module._INPUT, False)
    first = gevent.spawn(next, Input().lines())
    gevent.sleep(0.01)
    typed.write(b"one\n")
    assert first.get(timeout=10) == "one"


def test_an_input_that_is_closed_has_no_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    assert list(Input().lines()) == []


def test_an_input_that_can_not_be_read_is_an_error(
    typed: FileIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    # It is there to be written.
    monkeypatch.setattr(module, "_INPUT", typed.fileno())
    with pytest.raises(OSError, match="Bad file descriptor"):
        next(Input().lines())
