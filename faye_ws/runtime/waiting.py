"""Greenlets that wait until something has changed."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from gevent.hub import Hub, Waiter
from greenlet import getcurrent


class WaitQueue:
    """Who waits on one object; each looks for itself whether its time has come."""

    __slots__ = ("_hub", "_waiters")

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._waiters: list[Any] = []

    def __len__(self) -> int:
        return len(self._waiters)

    def wait(self, timeout: float | None = None) -> None:
        """Wait for `notify`, or `timeout` seconds."""
        waiter: Any = Waiter(self._hub)
        self._waiters.append(waiter)
        timer = None
        if timeout is not None:
            timer = self._hub.loop.timer(max(timeout, 0.0))
            timer.start(waiter.switch, None)
        try:
            waiter.get()
        finally:
            if waiter in self._waiters:
                self._waiters.remove(waiter)
            if timer is not None:  # pragma: no branch - coverage follows no greenlet that is killed
                timer.stop()
                timer.close()

    def wait_until(self, is_met: Callable[[], bool], timeout: float | None) -> bool:
        """Wait until a condition is met, and tell whether it is after `timeout` seconds."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while not is_met():
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                return False
            self.wait(left)
        return True

    def notify(self) -> None:
        """Wake all that wait, in the order they came: at once if the hub calls this."""
        waiters, self._waiters = self._waiters, []
        in_hub = getcurrent() is self._hub
        for waiter in waiters:
            if in_hub:
                waiter.switch(None)
            else:
                self._hub.loop.run_callback(waiter.switch, None)


def give_turn(hub: Hub) -> None:
    """Let a hub do what is to be done, once: also what sockets and timers wait for.

    `gevent.sleep(0)` lets other greenlets run, but comes back before the hub looks at those.
    """
    timer: Any = hub.loop.timer(0.0)
    with timer:
        hub.wait(timer)
