"""What threads and the hub in the background exchange about one connection.

Most calls of other threads are handed over (`handing_over`). Two are too frequent for that: what
a thread sends goes into an outbox, which the hub empties; and what it receives it takes from the
inbox itself, and says so.

    a thread:  send()  -->  outbox  -->  the hub      receive()  <--  the inbox  <--  the hub
                                                                -->   credits    -->

Invariants:
- What both sides touch, they touch in one step of the interpreter: they append to a list, or
  take from it. What needs two steps is done by the hub.
"""

from __future__ import annotations

from ..runtime.threads import WaitingThread

# What an outbox may hold: so many messages of up to so many bytes, as much as one backlog.
_MAX_MESSAGES = 64
MAX_POSTED = 2**14


class Exchange:
    """The exchange of one connection.

    Attributes:
        outbox: messages that are to be sent.
        credits: what the messages weighed that threads have taken.
        threads: those that wait for a message, or for the end.
    """

    __slots__ = ("credits", "outbox", "threads")

    def __init__(self) -> None:
        self.outbox: list[str | bytes] = []
        self.credits: list[int] = []
        self.threads: list[WaitingThread] = []

    def has_room(self, message: str | bytes) -> bool:
        """Tell whether a message may be put into the outbox. Else the sender has to wait."""
        return len(message) <= MAX_POSTED and len(self.outbox) < _MAX_MESSAGES

    def settle(self) -> int:
        """Return what was taken since the last time. For the hub."""
        count = len(self.credits)
        if not count:
            return 0
        total = sum(self.credits[:count])
        del self.credits[:count]
        return total

    def wake(self) -> None:
        """Let the threads look whether their time has come."""
        for thread in tuple(self.threads):
            thread.wake()
