"""The response that an event stream is, between those who send and the WSGI server.

    send() --> Outflow --> Body --> the WSGI server --> the client

Where the server's socket can be found it is watched, but not touched: a client that goes away
is noticed at once, elsewhere by the next write.

Invariants:
- Senders wait for nothing but a client that does not read, and then in their own greenlet.
- The stream ends once; when it is cut off, the server is not left writing to it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from enum import IntEnum
from typing import Any, TypeVar

from gevent import GreenletExit
from greenlet import getcurrent

from ..constants import NEVER, ReadyState
from ..event_stream.format import format_comment
from ..events import Event, EventTarget
from ..runtime.background import place_of_request
from ..runtime.handing_over import call_in_hub
from ..runtime.listening import NO_TARGET, NOBODY, ListenerQueue
from ..runtime.log import logger
from ..runtime.seconds import LOOKS, seconds_until
from ..runtime.waiting import WaitQueue
from .outflow import Outflow
from .presence import Presence

_T = TypeVar("_T")


class Phase(IntEnum):
    """Where in its life a stream is."""

    NEW = 0  # its response has not begun
    OPEN = 1
    CLOSED = 2  # what was sent goes out
    GONE = 3  # the server has done with the response


_NEW, _OPEN, _CLOSED, _GONE = Phase

NOT_CLOSED = "the stream is not closed"

# What the application sees of it.
READY_STATES = (ReadyState.CONNECTING, ReadyState.OPEN, ReadyState.CLOSED, ReadyState.CLOSED)


class Response:
    """The response of one stream.

    Args:
        first: the first chunk.
        ping: after how many seconds without another to send a comment, or None for never.
        send_timeout: how many seconds a client may take nothing, or None for any.
        max_backlog: bytes that may wait before senders do.

    Attributes:
        phase: where in its life the stream is.
        outflow: what is on its way.
        listening: what the listeners are to hear.
    """

    __slots__ = (
        "_max_backlog",
        "_ping",
        "_presence",
        "_send_timeout",
        "_slot",
        "_target",
        "_waiting",
        "listening",
        "outflow",
        "phase",
        "reactor",
    )

    def __init__(
        self,
        first: bytes,
        ping: float | None,
        send_timeout: float | None,
        max_backlog: int,
    ) -> None:
        # What the application holds, as soon as somebody listens to it.
        self._target = NO_TARGET
        self._ping = ping
        self._send_timeout = send_timeout
        self._max_backlog = max_backlog
        self.outflow = Outflow(first)
        self.reactor, thread = place_of_request()
        self.listening = ListenerQueue(NOBODY, self.reactor, thread)
        # Senders, the server when there is nothing to write, and who waits for the end.
        self._waiting = WaitQueue(self.reactor.hub)
        self._presence: Presence | None = None
        # The place in the heartbeat.
        self._slot: int | None = None
        self._enter(_NEW)

    def _enter(self, phase: Phase) -> None:
        self.phase = phase

    def listeners_changed(self, target: EventTarget) -> None:
        """Look what there is for the listeners of what the application holds."""
        if self.phase is not _GONE:
            self._target = target
        self.listening.listeners_changed()

    # From the server

    def begin(self, sock: Any) -> None:
        """Open the stream, of which the server has the body; `sock` is that of the client."""
        self.reactor.members.add(self)
        self._presence = Presence(self.reactor.loop, sock, self._look)
        self.outflow.last_write = time.monotonic()
        if self.phase is _NEW:
            self._enter(_OPEN)
            self._announce("open")
        self._set_heartbeat()
        if self.reactor.is_leaving:
            self.leave()

    def next_chunk(self) -> bytes | None:
        """Return what there is to write, when there is something; None at the end."""
        # Whoever asks for more has passed on what there was before.
        if self.outflow.passed_on():
            if self._waiting:
                self._waiting.notify()
            self._announce("drain")
        while not self.outflow.chunks:
            if self.phase >= _CLOSED:
                return None
            self._waiting.wait()
        return self.outflow.take()

    def release(self) -> None:
        """Let go of the response, with which the server has done."""
        if self.phase is _GONE:
            return
        is_news = self.phase is not _CLOSED
        self._let_go()
        self._cancel_heartbeat()
        self.reactor.members.discard(self)
        if is_news:
            self._tell_end()
        # So the two do not keep each other for the garbage collector.
        self._target = NO_TARGET

    def _let_go(self) -> None:
        self._enter(_GONE)
        self.outflow.clear()
        if self._presence is not None:
            # Each holds the other.
            self._presence.close()
            self._presence = None

    # From senders

    def append(self, chunk: bytes) -> bool:
        """Send a chunk, and do not wait. Return False if the stream is closed."""
        if self.phase >= _CLOSED:
            return False
        # A server may take an empty one for the end of the response.
        if chunk:
            self.outflow.add(chunk)
            if len(self.outflow.chunks) == 1:
                self._waiting.notify()
        return True

    def send(self, chunk: bytes) -> bool:
        """Send a chunk, and wait for a slow client. Return False if the stream is closed."""
        if not self.append(chunk):
            return False
        if self._is_slow() and getcurrent() is self.reactor.hub:
            logger.debug("a slow client is dropped: the hub can't wait for it")
            self.drop()
        while self._is_slow() and self.phase is _OPEN:
            self._waiting.wait()
        return self.phase < _CLOSED

    def send_or_drop(self, chunk: bytes | Callable[[], bytes]) -> bool:
        """Send a chunk of a broadcast; see `EventSource.send_chunk`."""
        if self.reactor.is_foreign():
            is_open = self.phase < _CLOSED
            return self.reactor.post(self.send_or_drop, chunk) and is_open
        if self._is_slow():
            logger.debug("a slow client is dropped by a broadcast")
            self.drop()
        return self.append(chunk if isinstance(chunk, bytes) else chunk())

    def _is_slow(self) -> bool:
        return self.outflow.backlog > self._max_backlog

    # The end

    def end(self) -> None:
        """End the stream when all that was sent is on its way."""
        if self.phase < _CLOSED:
            self._enter(_CLOSED)
            self._tell_end()

    def drop(self) -> None:
        """End the stream: nobody will read what has not been written."""
        is_writing = self.outflow.given != NEVER
        self.outflow.clear()
        if self._presence is not None and is_writing:
            # The server is not left writing what nobody reads.
            self._presence.cut()
        self.end()

    def _tell_end(self) -> None:
        # In this order: who waits goes on at once, and the server may have done with us then.
        self._announce("close")
        self._waiting.notify()

    def _announce(self, type: str) -> None:
        self.listening.put_soon(Event(type, self._target))

    def wait_closed(self, deadline: float) -> None:
        """Wait until the stream is closed; see `EventSource.wait_closed`."""
        if not self._waiting.wait_until(lambda: self.phase >= _CLOSED, seconds_until(deadline)):
            raise TimeoutError(NOT_CLOSED)

    # Deadlines, in the hub

    def beat(self, now: float) -> None:
        """Do what is due. From the heartbeat."""
        self._slot = None
        self._look()
        outflow, ping = self.outflow, self._ping
        if self._is_stuck(now):
            logger.debug("a client that takes nothing is dropped")
            self.drop()
        if ping is not None and now >= outflow.last_write + ping:
            outflow.last_write = now
            if not outflow.chunks:
                self.append(format_comment())
        self._set_heartbeat()

    def _is_stuck(self, now: float) -> bool:
        presence, timeout = self._presence, self._send_timeout
        if presence is None or timeout is None:
            return False
        return self.outflow.is_stuck(now, timeout, presence.taken)

    def _look(self) -> None:
        """Look whether the client is there, where it can't be watched."""
        presence = self._presence
        if presence is not None and not presence.is_watched:
            if presence.is_gone():
                self.drop()
            self._set_heartbeat()

    def _set_heartbeat(self) -> None:
        self._cancel_heartbeat()
        if self._presence is None or self.phase is _GONE:
            return
        deadline = self._presence.next_look()
        if self._ping is not None:
            deadline = min(deadline, self.outflow.last_write + self._ping)
        if self._send_timeout is not None:
            # What is given to the server from now on has more time than that.
            deadline = min(deadline, time.monotonic() + self._send_timeout / LOOKS)
        if deadline != NEVER:
            self._slot = self.reactor.heartbeat.add(self, deadline)

    def _cancel_heartbeat(self) -> None:
        if self._slot is not None:
            self.reactor.heartbeat.discard(self, self._slot)
            self._slot = None

    # For the reactor

    def leave(self) -> None:
        """End the stream, since the process ends: its client comes back to another."""
        self.end()

    def cut_off(self) -> None:
        """End the stream, whatever waits for its client."""
        self.drop()

    def forget(self) -> None:
        """Let go of the stream, which belongs to another process, or to nobody."""
        if self.phase is not _GONE:
            self._let_go()
        self.listening.forget()

    def disown(self) -> None:
        """Forget the stream, which is another process's."""
        self.forget()

    # From other threads

    def in_hub(self, function: Callable[[], _T], deadline: float = NEVER, failure: str = "") -> _T:
        """Call a function in the hub of the stream, or here where that is the same."""
        return call_in_hub(
            self.reactor, function, forget=self.forget, deadline=deadline, failure=failure
        )


class Body:
    """The body of a response, as the WSGI server sees it."""

    __slots__ = ("_response",)

    def __init__(self, response: Response) -> None:
        self._response = response

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        response = self._response
        try:
            chunk = response.in_hub(response.next_chunk)
        except GreenletExit:
            # The server is being stopped.
            chunk = None
        if chunk is None:
            raise StopIteration
        return chunk

    def close(self) -> None:
        """Handle that the server has done with the response, read to its end or not."""
        self._response.in_hub(self._response.release)

    def __del__(self) -> None:
        # wsgiref, for one, does not say so when the client has gone.
        self._response.reactor.post(self._response.release)
