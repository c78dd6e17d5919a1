"""A transport over TLS, and the choice between it and a plain one."""

from __future__ import annotations

import socket
import ssl
from contextlib import suppress
from typing import Any

from .log import logger
from .transport import READ_SIZE, Owner, Stage, Transport

# TLS decrypts a record of 16 KiB at a time.
_TLS_READS = 4
# Seconds of silence after which the kernel probes the peer: it costs nothing, keeps
# middleboxes from forgetting the connection, and finds the dead ones in the end.
_KEEPALIVE = 60

_OPEN = Stage.OPEN


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
            if self._stage is Stage.RELEASED or not self._reader.active:
                break
            try:
                data = self.socket.recv(READ_SIZE)
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
        is_writable = self._stage in (_OPEN, Stage.FLUSHING) and not self.is_broken
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
    # A UNIX socket has no such options, and not all systems have the last.
    with suppress(OSError, AttributeError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, _KEEPALIVE)
    cls = TLSTransport if hasattr(sock, "unwrap") else Transport
    return cls(sock, loop, owner, keep_socket)
