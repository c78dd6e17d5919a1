"""An inbox without an application: what the hub and other threads see of it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from gevent.hub import Hub

from faye_ws.websocket import inbox as module
from faye_ws.websocket.phase import Phase
from faye_ws.websocket.receiving import Readers
from support.parts import Here, Parts
from support.serving import DEADLINE, close, text, wait_for


@pytest.fixture
def parts() -> Iterator[Parts]:
    parts = Parts(Here())
    yield parts
    parts.close()


def test_two_threads_that_come_first_wait_in_one_place(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = threading.Barrier(2)

    class SlowReaders(Readers):
        def __init__(self, hub: Hub) -> None:
            both.wait(DEADLINE)
            super().__init__(hub)

    monkeypatch.setattr(module, "Readers", SlowReaders)
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda _: parts.inbox.readers, range(2))
    assert first is second


@pytest.mark.parametrize("early", [b"", text("a") + close(1000)], ids=["open", "ending"])
def test_threads_are_woken_when_they_can_see_that_the_connection_is_gone(
    parts: Parts, early: bytes
) -> None:
    parts.open(early)
    wait_for(lambda: parts.endpoint.phase in (Phase.OPEN, Phase.ENDING), "it is open")
    if early:
        wait_for(lambda: parts.endpoint.phase is Phase.ENDING, "its end waits")
    seen: list[Any] = []

    class Waking:
        asking = ()

        def settle(self) -> int:
            return 0

        def wake(self) -> None:
            seen.append(parts.inbox.end)

    parts.inbox.exchange = Waking()  # type: ignore[assignment]
    parts.endpoint.forget()
    assert seen == [(1006, "", False)]
