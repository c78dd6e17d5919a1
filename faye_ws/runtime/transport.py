"""Bytes between a non-blocking socket and its owner, moved by the hub.

                 readable                                 write()
    socket  ------------------>  owner         owner  ------------------>  socket
             data_received()                     |    what it takes at once
             eof_received()                      |
                                                 `->  backlog, sent when writable;
                                                      then drained()

One read watcher is started once and stays. The end has an order: what is written goes
out, then our side is shut down, then the peer's bytes are read and dropped until it does
the same, and only then the socket is closed. (A socket closed with bytes unread answers
them with a reset, which can overtake the last frames on their way to the peer.)

Invariants:
- A callback of the hub neither blocks nor raises.
- An owner hears nothing after `released()`.
"""

from __future__ import annotations

import socket
import ssl
from enum import Enum
from typing import Any, Protocol

from .log import logger
from .sockets import count_acknowledged, discard_unsent, has_left

_READ = 1
_WRITE = 2
READ_SIZE = 2**16
# What a socket says that has nothing to read, or takes no more; TLS says which of both it needs.
_NOT_NOW = (BlockingIOError, InterruptedError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class Owner(Protocol):
    """What a transport reports to. None of this may block or raise."""

    def data_received(self, data: bytes) -> None:
        """Receive bytes."""

    def eof_received(self) -> None:
        """Handle that no more will come."""

    def progressed(self) -> None:
        """Handle that the socket has taken some of the backlog."""

    def drained(self) -> None:
        """Handle that the backlog is gone."""

    def released(self) -> None:
        """Handle that the transport is done with the socket."""


class Stage(Enum):
    OPEN = 0
    FLUSHING = 1  # close() was called, the backlog goes out
    LINGERING = 2  # our side is shut down, waiting for the peer's end
    RELEASED = 3


# Members of an enum are slow to look up, and this is looked up for every read.
_OPEN = Stage.OPEN


class Transport:
    """A plain socket.

    Args:
        sock: a connected stream socket.
        loop: the loop of the hub that is to read it.
        owner: what to report to.
        keep_socket: leave it to others to close the socket at the end; it is shut down.
    """

    __slots__ = (
        "_backlog",
        "_eof",
        "_keep_socket",
        "_owner",
        "_reader",
        "_stage",
        "_writer",
        "is_broken",
        "socket",
    )

    def __init__(self, sock: Any, loop: Any, owner: Owner, keep_socket: bool = False) -> None:
        self.socket = sock
        self._owner = owner
        self._keep_socket = keep_socket
        self._stage = Stage.OPEN
        self._eof = False
        # Nothing can be written any more, though perhaps still read.
        self.is_broken = False
        self._backlog: bytearray | None = None
        self._writer: Any = None
        self._reader = loop.io(sock.fileno(), _READ)
        self._reader.start(self._readable)

    @property
    def backlog(self) -> int:
        """The bytes that wait for the socket to take them."""
        return len(self._backlog) if self._backlog is not None else 0

    @property
    def is_paused(self) -> bool:
        """Whether nothing is read for now, though there may be something to read."""
        return self._stage is _OPEN and not self._eof and not self._reader.active

    def taken(self) -> int:
        """Return how many bytes the peer has taken in all, or 0 where that can't be known."""
        return 0 if self.socket is None else count_acknowledged(self.socket)

    # Reading

    def pause_reading(self) -> None:
        """Read no more until `resume_reading`, so that the peer has to wait."""
        if self._stage is _OPEN:
            self._reader.stop()

    def resume_reading(self) -> None:
        """Read again."""
        if self._stage is not Stage.RELEASED and not self._eof and not self._reader.active:
            self._reader.start(self._readable)

    def look(self) -> None:
        """While nothing is read: notice that the peer has left, and read what it has sent."""
        if self.is_paused and has_left(self.socket.fileno()):
            self._break()

    def poll(self) -> None:
        """Read now what has already come, without waiting for the loop to say so."""
        if self._stage is _OPEN and self._reader.active:
            self._readable()

    def _readable(self) -> None:
        try:
            self._read()
        except BaseException as error:
            self._drop_for(error)

    def _drop_for(self, error: BaseException) -> None:
        """Drop the connection because of a fault of ours, or an interrupt.

        That is for the main greenlet. But a watcher whose callback raises is stopped, so nobody
        would read this connection again.
        """
        self.abort()
        if not isinstance(error, Exception):
            raise error
        logger.error("a connection is dropped because of an error", exc_info=error)

    def _read(self) -> None:
        try:
            data = self.socket.recv(READ_SIZE)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            logger.debug("reading failed: %s", error)
            data = b""
            self._break()
        if data and self._stage is _OPEN:
            self._owner.data_received(data)
        else:
            self._receive(data)

    def _receive(self, data: bytes) -> None:
        if self._stage is Stage.LINGERING:
            if not data:
                self._release()
        elif data:
            self._owner.data_received(data)
        elif self._stage is not Stage.RELEASED:
            self._eof = True
            self._reader.stop()
            if self._stage is _OPEN:
                self._owner.eof_received()

    # Writing

    def write(self, data: bytes) -> bool:
        """Send bytes at once as far as the socket takes them, and the rest when it does.

        Return whether all of them are gone.
        """
        if self._stage is not _OPEN or self.is_broken:
            return False
        if self._backlog is not None:
            self._backlog += data
            return False
        try:
            sent = self.socket.send(data)
        except _NOT_NOW:
            sent = 0
        except OSError as error:
            logger.debug("writing failed: %s", error)
            self._break()
            return False
        if sent < len(data):
            self._begin_backlog(bytearray(memoryview(data)[sent:]))
            return False
        return True

    def _begin_backlog(self, backlog: bytearray) -> None:
        self._backlog = backlog
        self._writer = self._reader.loop.io(self.socket.fileno(), _WRITE)
        self._writer.start(self._writable)

    def _writable(self) -> None:
        try:
            self._write_backlog()
        except BaseException as error:
            self._drop_for(error)

    def _write_backlog(self) -> None:
        if self._backlog is None:
            return
        before = self.backlog
        try:
            sent = self.socket.send(self._backlog)
        except _NOT_NOW:
            sent = 0
        except OSError as error:
            logger.debug("writing failed: %s", error)
            self._break()
            return
        del self._backlog[:sent]
        left = self.backlog
        if left < before:
            self._owner.progressed()
        if not left:
            self._drop_backlog()
            if self._stage is Stage.FLUSHING:
                self._shutdown()
            else:
                self._owner.drained()

    def _drop_backlog(self) -> None:
        self._backlog = None
        if self._writer is not None:
            self._writer.stop()
            self._writer.close()
            self._writer = None

    def _break(self) -> None:
        # The peer has reset the connection, or is gone. What it sent before can still be
        # read, and then the end of it: that is where its owner learns of this.
        self._drop_backlog()
        self.is_broken = True
        if self._stage is _OPEN:
            self.resume_reading()
        else:
            self._release()

    # Ending

    def close(self) -> None:
        """Send what waits, tell the peer that it was all, and release the socket when it
        has said the same. That may take for ever: whoever calls this sets a deadline."""
        if self._stage is not _OPEN:
            return
        self._stage = Stage.FLUSHING
        if self._backlog is None:
            self._shutdown()

    def _shutdown(self) -> None:
        self._stage = Stage.LINGERING
        try:
            self._end_output()
        except (OSError, ValueError) as error:
            logger.debug("shutting down failed: %s", error)
            self._release()
            return
        if self._eof:
            self._release()
        else:
            self.resume_reading()

    def _end_output(self) -> None:
        self.socket.shutdown(socket.SHUT_WR)

    def abort(self) -> None:
        """Release the socket now, whatever waits."""
        if self._stage is Stage.RELEASED:
            return
        if self._backlog is not None:
            # The peer is to know that there was more; and the kernel keeps nothing for it.
            discard_unsent(self.socket)
        self._release()

    def _release(self) -> None:
        sock = self._detach()
        try:
            if self._keep_socket:
                # The server writes and reads once more before it closes it, and must not
                # be heard or wait.
                sock.shutdown(socket.SHUT_RDWR)
            else:
                sock.close()
        except OSError as error:
            logger.debug("closing failed: %s", error)
        self._owner.released()

    def _detach(self) -> Any:
        self._stage = Stage.RELEASED
        self._drop_backlog()
        self._reader.stop()
        self._reader.close()
        sock, self.socket = self.socket, None
        return sock

    def forget(self) -> None:
        """Close our copy of a socket that is another process's since a fork, or whose hub is
        gone."""
        if self._stage is Stage.RELEASED:
            return
        sock = self.socket
        try:
            self._detach()
        except ValueError:
            """The loop is destroyed, and with it its watchers."""
        self.socket = None
        sock.close()
