"""What the kernel knows about a socket, and nobody else does."""

from __future__ import annotations

import _socket
import select
import struct
import sys
import weakref
from collections.abc import Callable
from typing import Any

from gevent.monkey import get_original

from .log import logger

# Those of the interpreter, even in a program that is monkey-patched: they do not wait here.
_poll: Callable[[], Any] = get_original("select", "poll")
# Linux tells that the peer has ended its side even if there are bytes before that.
_LEFT = getattr(select, "POLLRDHUP", 0) | select.POLLHUP | select.POLLERR
# Where Linux tells how many bytes the peer has acknowledged: `tcpi_bytes_acked`.
_TCP_INFO: int | None = getattr(_socket, "TCP_INFO", None)
_ACKNOWLEDGED = slice(120, 128)
_NO_LINGERING = struct.pack("ii", 1, 0)

# The sockets of clients, which a child of the process has copies of.
_clients: weakref.WeakSet[Any] = weakref.WeakSet()


class ClientSocket(_socket.socket):
    """A plain socket of a client. A child of this process closes its copy."""

    __slots__ = ("__weakref__",)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        _clients.add(self)


def keep_from_children(sock: Any) -> None:
    """See to it that a child of this process closes its copy of a socket of gevent's."""
    _clients.add(sock._sock)


def close_copies_after_fork() -> None:
    """Close a child's copies of its parent's sockets, without a word to the peers."""
    for sock in list(_clients):
        _socket.socket.close(sock)


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
