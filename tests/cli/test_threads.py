"""Calls that may block."""

from __future__ import annotations

import threading

import gevent
import pytest

from faye_ws.cli.threads import in_thread


def test_a_call_is_made_in_a_thread_while_others_have_their_turn() -> None:
    turns = threading.Event()
    gevent.spawn(turns.set)

    def wait(seconds: int) -> int:
        assert turns.wait(seconds)
        return threading.get_ident()

    assert in_thread(wait, 10) != threading.get_ident()


def test_what_is_raised_is_raised_here_and_not_printed(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ZeroDivisionError):
        in_thread(lambda: 1 / 0)
    assert capfd.readouterr() == ("", "")
