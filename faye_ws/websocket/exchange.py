"""What threads and the hub in the background exchange about one connection.

Most calls of other threads are handed over (`handing_over`). Two are too frequent for that: what
a thread sends goes into an outbox, which the hub empties; and what it receives it takes from the
inbox itself, and says so.

    a thread:  send()  -->  outbox  -->  the hub      receive()  <--  the inbox  <--  the hub
                                                                -->   credits    -->

Invariants:
- What both sides touch, they touch in one step of the interpreter: they append to a list, or
  take from it. What needs two steps is done by the hub.
- The messages of one thread are sent in the order in which it has sent them.
"""

from __future__ import annotations

import time
from sys import getsizeof

from greenlet import greenlet

from ..errors import ConnectionClosed
from ..runtime.threads import WaitingThread, current_thread
from .endpoint import Endpoint
from .phase import Phase
from .receiving import Inbox

# What an outbox may hold: so many messages of up to so many bytes, as much as one backlog.
_MAX_MESSAGES = 64
_MAX_POSTED = 2**14
# What a message weighs in an inbox besides what Python holds of it.
PLACE = 8


class Exchange:
    """The exchange of one connection.

    It holds nothing of the connection, which holds it: so both are freed at once.

    Attributes:
        asking: the greenlets of threads that ask for the next message.
    """

    __slots__ = ("_credits", "_outbox", "_threads", "asking")

    def __init__(self) -> None:
        self._outbox: list[str | bytes] = []
        # What the messages weighed that threads have taken, and the threads that wait.
        self._credits: list[int] = []
        self._threads: list[WaitingThread] = []
        self.asking: list[greenlet] = []

    # In a thread

    def send(self, endpoint: Endpoint, message: str | bytes) -> bool:
        """Put a message into the outbox, if that is all that has to be done to send it.

        Return False if the sender may have to wait, or to be told that nothing is sent.
        """
        if (
            len(message) > _MAX_POSTED
            or len(self._outbox) >= _MAX_MESSAGES
            or endpoint.phase is not Phase.OPEN
            or endpoint.is_congested
            or endpoint.driver.is_text_only
        ):
            return False
        if isinstance(message, str) and not message.isascii():
            # What has no form in UTF-8 is the caller's fault.
            message.encode()
        self._outbox.append(message)
        return endpoint.reactor.post(self.empty_outbox, endpoint)

    def receive(
        self, inbox: Inbox, receiver: greenlet, deadline: float, failure: str
    ) -> str | bytes:
        """Wait for the next message of an inbox, and return it.

        Raises:
            TimeoutError: none has come by the deadline; `failure` is what it says.
            ConnectionClosed: the connection is closed.
        """
        while True:
            message = self._take(inbox, receiver)
            if message is not None:
                return message
            if (end := inbox.end) is not None:
                raise ConnectionClosed(*end)
            if time.monotonic() >= deadline:
                raise TimeoutError(failure)
            self._wait(inbox, receiver, deadline)

    def _take(self, inbox: Inbox, receiver: greenlet) -> str | bytes | None:
        messages = inbox.messages
        if not messages:
            return None
        # Before it is taken: else the hub, which sees neither, could end the connection.
        inbox.readers.last = receiver
        try:
            message = messages.popleft()
        except IndexError:
            return None
        self._credits.append(getsizeof(message) + PLACE)
        if inbox.is_behind:
            inbox.endpoint.advance_soon()
        return message

    def _wait(self, inbox: Inbox, receiver: greenlet, deadline: float) -> None:
        thread = current_thread()
        self.asking.append(receiver)
        self._threads.append(thread)
        try:
            # Whoever asks for what comes next has done with what came before.
            if inbox.is_behind or inbox.endpoint.phase is Phase.ENDING:
                inbox.endpoint.advance_soon()
            thread.wait(lambda: bool(inbox.messages) or inbox.end is not None, deadline)
        finally:
            self._threads.remove(thread)
            self.asking.remove(receiver)

    # In the hub

    def empty_outbox(self, endpoint: Endpoint) -> None:
        """Send what is in the outbox."""
        corked = endpoint.cork()
        while self._outbox:
            endpoint.send(self._outbox.pop(0))
        endpoint.uncork(corked)

    def settle(self) -> int:
        """Return the weight of what was taken since the last time."""
        count = len(self._credits)
        total = sum(self._credits[:count])
        del self._credits[:count]
        return total

    def wake(self) -> None:
        """Let the threads that wait look whether their time has come."""
        for thread in tuple(self._threads):
            thread.wake()
