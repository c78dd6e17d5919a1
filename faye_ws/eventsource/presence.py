"""Noticing that the client of a response has gone, without reading what it sends.

Invariants:
- The socket is the server's: it is neither read nor written here. It may only be shut down.
"""

from __future__ import annotations

import _socket
import time
from collections.abc import Callable
from typing import Any

from ..constants import NEVER
from ..runtime.log import logger
from ..runtime.sockets import count_acknowledged, discard_unsent, has_left

_READABLE = 1
# Seconds between two checks of a socket that can't be watched, because there is data in it.
_INTERVAL = 1.0


class Presence:
    """Watches the socket of a client.

    Args:
        loop: the loop of the hub.
        sock: the socket, or None if the server does not expose it: then the loop is only kept
            running.
        stirred: called in the hub, once, when the client has gone or has sent something. From
            then on the socket is not watched: call `is_gone` regularly.

    Attributes:
        is_watched: whether the socket is watched.
    """

    __slots__ = ("_descriptor", "_socket", "_stirred", "_watcher", "is_watched")

    def __init__(self, loop: Any, sock: Any, stirred: Callable[[], None]) -> None:
        self._stirred = stirred
        # The plain socket, as methods of gevent's and of TLS may wait.
        self._socket: Any = getattr(sock, "_sock", sock)
        self._descriptor: int = -1 if sock is None else sock.fileno()
        self.is_watched = self._descriptor >= 0
        if self.is_watched:
            self._watcher: Any = loop.io(self._descriptor, _READABLE)
            self._watcher.start(self._stir)
        else:
            # Without a watcher the loop might end, although other threads may still call it.
            self._watcher = loop.async_()
            self._watcher.start(lambda: None)

    def is_gone(self) -> bool:
        """Tell whether the client is known to have gone."""
        return self._descriptor >= 0 and has_left(self._descriptor)

    def next_look(self) -> float:
        """Return when to call `is_gone` next, in seconds of `time.monotonic()`."""
        is_polled = not self.is_watched and self._descriptor >= 0
        return time.monotonic() + _INTERVAL if is_polled else NEVER

    def _stir(self) -> None:
        # The data is not ours to read, and would wake the watcher again and again.
        self._watcher.stop()
        self.is_watched = False
        self._stirred()

    def taken(self) -> int:
        """Return how many bytes the client has acknowledged, or 0 if that is not known."""
        return 0 if self._descriptor < 0 else count_acknowledged(self._socket)

    def cut(self) -> None:
        """Shut the connection down, so that the server stops writing to it."""
        if self._descriptor < 0:
            return
        discard_unsent(self._socket)
        try:
            _socket.socket.shutdown(self._socket, _socket.SHUT_RDWR)
        except OSError as error:
            logger.debug("cutting failed: %s", error)

    def close(self) -> None:
        """Stop watching."""
        self._watcher.stop()
        self._watcher.close()
        self._descriptor = -1
        self._socket = None
