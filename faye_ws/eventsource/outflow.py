"""What is on its way to the client of an event stream, and whether the client takes any of it.

    add() --> chunks --> take() --> in the server's hands --> passed_on()

Invariants: a client that takes something in its time is never given up, however slowly it reads.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from ..constants import NEVER
from ..runtime.seconds import LOOKS


class Outflow:
    """The chunks that wait, and the one that the WSGI server writes.

    Args:
        first: the first chunk.

    Attributes:
        backlog: how many bytes wait in all: here, or in the server's hands.
        last_write: when the server was last given something, in seconds of `time.monotonic()`.
        given: since when it has something of which the client takes nothing, or `NEVER`.
    """

    __slots__ = ("_looked", "_taken", "backlog", "chunks", "given", "last_write")

    def __init__(self, first: bytes) -> None:
        self.chunks = [first]
        self.backlog = len(first)
        self.last_write = 0.0
        self.given = NEVER
        # How much the client had taken in all when last looked, and when that was.
        self._taken = 0
        self._looked = 0.0

    def add(self, chunk: bytes) -> None:
        """Let a chunk wait for the server."""
        self.chunks.append(chunk)
        self.backlog += len(chunk)

    def take(self) -> bytes:
        """Return all that waits, which the server is going to write."""
        data = b"".join(self.chunks)
        self.chunks.clear()
        self.last_write = self.given = time.monotonic()
        return data

    def passed_on(self) -> bool:
        """Handle that the server has written what it had. Return whether nothing waits."""
        self.given = NEVER
        self.backlog = sum(map(len, self.chunks))
        return not self.backlog

    def clear(self) -> None:
        """Forget all, also what the server has: nobody will read it."""
        self.given = NEVER
        self.chunks.clear()
        self.backlog = 0

    def is_stuck(self, now: float, timeout: float, count_taken: Callable[[], int]) -> bool:
        """Return whether the client has taken nothing for so many seconds."""
        if self.given == NEVER or now < self._looked + timeout / LOOKS:
            return False
        self._looked = now
        taken = count_taken()
        if taken > self._taken:
            self._taken = taken
            self.given = now
        return now >= self.given + timeout
