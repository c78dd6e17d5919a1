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

The law of this file: a callback of the hub never blocks, never raises, and an owner that
is told `released()` hears nothing after it.
"""

from __future__ import annotations

import socket as constants
import ssl
from enum import Enum
from typing import Any, Protocol

from .log import logger
from .sockets import count_acknowledged, discard_unsent, has_left

_READ = 1
_WRITE = 2
_READ_SIZE = 2**16
# What a socket says that has nothing to read, or takes no more; TLS says which of both it needs.
_NOT_NOW = (BlockingIOError, InterruptedError, ssl.SSLWantReadError, ssl.SSLWantWriteError)
# TLS decrypts a record of 16 KiB at a time.
_TLS_READS = 4
# Seconds of silence after which the kernel probes the peer: it costs nothing, keeps
# middleboxes from forgetting the connection, and finds the dead ones in the end.
_TCP_KEEPIDLE = 60


class Owner(Protocol):
    """What a transport reports to. None of this may block or raise."""

    def data_received(self, data: bytes) -> None:
        """Take bytes that have come."""

    def eof_received(self) -> None:
        """Take note that no more will come."""

    def progressed(self) -> None:
        """Take note that the socket has taken some of the backlog."""

    def drained(self) -> None:
        """Take note that the backlog is gone."""

    def released(self) -> None:
        """Take note that the transport is done with the socket."""


class _Stage(Enum):
    OPEN = 0
    FLUSHING = 1  # close() was called, the backlog goes out
    LINGERING = 2  # our side is shut down, waiting for the peer's end
    RELEASED = 3


# Members of an enum are slow to look up, and this is looked up for every read.
_OPEN = _Stage.OPEN


class Transport:
    """A plain socket.

    Args:
        sock: a connected stream socket.
        loop: the loop of the hub that is to read it.
        owner: whom to report to.
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
        self._stage = _Stage.OPEN
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
        if self._stage is not _Stage.RELEASED and not self._eof and not self._reader.active:
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
        except Exception:
            logger.exception("a connection is dropped because of an error")
            self.abort()
        except BaseException:
            # An interrupt is for the main greenlet. But a watcher whose callback raises is
            # stopped, so nobody would read this connection again.
            self.abort()
            raise

    def _read(self) -> None:
        try:
            data = self.socket.recv(_READ_SIZE)
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
        if self._stage is _Stage.LINGERING:
            if not data:
                self._release()
        elif data:
            self._owner.data_received(data)
        elif self._stage is not _Stage.RELEASED:
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
        except Exception:
            logger.exception("a connection is dropped because of an error")
            self.abort()
        except BaseException:
            # An interrupt is for the main greenlet. But a watcher whose callback raises is
            # stopped, so nobody would read this connection again.
            self.abort()
            raise

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
            if self._stage is _Stage.FLUSHING:
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
        self._stage = _Stage.FLUSHING
        if self._backlog is None:
            self._shutdown()

    def _shutdown(self) -> None:
        self._stage = _Stage.LINGERING
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
        self.socket.shutdown(constants.SHUT_WR)

    def abort(self) -> None:
        """Release the socket now, whatever waits."""
        if self._stage is _Stage.RELEASED:
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
                sock.shutdown(constants.SHUT_RDWR)
            else:
                sock.close()
        except OSError as error:
            logger.debug("closing failed: %s", error)
        self._owner.released()

    def _detach(self) -> Any:
        self._stage = _Stage.RELEASED
        self._drop_backlog()
        self._reader.stop()
        self._reader.close()
        sock, self.socket = self.socket, None
        return sock

    def forget(self) -> None:
        """Close our copy of a socket that is another process's since a fork, or whose hub is
        gone."""
        if self._stage is _Stage.RELEASED:
            return
        sock = self.socket
        try:
            self._detach()
        except ValueError:
            """The loop is destroyed, and with it its watchers."""
        self.socket = None
        sock.close()


class TLSTransport(Transport):
    """A socket that the `ssl` module, gevent's, or `runtime.tls` has wrapped.

    What the last of these holds for the socket is part of the backlog. Where TLS has to write
    before it can read any more, the watcher for reading rests until something is written.
    """

    __slots__ = ("_is_stuck",)

    def __init__(self, sock: Any, loop: Any, owner: Owner, keep_socket: bool = False) -> None:
        super().__init__(sock, loop, owner, keep_socket)
        self._is_stuck = False
        # The rest of a record that others have begun to read can't be seen at the socket.
        loop.run_callback(self._readable)

    @property
    def backlog(self) -> int:
        """The bytes that wait for the socket to take them."""
        return super().backlog + self._count_held()

    def _count_held(self) -> int:
        # OpenSSL over a descriptor holds no more than a record, of which it tells nothing.
        held: int = getattr(self.socket, "unsent", 0)
        return held

    def pause_reading(self) -> None:
        """Read no more until `resume_reading`, so that the peer has to wait."""
        super().pause_reading()
        self._is_stuck = False

    def _read(self) -> None:
        if self._backlog is not None:
            # TLS may have to read before it can write.
            self._write_backlog()
        for _ in range(_TLS_READS):
            if self._stage is _Stage.RELEASED or not self._reader.active:
                break
            try:
                data = self.socket.recv(_READ_SIZE)
            except ssl.SSLWantWriteError:
                self._is_stuck = True
                self._reader.stop()
                break
            except (ssl.SSLWantReadError, BlockingIOError):
                break
            except (OSError, ValueError) as error:
                logger.debug("reading failed: %s", error)
                data = b""
                self._break()
            self._receive(data)
        self._watch_held()

    def write(self, data: bytes) -> bool:
        """Send bytes at once as far as the socket takes them, and the rest when it does."""
        is_done = super().write(data)
        self._watch_held()
        return is_done and not self.backlog

    def _watch_held(self) -> None:
        """See to it that what TLS has for the socket goes out, and that reading goes on."""
        is_writable = self._stage in (_OPEN, _Stage.FLUSHING) and not self.is_broken
        if is_writable and self._backlog is None and (self._is_stuck or self._count_held()):
            self._begin_backlog(bytearray())

    def _write_backlog(self) -> None:
        if self._is_stuck:
            self._is_stuck = False
            self.resume_reading()
        super()._write_backlog()

    def _end_output(self) -> None:
        try:
            # Sends the close_notify, and then would wait for the peer's.
            self.socket.unwrap()
        except (OSError, ValueError) as error:
            logger.debug("the TLS connection ends: %s", error)
        super()._end_output()


def open_transport(sock: Any, loop: Any, owner: Owner, keep_socket: bool = False) -> Transport:
    """Return the transport for a socket, whatever modes a server has left it in."""
    sock.settimeout(0.0)
    for level, option, value in (
        (constants.IPPROTO_TCP, constants.TCP_NODELAY, 1),
        (constants.SOL_SOCKET, constants.SO_KEEPALIVE, 1),
        (constants.IPPROTO_TCP, getattr(constants, "TCP_KEEPIDLE", None), _TCP_KEEPIDLE),
    ):
        try:
            if option is not None:
                sock.setsockopt(level, option, value)
        except OSError as error:
            # A UNIX socket has no such options.
            logger.debug("setting an option failed: %s", error)
    cls = TLSTransport if hasattr(sock, "unwrap") else Transport
    return cls(sock, loop, owner, keep_socket)
