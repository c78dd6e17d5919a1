"""The lowest storey of a connection: bytes and time.

A connection is one object of three storeys, since it must be light at rest:

    Connection     what the application calls          (connection.py)
    Dispatcher     from events to the application      (runtime/dispatcher.py)
    Link           bytes, flow and deadlines           (this file)

A link moves bytes between a transport and a driver, keeps the connection alive, and drops
it when the peer, or the end, takes too long.

The law of this file: everything here runs in the hub, or without a switch, and nothing
waits. Whatever the peer can make grow has an end.
"""

from __future__ import annotations

import time
from typing import Any

from ..constants import NEVER, CloseCode, ReadyState
from ..driver.base import Driver
from ..events import EventTarget, logger
from ..runtime.reactor import Reactor
from ..runtime.seconds import LOOKS, check_optional_seconds, check_seconds
from ..runtime.transport import Transport, open_transport

# Seconds the peer has to close its side of TCP after the closing handshake.
_LINGER = 5.0
_LINGER_AT_EXIT = 1.0
# Seconds the peer has for what is left of its opening handshake. Only the draft hixie-76
# leaves something.
_OPENING_TIMEOUT = 10.0
# Seconds between two looks whether a peer that is not read has left.
_LOOK = 5.0


class Link(EventTarget):
    """A driver with a socket.

    Args:
        driver: the protocol.
        ping: send a ping every so many seconds, or None.
        ping_timeout: drop a peer that is silent so many seconds after a ping, or None.
        close_timeout: seconds that the closing handshake may take.
        send_timeout: drop a peer that takes nothing of what waits for it in so many seconds,
            or None.
        max_backlog: bytes that may wait for a slow peer before senders have to wait.
    """

    __slots__ = (
        "_backlogged",
        "_close_deadline",
        "_close_timeout",
        "_corked",
        "_driver",
        "_end_deadline",
        "_heard",
        "_is_behind",
        "_look_deadline",
        "_max_backlog",
        "_paused",
        "_ping",
        "_ping_deadline",
        "_ping_timeout",
        "_reactor",
        "_send_deadline",
        "_send_timeout",
        "_silence_deadline",
        "_slot",
        "_stalled",
        "_taken",
        "_taken_since",
        "_transport",
    )

    def __init__(
        self,
        driver: Driver,
        ping: float | None,
        ping_timeout: float | None,
        close_timeout: float,
        send_timeout: float | None,
        max_backlog: int,
    ) -> None:
        super().__init__()
        self._driver = driver
        self._ping = check_optional_seconds("ping", ping)
        self._ping_timeout = check_optional_seconds("ping_timeout", ping_timeout)
        self._close_timeout = check_seconds("close_timeout", close_timeout)
        self._send_timeout = check_optional_seconds("send_timeout", send_timeout)
        if max_backlog < 1:
            raise ValueError(f"max_backlog must be at least 1 byte, not {max_backlog}")
        self._max_backlog = max_backlog
        # Both are None until there is a socket, and the transport when it is gone.
        self._reactor: Reactor | None = None
        self._transport: Transport | None = None
        # How many bytes are held back to go out together, or None when none are.
        self._corked: int | None = None
        # The application wants no messages for now; so, or because it can't follow, nothing
        # is read; and the peer does not read what we send.
        self._paused = False
        self._stalled = False
        # The driver has more to tell than the application has room for.
        self._is_behind = False
        self._backlogged = False
        # Whether anything has come since the last ping.
        self._heard = False
        # Deadlines, in seconds of time.monotonic(), and the place in the heartbeat.
        self._ping_deadline = NEVER
        self._silence_deadline = NEVER
        self._end_deadline = NEVER
        self._close_deadline = NEVER
        self._send_deadline = NEVER
        self._look_deadline = NEVER
        self._slot: int | None = None
        # What the peer had taken in all when last looked, or -1 if it has taken more by now;
        # and since when it has taken nothing.
        self._taken = 0
        self._taken_since = 0.0

    # For the storeys above

    def _advance(self) -> None:
        """Bring what the driver has to tell to whoever is to hear it. For the hub."""
        raise NotImplementedError

    def _is_inbox_full(self) -> bool:
        raise NotImplementedError

    def _is_answering(self) -> bool:
        raise NotImplementedError

    def _on_drain(self) -> None:
        raise NotImplementedError

    def _on_release(self) -> None:
        raise NotImplementedError

    # The socket's life

    def _attach(self, sock: Any, early: bytes, keep_socket: bool) -> None:
        """Take over a socket, and the bytes that were read from it before."""
        reactor = self._reactor
        assert reactor is not None
        reactor.members.add(self)
        # Before all that the transport is going to read.
        reactor.loop.run_callback(self.data_received, early)
        self._transport = open_transport(sock, reactor.loop, self, keep_socket)
        self._driver.start()
        if self._ping is not None:
            self._ping_deadline = time.monotonic() + self._ping
        if self._driver.ready_state is ReadyState.CONNECTING:
            self._close_deadline = time.monotonic() + _OPENING_TIMEOUT
        self._set_heartbeat()
        self._flush()
        if reactor.is_leaving:
            self.leave()

    def _opened(self) -> None:
        """Take note that the opening handshake has come to its end in time."""
        if self._close_deadline != NEVER:
            self._close_deadline = NEVER
            self._set_heartbeat()

    def _advance_soon(self) -> None:
        if self._reactor is not None:
            self._reactor.post(self._advance)

    def _begin_closing(self) -> None:
        """Send the close frame that the driver has made, and set the peer its deadline."""
        self._flush()
        self._close_deadline = time.monotonic() + self._close_timeout
        self._set_heartbeat()
        self._govern_reading()
        # The peer's close may have come before ours: then this was the answer to it.
        self._advance_soon()

    def _close_transport(self) -> None:
        """Send what is left, and release the socket when the peer has done with it."""
        self._flush()
        if self._transport is not None:
            self._ping_deadline = self._silence_deadline = self._end_deadline = NEVER
            self._send_deadline = self._look_deadline = NEVER
            is_leaving = self._reactor is not None and self._reactor.is_leaving
            linger = _LINGER_AT_EXIT if is_leaving else _LINGER
            self._close_deadline = time.monotonic() + min(linger, self._close_timeout)
            self._set_heartbeat()
            self._transport.close()
        elif self._reactor is not None:
            self._reactor.members.discard(self)

    def _drop(self) -> None:
        """End the connection without the peer."""
        self._driver.receive_eof()
        self._end_deadline = 0.0
        if self._transport is not None:
            self._transport.abort()
        self._advance_soon()

    # The transport's reports; all of them come from the hub, or without a switch

    def data_received(self, data: bytes) -> None:
        """Take bytes that have come."""
        self._heard = True
        if data:
            self._driver.receive_data(data)
        self._corked = 0
        self._advance()
        self._corked = None
        self._flush()

    def eof_received(self) -> None:
        """Take note that no more bytes will come."""
        self._driver.receive_eof()
        self._advance()

    def progressed(self) -> None:
        """Take note that the peer reads: a ping that it has not come to may wait."""
        self._heard = True
        self._taken = -1

    def drained(self) -> None:
        """Take note that all that was sent is on its way."""
        if self._backlogged:
            self._backlogged = False
            self._driver.hold_pongs(False)
            self._flush()
            self._on_drain()

    def released(self) -> None:
        """Take note that the socket is gone."""
        self._transport = None
        self._cancel_heartbeat()
        if self._reactor is not None:
            self._reactor.members.discard(self)
        if self._driver.ready_state is not ReadyState.CLOSED:
            self._drop()
        self._on_release()

    def leave(self) -> None:
        """Tell the peer that the process ends (RFC 6455, 7.4.1: 1001, going away)."""
        if self._driver.leave(CloseCode.GOING_AWAY):
            self._begin_closing()
        elif self._driver.ready_state is ReadyState.CONNECTING:
            self._drop()

    def cut_off(self) -> None:
        """End the connection without the peer: the process has no more time."""
        if self._transport is not None:
            self._drop()

    def forget(self) -> None:
        """Let go of the connection, which belongs to another process, or to nobody."""
        if self._transport is not None:
            self._transport.forget()
            self._transport = None
        self._driver.receive_eof()
        while self._driver.events():
            """What it has to tell, nobody here is to hear."""
        self._driver.answer_close()

    def disown(self) -> None:
        """Forget the connection, and what has come over it: it is another process's."""
        self.forget()

    # Flow

    def _flush(self) -> None:
        """Send what the driver has for the peer."""
        data = self._driver.data_to_send()
        transport = self._transport
        if not data or transport is None:
            return
        transport.write(data)
        if transport.backlog and self._send_deadline == NEVER:
            self._expect_progress()
        if not self._backlogged and (transport.backlog > self._max_backlog or transport.is_broken):
            self._backlogged = True
            self._driver.hold_pongs(True)
            if transport.is_broken:
                self._govern_reading()

    def _flush_unless_corked(self) -> None:
        if self._corked is None:
            self._flush()

    def _govern_reading(self) -> None:
        """Read, unless the application can't follow, or does not want to.

        When we have begun to close, all that matters is the peer's close, and what stands
        before it for a greenlet that still receives. And a peer that does not read is read all
        the same: it may be waiting for us to do just that.
        """
        transport = self._transport
        if transport is None:
            return
        wants_none = self._paused or self._is_inbox_full()
        self._stalled = not transport.is_broken and (
            self._is_behind or (wants_none and self._driver.ready_state is ReadyState.OPEN)
        )
        if self._stalled:
            transport.pause_reading()
            if self._look_deadline == NEVER:
                self._look_deadline = time.monotonic() + _LOOK
                self._set_heartbeat()
        else:
            transport.resume_reading()

    # Deadlines

    def beat(self, now: float) -> None:
        """Do what is due. From the heartbeat, in the hub."""
        self._slot = None
        if now >= self._send_deadline:
            self._check_progress(now)
        if now >= self._look_deadline:
            self._look(now)
        if now >= self._close_deadline:
            self._drop()
            return
        if now >= self._end_deadline:
            self._advance()
        if now >= self._silence_deadline:
            self._check_silence()
        if now >= self._ping_deadline and self._ping is not None:
            self._ping_deadline = now + self._ping
            self._send_ping(now)
        self._set_heartbeat()

    def _send_ping(self, now: float) -> None:
        if self._driver.ping():
            self._flush_unless_corked()
            if self._ping_timeout is not None and self._silence_deadline == NEVER:
                self._heard = False
                self._silence_deadline = now + self._ping_timeout

    def _expect_progress(self) -> None:
        """Give the peer its time to take something of what waits for it."""
        if self._send_timeout is not None and self._transport is not None:
            self._taken = self._transport.taken()
            self._taken_since = time.monotonic()
            self._send_deadline = self._taken_since + self._send_timeout / LOOKS
            self._set_heartbeat()

    def _check_progress(self, now: float) -> None:
        self._send_deadline = NEVER
        transport = self._transport
        if self._send_timeout is None or transport is None or not transport.backlog:
            return
        # The socket takes nothing for long when the kernel has much for a slow peer. What
        # counts is what the peer has taken.
        if transport.taken() > self._taken:
            self._expect_progress()
        elif now >= self._taken_since + self._send_timeout:
            logger.debug("a peer that takes nothing is dropped")
            self._drop()
        else:
            self._send_deadline = now + self._send_timeout / LOOKS

    def _look(self, now: float) -> None:
        """Notice that a peer has left whose messages nobody is going to receive.

        The end of its side stands behind them. But the host of a peer that is gone answers
        what it gets with a reset. RFC 6455, 5.5.3: "A Pong frame MAY be sent unsolicited.
        This serves as a unidirectional heartbeat. A response to an unsolicited Pong frame is
        not expected."
        """
        transport = self._transport
        self._look_deadline = now + _LOOK if self._stalled else NEVER
        if not self._stalled or self._paused or self._is_answering() or transport is None:
            return
        transport.look()
        if not transport.backlog and self._driver.pong():
            self._flush_unless_corked()

    def _check_silence(self) -> None:
        self._silence_deadline = NEVER
        if self._transport is None or self._heard:
            return
        # A process that was busy has not read yet what came in time, and one that does not
        # want to read can't hear anything.
        self._transport.poll()
        if not (self._heard or self._paused or self._is_inbox_full()):
            logger.debug("a silent peer is dropped")
            self._drop()

    def _set_heartbeat(self) -> None:
        deadline = min(
            self._ping_deadline,
            self._silence_deadline,
            self._end_deadline,
            self._close_deadline,
            self._send_deadline,
            self._look_deadline,
        )
        self._cancel_heartbeat()
        if deadline != NEVER and self._transport is not None:
            assert self._reactor is not None
            self._slot = self._reactor.heartbeat.add(self, deadline)

    def _cancel_heartbeat(self) -> None:
        if self._slot is not None and self._reactor is not None:
            self._reactor.heartbeat.discard(self, self._slot)
            self._slot = None
