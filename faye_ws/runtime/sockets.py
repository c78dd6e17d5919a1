"""What the kernel knows about a socket, and nobody else does."""

from __future__ import annotations

import _socket
import select
import struct
import sys
from collections.abc import Callable
from typing import Any

from gevent.monkey import get_original

from ..events import logger

# Those of the interpreter, even in a program that is monkey-patched: they do not wait here.
_poll: Callable[[], Any] = get_original("select", "poll")
# Linux tells that the peer has ended its side even if there are bytes before that.
_LEFT = getattr(select, "POLLRDHUP", 0) | select.POLLHUP | select.POLLERR
# Where Linux tells how many bytes the peer has acknowledged: `tcpi_bytes_acked`.
_TCP_INFO: int | None = getattr(_socket, "TCP_INFO", None)
_ACKNOWLEDGED = slice(120, 128)
_NO_LINGERING = struct.pack("ii", 1, 0)


def has_left(descriptor: int) -> bool:
    """Tell whether a peer has ended its side of a connection, whatever is still to be read."""
    poll = _poll()
    poll.register(descriptor, _LEFT)
    return bool(poll.poll(0))


def count_acknowledged(sock: Any) -> int:
    """Return how many bytes the peer of a socket has acknowledged, or 0 where nobody knows."""
    try:
        info = sock.getsockopt(_socket.IPPROTO_TCP, _TCP_INFO, _ACKNOWLEDGED.stop)
    except (OSError, TypeError):
        # A UNIX socket, or another system.
        return 0
    return int.from_bytes(info[_ACKNOWLEDGED], sys.byteorder)


def discard_unsent(sock: Any) -> None:
    """Let the end of a socket be a reset: the peer is to know that there was more to come, and
    the kernel is to keep nothing for it."""
    try:
        sock.setsockopt(_socket.SOL_SOCKET, _socket.SO_LINGER, _NO_LINGERING)
    except OSError as error:
        logger.debug("setting an option failed: %s", error)
