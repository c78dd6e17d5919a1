"""Noticing that the client of a response has gone, without touching what it sends.

Invariants:
- Nothing is read from a socket that is another's, and nothing written; but it can be cut.
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
# Seconds between two looks at a socket that can't be watched, since bytes wait in it.
_LOOK = 1.0


class Presence:
    """A watch on the socket of a client.

    Args:
        loop: the loop of the hub.
        sock: the socket, or None if it can't be reached: then only the loop is kept alive.
        stirred: called in the hub, once, when the client has gone or sent something: then
            it is not watched any more, and has to be looked at.

    Attributes:
        is_watched: whether it is.
    """

    __slots__ = ("_descriptor", "_socket", "_stirred", "_watcher", "is_watched")

    def __init__(self, loop: Any, sock: Any, stirred: Callable[[], None]) -> None:
        self._stirred = stirred
        # Without the layers of gevent and TLS, which would wait.
        self._socket: Any = getattr(sock, "_sock", sock)
        self._descriptor: int = -1 if sock is None else sock.fileno()
        self.is_watched = self._descriptor >= 0
        if self.is_watched:
            self._watcher: Any = loop.io(self._descriptor, _READABLE)
            self._watcher.start(self._stir)
        else:
            # A loop with nothing to wait for would end, while other threads may have
            # something to send.
            self._watcher = loop.async_()
            self._watcher.start(lambda: None)

    def is_gone(self) -> bool:
        """Tell whether the client has gone, as far as that can be known."""
        return self._descriptor >= 0 and has_left(self._descriptor)

    def next_look(self) -> float:
        """Return when somebody has to look, in seconds of `time.monotonic()`."""
        waits = not self.is_watched and self._descriptor >= 0
        return time.monotonic() + _LOOK if waits else NEVER

    def _stir(self) -> None:
        # What it sends is not for us, and stays there: it would wake us for ever.
        self._watcher.stop()
        self.is_watched = False
        self._stirred()

    def taken(self) -> int:
        """Return how many bytes the client has taken in all, or 0 where that can't be known."""
        return 0 if self._descriptor < 0 else count_acknowledged(self._socket)

    def cut(self) -> None:
        """Cut the connection, so that the server does not write to it any longer."""
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
