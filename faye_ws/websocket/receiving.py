"""Greenlets that wait for what comes over a connection.

Invariants:
- Who asks for what comes next has done with all that came before, so the end of the connection
  does not wait for it any more.
- A timeout loses nothing: a message is taken from the inbox in the same step that returns it.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from gevent.hub import Hub
from greenlet import greenlet

from ..constants import NEVER
from ..errors import ConnectionClosed
from ..runtime.listening import ListenerQueue
from ..runtime.waiting import WaitQueue
from .endpoint import Endpoint

# Seconds that a call which waits for the end waits for the listeners to hear of it.
_HEARING = 1.0

End = tuple[int, str, bool]


class Readers:
    """Who waits on one inbox.

    Attributes:
        waiting: the greenlets that wait for something to change.
        last: the greenlet that was the last to receive a message. Until it asks for the next,
            or is dead, it may still answer.
    """

    __slots__ = ("_asking", "last", "waiting")

    def __init__(self, hub: Hub) -> None:
        self.waiting = WaitQueue(hub)
        self._asking: list[greenlet] = []
        self.last: greenlet | None = None

    def is_asking(self, reader: greenlet) -> bool:
        """Return whether a greenlet asks for what comes next."""
        return reader in self._asking

    @contextmanager
    def asking(self, asker: greenlet) -> Iterator[None]:
        """Let a greenlet ask for what comes next."""
        self._asking.append(asker)
        try:
            yield
        finally:
            self._asking.remove(asker)


class Inbox(Protocol):
    """What they wait on; see `inbox.Inbox`."""

    endpoint: Endpoint
    listening: ListenerQueue
    messages: deque[str | bytes] | None
    is_behind: bool

    @property
    def end(self) -> End | None:
        """The code, the reason, and whether it was clean, when the connection is closed."""

    @property
    def readers(self) -> Readers:
        """Who waits."""

    def take(self) -> None:
        """Take what the driver has received, as far as there is room for it."""

    def take_message(self) -> str | bytes | None:
        """Take the next message, if there is one."""


def receive(inbox: Inbox, receiver: greenlet, deadline: float, failure: str) -> str | bytes:
    """Wait for the next message, and return it.

    Args:
        inbox: where it comes.
        receiver: the greenlet that is to get it, perhaps one of another thread.
        deadline: how long to wait, in seconds of `time.monotonic()`.
        failure: what the `TimeoutError` says.

    Raises:
        TimeoutError: none has come by the deadline.
        ConnectionClosed: the connection is closed.
    """
    while (message := inbox.take_message()) is None:
        with inbox.readers.asking(receiver):
            inbox.take()
            if inbox.messages:
                continue
            if (end := inbox.end) is not None:
                raise ConnectionClosed(*end)
            _wait(inbox, deadline, failure)
    inbox.readers.last = receiver
    return message


def wait_closed(inbox: Inbox, waiter: greenlet, deadline: float, failure: str) -> End:
    """Wait until the connection is closed and its listeners have heard so; return how.

    Raises:
        TimeoutError: it is not closed at the deadline.
    """
    while (end := inbox.end) is None:
        with inbox.readers.asking(waiter):
            inbox.take()
            if inbox.end is None:
                _wait(inbox, deadline, failure)
    wait_heard(inbox, waiter)
    return end


def wait_heard(inbox: Inbox, waiter: greenlet) -> None:
    """Let the listeners hear what there is, if that does not take them too long."""
    deadline = time.monotonic() + _HEARING
    while not inbox.listening.is_done and waiter is not inbox.listening.worker:
        left = deadline - time.monotonic()
        if left <= 0:
            return
        inbox.endpoint.advance_soon()
        inbox.readers.waiting.wait(left)


def _wait(inbox: Inbox, deadline: float, failure: str) -> None:
    left = None if deadline == NEVER else deadline - time.monotonic()
    if left is not None and left <= 0:
        raise TimeoutError(failure)
    inbox.readers.waiting.wait(left)
