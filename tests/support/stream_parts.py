"""What the parts of an event stream's client are tested with, without a server."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import gevent
import gevent.event

from faye_ws.events import EventTarget
from faye_ws.eventsource.inbox import Inbox
from faye_ws.runtime.reactor import Reactor

DEADLINE = 15.0


class Target(EventTarget):
    """What an application would hold of a stream."""

    def __init__(self) -> None:
        super().__init__()
        self.inbox: Inbox | None = None
        self.last_event_id = ""
        self.retry = 0.01
        self.status_code: int | None = None

    def check_type(self, type: str) -> None:
        """Let every type pass."""

    def listeners_changed(self) -> None:
        """Tell the inbox, as soon as there is one."""
        if self.inbox is not None:
            self.inbox.look_soon()

    def listener_raised(self, error: BaseException) -> None:
        """Tell the inbox."""
        assert self.inbox is not None
        self.inbox.contain(error)


class Thread:
    """A thread of listeners that waits when it is told to."""

    turn = 0

    def __init__(self) -> None:
        self.is_waiting = gevent.event.Event()

    def has_waited(self, turn: int = 0) -> bool:
        """Return whether it was told to wait."""
        return self.is_waiting.is_set()

    def call(self, reactor: Reactor, function: Callable[..., object], *args: object) -> None:
        """Call a function when it waits."""
        self.is_waiting.wait()
        function(*args)


def wait_for(is_met: Callable[[], object]) -> None:
    """Wait until a condition is met."""
    with gevent.Timeout(DEADLINE):
        while not is_met():
            gevent.sleep(0.002)


def run_in_thread(function: Callable[[], Any]) -> Any:
    """Call a function in a thread without a hub, while the hub of the test goes on."""
    results: list[Any] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(function())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    gevent.get_hub().threadpool.apply(thread.join)
    if errors:
        raise errors[0]
    return results[0]
