"""One message to many connections and event streams."""

from __future__ import annotations

from collections.abc import Iterable

from .driver.prepared import PreparedMessage
from .event_stream.format import format_event
from .eventsource.server import EventSource
from .websocket.connection import Connection, Data, check_data


def broadcast(
    connections: Iterable[Connection | EventSource],
    message: Data,
    *,
    event: str | None = None,
    id: str | int | None = None,
) -> int:
    """Send a message to many connections and event streams, without waiting for any.

    It is framed once, and compressed once for all connections whose compression was
    negotiated alike; for event streams it is formatted once. A peer for which more than
    `max_backlog` bytes wait already is too slow: it is dropped.

    Args:
        connections: what to send to; they may belong to several threads.
        message: `str` as text, bytes-like objects as binary, which event streams can't carry.
        event, id: the type and the ID of the event, for event streams.

    Returns:
        How many the message was sent to: not those that are closing or closed, nor those
        that were dropped. What belongs to another thread is counted before it is tried.

    Raises:
        TypeError: the message is neither, or binary and there is an event stream.
        ValueError: the text has a lone surrogate, so it has no form in UTF-8; or a line break
            or NUL is in `event` or `id`.
    """
    prepared = PreparedMessage(check_data(message))
    receivers = list(connections)
    chunk = b""
    if any(isinstance(receiver, EventSource) for receiver in receivers):
        if not isinstance(message, str):
            raise TypeError("an event stream can't carry binary messages")
        chunk = format_event(message, event=event, id=id)
    return sum(
        [
            receiver.send_chunk(chunk)
            if isinstance(receiver, EventSource)
            else receiver.send_prepared(prepared)
            for receiver in receivers
        ]
    )
