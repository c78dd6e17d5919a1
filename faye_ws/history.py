"""The last events of a stream, for clients that come back.

The law of this file: what is replayed is without a gap, or it is said that there is one.
"""

from __future__ import annotations

from collections import deque
from itertools import islice

from .event_stream.format import format_event
from .eventsource import EventSource


class EventHistory:
    """A ring buffer of events.

        history = EventHistory()

        def app(environ, start_response):
            es = EventSource(environ)
            if not history.replay(es):
                es.send("", event="reset")      # it has missed more than we remember
            streams.add(es)
            return es(environ, start_response)

        def publish(text):
            broadcast(streams, text, id=history.append(text))

    Args:
        max_events: how many events to remember.
        max_bytes: how many bytes of them, as they are written.
    """

    def __init__(self, max_events: int = 1000, max_bytes: int = 2**20) -> None:
        if max_events < 1 or max_bytes < 1:
            raise ValueError("a history must have room for something")
        self._max_events = max_events
        self._max_bytes = max_bytes
        # Each event as it is written, by its number; the numbers have no gaps.
        self._chunks: deque[bytes] = deque()
        self._ids: dict[str, int] = {}
        self._known: deque[str] = deque()
        self._bytes = 0
        self._next = 1

    def __len__(self) -> int:
        return len(self._chunks)

    def append(
        self, data: str, event: str | None = None, id: str | int | None = None
    ) -> str:
        """Remember an event, and return the ID to send it with.

        Args:
            data, event: as of `EventSource.send`.
            id: its ID, which must be new; by default the number of the event, from 1.

        Raises:
            TypeError, ValueError: it is no event, or there is one with this ID.
        """
        name = str(self._next if id is None else id)
        if not name or name in self._ids:
            raise ValueError(f"the ID of an event must be new, and not empty: {name!r}")
        chunk = format_event(data, event=event, id=name)
        self._ids[name] = self._next
        self._known.append(name)
        self._chunks.append(chunk)
        self._bytes += len(chunk)
        self._next += 1
        while len(self._chunks) > self._max_events or self._bytes > self._max_bytes:
            self._bytes -= len(self._chunks.popleft())
            # Of one event more the ID is known: who has seen it has missed nothing.
            if len(self._known) > len(self._chunks) + 1:
                del self._ids[self._known.popleft()]
        return name

    def replay(self, source: EventSource) -> bool:
        """Send the events that came after the last that a client has seen.

        Returns:
            True if it has missed nothing now. False if it has, or if its ID is none of ours:
            then nothing is sent. A client that comes for the first time has missed nothing.
        """
        if not source.last_event_id:
            return True
        number = self._ids.get(source.last_event_id)
        if number is None:
            return False
        missed = self._next - 1 - number
        for chunk in islice(self._chunks, len(self._chunks) - missed, None):
            source.send_chunk(chunk)
        return True
