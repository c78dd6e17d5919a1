"""Noticing that the client of a response has gone, without touching what it sends.

The law of this file: nothing is read from a socket that is another's.
"""

from __future__ import annotations

import select
import time
from collections.abc import Callable
from typing import Any

from gevent.monkey import get_original

from .link import NEVER

# Those of the interpreter, even in a program that is monkey-patched: they do not wait here.
_poll: Callable[[], Any] = get_original("select", "poll")
# Linux tells that the peer has ended its side even if there are bytes before that.
_GONE = getattr(select, "POLLRDHUP", 0) | select.POLLHUP | select.POLLERR
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

    __slots__ = ("_descriptor", "_stirred", "_watcher", "is_watched")

    def __init__(self, loop: Any, sock: Any, stirred: Callable[[], None]) -> None:
        self._stirred = stirred
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
        if self._descriptor < 0:
            return False
        poll = _poll()
        poll.register(self._descriptor, _GONE)
        return bool(poll.poll(0))

    def next_look(self) -> float:
        """Return when somebody has to look, in seconds of `time.monotonic()`."""
        waits = not self.is_watched and self._descriptor >= 0
        return time.monotonic() + _LOOK if waits else NEVER

    def _stir(self) -> None:
        # What it sends is not for us, and stays there: it would wake us for ever.
        self._watcher.stop()
        self.is_watched = False
        self._stirred()

    def close(self) -> None:
        """Stop watching."""
        self._watcher.stop()
        self._watcher.close()
        self._descriptor = -1
