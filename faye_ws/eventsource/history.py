"""The last events of a stream, for clients that come back.

    publish() --> ring of events --> each subscriber, from its own place in the ring

The ID of an event is an epoch and an offset: "0f8e6f2dbb9c4a15-7" is the seventh event of the
history with that epoch. Another history (of another room or user, in another process, or before
a restart) has another epoch, so its IDs are never taken for ours.

Invariants: what is replayed is without a gap, or it is said that there is one. A subscriber gets
each event once and in order, whichever threads publish: its place moves on under the lock, in the
thread of its stream, and what it has moved past is sent before that thread does anything else.
Nothing is called with the lock held that could wait, or be the user's.
"""

from __future__ import annotations

import os
import secrets
import weakref
from collections import deque
from collections.abc import Callable
from functools import partial
from itertools import islice
from typing import Any, NamedTuple

from gevent.monkey import get_original

from ..event_stream.format import check_field, format_event
from .server import EventSource

# That of the interpreter, even in a program that is monkey-patched: no greenlet is switched
# while it is held. A signal handler or a finalizer that publishes must not wait for itself: it
# hears of it.
_make_lock: Callable[[], Any] = get_original("_thread", "RLock")


class _Place(NamedTuple):
    """How far a subscriber has come."""

    offset: int
    # What it is to be sent before the events that come after.
    first: bytes = b""


class EventHistory:
    """A ring buffer of events, and the streams that are sent them.

        history = EventHistory()

        def app(environ, start_response):
            es = EventSource(environ)
            if not history.subscribe(es):
                es.send("", event="reset")      # it has missed more than we remember
            return es(environ, start_response)

        def publish(text):
            history.publish(text)

    Any greenlet and any thread may call its methods; none of them waits. After a fork the
    child's is empty and has another epoch, whatever the parent's was.

    Args:
        max_events: how many events to remember.
        max_bytes: how many bytes of them, as they are written.
        epoch: what the IDs begin with. By default it is random; give one to go on with a
            history that you have stored, and to no other history.
        offset: the offset of the last event before those to come, in a stored history.

    Raises:
        TypeError, ValueError: an option is not what it should be.
    """

    def __init__(
        self,
        max_events: int = 1000,
        max_bytes: int = 2**20,
        *,
        epoch: str | None = None,
        offset: int = 0,
    ) -> None:
        if max_events < 1 or max_bytes < 1:
            raise ValueError("a history must have room for something")
        if offset < 0:
            raise ValueError(f"an offset must be at least 0, not {offset}")
        self._max_events = max_events
        self._max_bytes = max_bytes
        self._begin(_make_epoch() if epoch is None else _check_id("epoch", epoch), offset)
        _histories.add(self)

    def _begin(self, epoch: str, offset: int) -> None:
        self._lock = _make_lock()
        self._is_appending = False
        self._epoch = epoch
        # The offset of the last event. Those that are remembered are the last without a gap.
        self._last = offset
        self._chunks: deque[bytes] = deque()
        self._bytes = 0
        # Of one event more the ID is known: who has seen it has missed nothing.
        self._known = deque([f"{epoch}-{offset}"])
        self._offsets = {self._known[0]: offset}
        # Weakly: a stream that nobody has returned to a server is not kept.
        self._places: weakref.WeakKeyDictionary[EventSource, _Place] = weakref.WeakKeyDictionary()

    def __len__(self) -> int:
        return len(self._chunks)

    @property
    def epoch(self) -> str:
        """What the IDs begin with that the history gives itself."""
        return self._epoch

    def append(self, data: str, event: str | None = None, id: str | int | None = None) -> str:
        """Remember an event without sending it, and return the ID to send it with.

        Subscribers get it with the next that is published.

        Args:
            data, event: as of `EventSource.send`.
            id: its ID, which must be new; by default the epoch and the offset of the event.
                One of your own is taken as it is: it must be unique among all histories
                that a client may come back to, and across restarts, as a key of a
                database is and a count that begins at 1 is not.

        Raises:
            TypeError, ValueError: it is no event, or there is one with this ID.
            RuntimeError: called in the middle of another call, as by a signal handler.
        """
        with self._lock:
            if self._is_appending:
                raise RuntimeError("an event can't be appended in the middle of another")
            self._is_appending = True
            try:
                return self._append(data, event, id)
            finally:
                self._is_appending = False

    def _append(self, data: str, event: str | None, id: str | int | None) -> str:
        offset = self._last + 1
        name = f"{self._epoch}-{offset}" if id is None else _check_id("ID", str(id))
        if name in self._offsets:
            raise ValueError(f"the ID of an event must be new: {name!r}")
        chunk = format_event(data, event=event, id=name)
        self._last = offset
        self._offsets[name] = offset
        self._known.append(name)
        self._chunks.append(chunk)
        self._bytes += len(chunk)
        while len(self._chunks) > self._max_events or self._bytes > self._max_bytes:
            self._bytes -= len(self._chunks.popleft())
            del self._offsets[self._known.popleft()]
        return name

    def publish(self, data: str, event: str | None = None, id: str | int | None = None) -> str:
        """Remember an event, send it to all subscribers, and return its ID.

        As in a broadcast, a client for which more than `max_backlog` bytes wait is dropped.

        Args:
            data, event, id: as of `append`.

        Raises:
            TypeError, ValueError: as of `append`; then nothing is sent.
        """
        name = self.append(data, event, id)
        with self._lock:
            sources = list(self._places)
        for source in sources:
            if not source.send_chunk(partial(self._take_missed, source)):
                with self._lock:
                    self._places.pop(source, None)
        return name

    def subscribe(self, source: EventSource) -> bool:
        """Send the events that came after the last that a client has seen, and all that will.

        A client that has seen none, or missed some, is told the ID of the last event, so that
        it misses nothing from here on, even if the connection is lost before the next.

        Returns:
            True if it has missed nothing now. False if it has, or if its ID is none of ours:
            then it gets what will come. A client that comes for the first time has missed
            nothing.
        """
        seen = source.last_event_id
        with self._lock:
            offset = self._offsets.get(seen) if seen else None
            if offset is None:
                self._places[source] = _Place(self._last, format_event(None, id=self._known[-1]))
            else:
                self._places[source] = _Place(offset)
        source.send_chunk(partial(self._take_missed, source))
        return offset is not None or not seen

    def replay(self, source: EventSource) -> bool:
        """Send the events that came after the last that a client has seen, and no more.

        For streams that get later events in another way. In the thread of the stream nothing
        comes between this and the next statement that does not wait; with publishers in
        other threads only `subscribe` leaves no gap.

        Returns:
            True if it has missed nothing now. False if it has, or if its ID is none of ours:
            then nothing is sent. A client that comes for the first time has missed nothing.
        """
        if not source.last_event_id:
            return True
        with self._lock:
            offset = self._offsets.get(source.last_event_id)
            missed = b"" if offset is None else self._join_after(offset)
        if missed:
            source.send_chunk(missed)
        return offset is not None

    def _take_missed(self, source: EventSource) -> bytes:
        """Return what a subscriber has not been sent yet. From the thread of its stream."""
        with self._lock:
            place = self._places.get(source)
            if place is None:
                return b""
            if self._last - place.offset <= len(self._chunks):
                self._places[source] = _Place(self._last)
                return place.first + self._join_after(place.offset)
            del self._places[source]
        # Its thread was too busy. When the client comes back it is told that it has missed some.
        source.close()
        return b""

    def _join_after(self, offset: int) -> bytes:
        missed = self._last - offset
        return b"".join(islice(self._chunks, len(self._chunks) - missed, None))


def _make_epoch() -> str:
    return secrets.token_hex(8)


def _check_id(name: str, value: str) -> str:
    """Return what a client is to say again in a `Last-Event-ID`, where it must be the same."""
    check_field(name, value)
    if not value or value != value.strip():
        raise ValueError(f"the {name} is empty, or has spaces around it: {value!r}")
    return value


_histories: weakref.WeakSet[EventHistory] = weakref.WeakSet()


def begin_anew_after_fork() -> None:
    """Let all histories of a child be empty, and have another epoch."""
    # What parent and child go on to publish are different events, which need different IDs.
    # A thread of the parent may have held the lock, with the rest half changed.
    for history in list(_histories):
        history._begin(_make_epoch(), 0)


os.register_at_fork(after_in_child=begin_anew_after_fork)
