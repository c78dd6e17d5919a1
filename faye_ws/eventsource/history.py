"""The last events of a stream, for clients that come back.

    publish() --> ring of events --> each subscriber, from its own place in the ring

The ID of an event is an epoch and an offset: "0f8e6f2dbb9c4a15-7" is the seventh event of the
history with that epoch. Another history (of another room or user, in another process, or before
a restart) has another epoch, so its IDs are never mistaken for ours.

Invariants:
- Events are replayed without a gap, or the caller is told that there is one.
- A subscriber gets each event once and in order, whichever threads publish: its place moves
  under the lock, in the thread of its stream, and the events that it moved past are sent before
  that thread does anything else.
- While the lock is held, nothing is called that could wait, and no code of the user's.
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

# The native lock, even in a monkey-patched program: no greenlet switches while it is held. It
# is reentrant, so that a signal handler or finalizer which publishes in the middle of a call
# gets an error instead of a deadlock.
_make_lock: Callable[[], Any] = get_original("_thread", "RLock")


class _Place(NamedTuple):
    """A subscriber's place in the history: the offset of the last event that it was sent."""

    offset: int
    # Bytes to send before the next events.
    first: bytes = b""


class EventHistory:
    """The last events of a stream, and its subscribers.

        history = EventHistory()

        def app(environ, start_response):
            es = EventSource(environ)
            if not history.subscribe(es):
                es.send("", event="reset")      # it has missed events that are gone
            return es(environ, start_response)

        def publish(text):
            history.publish(text)

    Any greenlet and any thread may call its methods; none of them waits. After a fork the
    child's history is empty and has a new, random epoch.

    Args:
        max_events: how many events to keep.
        max_bytes: how many bytes of events to keep, as they are sent.
        epoch: what the IDs begin with, by default random. Give one only to continue a history
            that you have stored.
        offset: the offset of the last event of a stored history.

    Raises:
        TypeError, ValueError: an option is invalid.
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
        # The offset of the last event. `_chunks` are the last events, without a gap.
        self._last = offset
        self._chunks: deque[bytes] = deque()
        self._bytes = 0
        # The IDs of these events, and of the one before them: a client that has seen that one
        # has missed none.
        self._known = deque([f"{epoch}-{offset}"])
        self._offsets = {self._known[0]: offset}
        # Weak, so that a stream that was never returned to a server is freed.
        self._places: weakref.WeakKeyDictionary[EventSource, _Place] = weakref.WeakKeyDictionary()

    def __len__(self) -> int:
        return len(self._chunks)

    @property
    def epoch(self) -> str:
        """What the IDs begin with, except those given by the application."""
        return self._epoch

    def append(self, data: str, event: str | None = None, id: str | int | None = None) -> str:
        """Keep an event without sending it, and return its ID.

        Subscribers get it with the next event that is published.

        Args:
            data, event: as in `EventSource.send`.
            id: the ID, by default the epoch and the offset of the event. An ID of your own must
                be unique among all histories that a client may come back to, and across
                restarts: a key of a database is, a count that begins at 1 is not.

        Raises:
            TypeError, ValueError: the event is invalid, or there is one with this ID.
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
        """Keep an event, send it to all subscribers, and return its ID.

        As in a broadcast, a client for which more than `max_backlog` bytes wait is dropped.

        Args:
            data, event, id: as in `append`.

        Raises:
            TypeError, ValueError: as in `append`; then nothing is sent.
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
        """Send the events after the last that a client has seen, and all later ones.

        A client without an ID, or with one that is unknown, is sent the ID of the last event:
        so it misses nothing from here on, even if the connection is lost before the next.

        Returns:
            False if the client has an ID that is too old or not of this history: it has missed
            events, and gets only later ones. True otherwise, also for a new client.
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
        """Send the events after the last that a client has seen, and no later ones.

        For streams that get later events in another way. There is no gap if the stream starts
        to get them before its greenlet waits again, and all publishers are in the same thread;
        with publishers in other threads use `subscribe`.

        Returns:
            False if the client has an ID that is too old or not of this history: nothing is
            sent. True otherwise, also for a new client.
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
        """Return the events that a subscriber has not been sent. In the thread of its stream."""
        with self._lock:
            place = self._places.get(source)
            if place is None:
                return b""
            if self._last - place.offset <= len(self._chunks):
                self._places[source] = _Place(self._last)
                return place.first + self._join_after(place.offset)
            del self._places[source]
        # Its thread was too busy, and events are gone. When the client comes back, `subscribe`
        # returns False.
        source.close()
        return b""

    def _join_after(self, offset: int) -> bytes:
        missed = self._last - offset
        return b"".join(islice(self._chunks, len(self._chunks) - missed, None))


def _make_epoch() -> str:
    return secrets.token_hex(8)


def _check_id(name: str, value: str) -> str:
    """Check a value that must come back unchanged in `Last-Event-ID`, and return it."""
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
