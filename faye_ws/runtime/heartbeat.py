"""One timer for all the deadlines of a hub's connections.

A deadline is put into a slot of a tenth of a second, and the timer runs to the next slot
that is not empty. So thousands of connections with pings cost one timer and a place in a
set each, and a deadline may be met up to two slots late, never early.
"""

from __future__ import annotations

import heapq
import time
from typing import Any, Protocol

from .log import logger

_SLOTS_PER_SECOND = 10


class Member(Protocol):
    """Whatever has a deadline."""

    def beat(self, now: float) -> None:
        """Do what is due at `now`, in seconds of `time.monotonic`."""


class Heartbeat:
    """The deadlines of one hub."""

    __slots__ = ("_beaten", "_loop", "_order", "_slots", "_timer")

    def __init__(self, loop: Any) -> None:
        self._loop = loop
        self._slots: dict[int, set[Member]] = {}
        self._order: list[int] = []
        self._timer: Any = None
        # The last slot whose time has come: what is late already waits for the next.
        self._beaten = 0

    def add(self, member: Member, deadline: float) -> int:
        """Let `member` beat once, after `deadline`. Return the slot, for `discard`."""
        slot = max(int(deadline * _SLOTS_PER_SECOND), self._beaten) + 1
        members = self._slots.get(slot)
        if members is None:
            members = self._slots[slot] = set()
            heapq.heappush(self._order, slot)
            if self._order[0] == slot:
                self._set_timer()
        members.add(member)
        return slot

    def discard(self, member: Member, slot: int) -> None:
        """Forget what `add` returned `slot` for."""
        members = self._slots.get(slot)
        if members is None:
            return
        members.discard(member)
        if not members:
            del self._slots[slot]
            self._order.remove(slot)
            heapq.heapify(self._order)
            self._set_timer()

    def stop(self) -> None:
        """Forget everything."""
        self._slots.clear()
        self._order.clear()
        self._set_timer()

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.stop()
            self._timer.close()
            self._timer = None
        if self._order:
            delay = self._order[0] / _SLOTS_PER_SECOND - time.monotonic()
            self._timer = self._loop.timer(max(delay, 0.0))
            self._timer.start(self._beat)

    def _beat(self) -> None:
        now = time.monotonic()
        self._beaten = int(now * _SLOTS_PER_SECOND)
        while self._order and self._order[0] <= self._beaten:
            for member in self._slots.pop(heapq.heappop(self._order)):
                try:
                    member.beat(now)
                except Exception:
                    logger.exception("a heartbeat raised")
        self._set_timer()
