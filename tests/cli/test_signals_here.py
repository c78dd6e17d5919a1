"""The signals that end the command line, sent to the process of the tests."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from faye_ws.cli.signals import Signals
from support.serving import wait_for

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """Leave the handlers as they were."""
    before = {number: signal.getsignal(number) for number in ENDING}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", ENDING)
def test_the_first_ends_it_in_good_order_and_the_second_at_once(
    number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    log: list[object] = []
    monkeypatch.setattr(os, "_exit", log.append)
    signals = Signals(lambda: log.append("end"), lambda: log.append("give up"))
    assert signals.status is None
    os.kill(os.getpid(), number)
    assert signals.status == 128 + number
    wait_for(lambda: log == ["end"], "it begins to end")
    os.kill(os.getpid(), signal.SIGTERM)
    # `os._exit` does not return elsewhere.
    assert log[:3] == ["end", "give up", 128 + number]


def test_what_is_ignored_stays_ignored() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signals = Signals(lambda: None, lambda: None)
    os.kill(os.getpid(), signal.SIGHUP)
    assert signals.status is None
