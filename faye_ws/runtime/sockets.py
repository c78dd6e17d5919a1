"""Sockets and the kernel: their state, their options, and their copies after a fork."""

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

# The native poll, even in a monkey-patched program.
_poll: Callable[[], Any] = get_original("select", "poll")
# With POLLRDHUP, Linux reports the end of the peer's side even before all data is read.
_LEFT = getattr(select, "POLLRDHUP", 0) | select.POLLHUP | select.POLLERR
# Where Linux keeps the number of acknowledged bytes: `tcpi_bytes_acked`.
_TCP_INFO: int | None = getattr(_socket, "TCP_INFO", None)
_ACKNOWLEDGED = slice(120, 128)
_NO_LINGERING = struct.pack("ii", 1, 0)

# The sockets whose copies a child process closes.
_clients: weakref.WeakSet[Any] = weakref.WeakSet()


class ClientSocket(_socket.socket):
    """A client's plain socket. A child process closes its copy."""

    __slots__ = ("__weakref__",)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        _clients.add(self)


def keep_from_children(sock: Any) -> None:
    """Let a child process close its copy of a gevent socket."""
    _clients.add(sock._sock)


def close_copies_after_fork() -> None:
    """Close a child's copies of its parent's sockets, without a shutdown."""
    for sock in list(_clients):
        _socket.socket.close(sock)


def has_left(descriptor: int) -> bool:
    """Tell whether the peer has ended its side, even if there is still data to read."""
    poll = _poll()
    poll.register(descriptor, _LEFT)
    return bool(poll.poll(0))


def count_acknowledged(sock: Any) -> int:
    """Return how many bytes the peer has acknowledged, or 0 if the system does not tell."""
    try:
        info = sock.getsockopt(_socket.IPPROTO_TCP, _TCP_INFO, _ACKNOWLEDGED.stop)
    except (OSError, TypeError):
        # A UNIX socket, or a system other than Linux.
        return 0
    return int.from_bytes(info[_ACKNOWLEDGED], sys.byteorder)


def discard_unsent(sock: Any) -> None:
    """Let closing a socket reset the connection.

    So the peer learns that data was lost, and the kernel keeps none of it.
    """
    try:
        sock.setsockopt(_socket.SOL_SOCKET, _socket.SO_LINGER, _NO_LINGERING)
    except OSError as error:
        logger.debug("setting an option failed: %s", error)
