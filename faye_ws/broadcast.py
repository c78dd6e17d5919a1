"""One message to many connections."""

from __future__ import annotations

from collections.abc import Iterable

from .connection import Connection, Data, check_data
from .driver.prepared import PreparedMessage


def broadcast(connections: Iterable[Connection], message: Data) -> int:
    """Send a message to many connections, without waiting for any.

    The message is framed once, and compressed once for all connections whose compression
    was negotiated alike. A peer for which more than `max_backlog` bytes wait already is too
    slow: it is dropped.

    Args:
        connections: what to send to; they may belong to several threads.
        message: `str` as text, bytes-like objects as binary.

    Returns:
        How many connections the message was sent to: not those that are closing or closed,
        nor those that were dropped. What belongs to another thread is counted before it is
        tried.

    Raises:
        TypeError: the message is neither.
        ValueError: the text has a lone surrogate, so it has no form in UTF-8.
    """
    prepared = PreparedMessage(check_data(message))
    return sum([connection.send_prepared(prepared) for connection in list(connections)])
