"""One end of a connection: a driver with a socket, and the time that each phase of it has.

Invariants:
- The phase changes in `_enter` only, and `LIMITS` says how long each may last.
- All of this runs in the hub, or without a switch, and nothing waits.
- Whatever the peer can make grow has an end.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from ..constants import NEVER, CloseCode, ReadyState
from ..driver.base import Driver
from ..driver.prepared import PreparedMessage
from ..runtime.reactor import Reactor
from ..runtime.tls_transport import open_transport
from ..runtime.transport import Transport
from .owner import NOBODY
from .phase import LIMITS, READY_STATES, Phase
from .prelude import Prelude
from .settings import Settings
from .watches import Draining, Leaving, Pinging, Watch

_MAX_CORKED = 2**16  # bytes of replies that are held together
_LINGER_AT_EXIT = 1.0


# Members of an enum are slow to look up.
_OPEN, _ENDING, _CLOSING = Phase.OPEN, Phase.ENDING, Phase.CLOSING
_LINGERING, _GONE = Phase.LINGERING, Phase.GONE


class Endpoint:
    """A driver, its transport, and the connection's phase.

    Args:
        driver: the protocol.
        url: that of the connection.
        settings: how the connection is looked after.
        reactor: that of the hub in which it lives.

    Attributes:
        owner: what it reports to.
        phase: where in its life the connection is.
        transport: the socket, as long as there is one.
        is_congested: whether the peer reads too little: senders wait, and pongs are held.
    """

    __slots__ = (
        "_corked",
        "_deadline",
        "_prelude",
        "_slot",
        "_watches",
        "driver",
        "is_congested",
        "owner",
        "phase",
        "reactor",
        "settings",
        "transport",
        "url",
    )

    def __init__(self, driver: Driver, url: str, settings: Settings, reactor: Reactor) -> None:
        self.driver = driver
        self.url = url
        self.settings = settings
        self.reactor = reactor
        self.owner = NOBODY
        self.is_congested = False
        self.transport: Transport | None = None
        # How many bytes are held back to go out together; None if they go out at once.
        self._corked: int | None = None
        self._prelude: Prelude | None = None
        self._watches: tuple[Watch, ...] = ()
        self._slot: int | None = None
        self._enter(Phase.NEW)

    def _enter(self, phase: Phase, seconds: float | None = None) -> None:
        """Begin a phase, which may last so many seconds, or else as long as its limit."""
        self.phase = phase
        if seconds is None:
            seconds = LIMITS[phase]
        if phase in (_CLOSING, _LINGERING):
            seconds = min(seconds, self.settings.close_timeout)
        self._deadline = NEVER if seconds == NEVER else time.monotonic() + seconds
        if phase >= _LINGERING:
            self._watches = ()
            self._prelude = None
        self._set_heartbeat()

    @property
    def ready_state(self) -> ReadyState:
        """The phase as the application sees it."""
        if self._prelude is not None and self._prelude.close is not None:
            return ReadyState.CLOSING
        return READY_STATES[self.phase]

    @property
    def backlog(self) -> int:
        """The bytes that wait for the network to take them."""
        return 0 if self.transport is None else self.transport.backlog

    # Opening

    def attach(self, sock: Any, early: bytes, keep_socket: bool) -> None:
        """Take over a socket and the bytes read from it. With `keep_socket` others close it."""
        reactor, settings = self.reactor, self.settings
        reactor.members.add(self)
        # Before all that the transport is going to read.
        reactor.loop.run_callback(self.data_received, early)
        transport = self.transport = open_transport(sock, reactor.loop, self, keep_socket)
        self.driver.start()
        if self.driver.ready_state is ReadyState.CONNECTING:
            self._enter(Phase.OPENING)
        if settings.ping is not None:
            self._watch(Pinging(self, transport, settings.ping, settings.ping_timeout))
        self.owner.take()
        self.flush()
        if reactor.is_leaving:
            self.leave()

    def opened(self) -> None:
        """Handle that the opening handshake is done: do what was waiting for it."""
        self._enter(_OPEN)
        prelude, self._prelude = self._prelude, None
        if prelude is not None:
            prelude.run()
            if prelude.close is not None:
                self.close(*prelude.close)

    def when_open(self, action: Callable[[], object]) -> bool:
        """Do something when the connection is open. Return False if it can't be opened yet."""
        return self.phase < _OPEN and self._begin_prelude().add(action)

    def _begin_prelude(self) -> Prelude:
        if self._prelude is None:
            self._prelude = Prelude()
        return self._prelude

    # Ending

    def close(self, code: int, reason: str) -> None:
        """Begin the closing handshake, as soon as the connection is open.

        Raises:
            TypeError, ValueError: the code or reason is not one to close with.
        """
        if self.driver.close(code, reason):
            self._begin_closing()
        elif self.phase < _OPEN:
            prelude = self._begin_prelude()
            prelude.close = prelude.close or (code, reason)

    def fail(self, reason: str) -> None:
        """Close because of a fault at our end (RFC 6455, 7.4.1: 1011)."""
        if self.driver.leave(CloseCode.INTERNAL_ERROR, reason):
            self._begin_closing()

    def leave(self) -> None:
        """Tell the peer that the process ends (RFC 6455, 7.4.1: 1001, going away)."""
        if self.driver.leave(CloseCode.GOING_AWAY):
            self._begin_closing()
        elif self.phase < _OPEN:
            self.drop()

    def _begin_closing(self) -> None:
        self.flush()
        self._enter(_CLOSING)
        self.govern_reading()
        # The peer's close may have come before ours: then this was the answer to it.
        self.advance_soon()

    def expect_end(self, seconds: float | None = None) -> None:
        """Handle that the end has come, but has to wait for the application."""
        if self.phase is _OPEN:
            self._enter(_ENDING, seconds)

    def end(self) -> None:
        """Send what is left, and release the socket when the peer has done with it."""
        self.flush()
        transport = self.transport
        if transport is None:
            self.reactor.members.discard(self)
            self._enter(_GONE)
            return
        self._enter(_LINGERING, _LINGER_AT_EXIT if self.reactor.is_leaving else None)
        transport.close()

    def drop(self) -> None:
        """End the connection without the peer."""
        self.driver.receive_eof()
        if self.transport is not None:
            self.transport.abort()
        else:
            self.released()

    cut_off = drop

    def forget(self) -> None:
        """Let go of the connection, which belongs to another process, or to nobody."""
        transport, self.transport = self.transport, None
        if transport is not None:
            transport.forget()
        # Nobody here is to hear what it has received.
        self.driver.abort()
        self.driver.events()
        self.driver.answer_close()
        was_closed = self.phase >= _LINGERING
        self._slot = None
        if self.phase is not _GONE:
            self._enter(_GONE)
        # By now: other threads that wait are going to look.
        self.owner.forgotten(was_closed)

    def disown(self) -> None:
        """Forget the connection, and what has come over it: it is another process's."""
        self.forget()
        self.owner.disowned()

    # The transport's reports; all of them come from the hub, or without a switch

    def data_received(self, data: bytes) -> None:
        """Receive bytes."""
        for watch in self._watches:
            watch.heard()
        if data:
            self.driver.receive_data(data)
        self._corked = 0
        self.owner.advance()
        self._corked = None
        self.flush()

    def eof_received(self) -> None:
        """Receive the end of the bytes."""
        self.driver.receive_eof()
        self.owner.advance()
        self.owner.input_ended()

    def progressed(self) -> None:
        """Handle that the peer reads."""
        for watch in self._watches:
            watch.progressed()

    def drained(self) -> None:
        """Handle that all that was sent is on its way."""
        if self.is_congested:
            self.is_congested = False
            self.driver.hold_pongs(False)
            self.flush()
            self.owner.drained()

    def released(self) -> None:
        """Handle that the socket is gone."""
        self.transport = None
        self.reactor.members.discard(self)
        if self.phase < _LINGERING:
            self.driver.receive_eof()
            self.owner.take_end()
        elif self.phase is _LINGERING:
            self._enter(_GONE)
        self.owner.released()

    # Flow

    def send(self, message: str | bytes) -> bool:
        """Send a message, as text or binary. Return False if it can't be sent."""
        driver = self.driver
        if not (driver.text(message) if isinstance(message, str) else driver.binary(message)):
            # An extension may have failed, and that ends the connection.
            self.advance_soon()
            return False
        self.sent(len(message))
        return True

    def send_prepared(self, message: PreparedMessage) -> bool:
        """Send a message of a broadcast. Return False if it can't be sent."""
        if not self.driver.send_prepared(message):
            self.advance_soon()
            return False
        self.sent(len(message.data))
        return True

    def cork(self) -> int | None:
        """Hold back what is sent from now on, until `uncork`, which takes what this returns."""
        corked = self._corked
        self._corked = corked or 0
        return corked

    def uncork(self, corked: int | None) -> None:
        """Send what was held back, if this was the first `cork`."""
        self._corked = corked
        if corked is None:
            self.flush()

    def sent(self, length: int) -> None:
        """Send what the driver has for the peer, now or with more of its kind."""
        if self._corked is not None:
            self._corked += length
            if self._corked < _MAX_CORKED:
                return
            self._corked = 0
        self.flush()

    def flush(self) -> None:
        """Send what the driver has for the peer, now."""
        data = self.driver.data_to_send()
        transport = self.transport
        if data and transport is not None and not transport.write(data):
            self._slow_down(transport)

    def _slow_down(self, transport: Transport) -> None:
        """Handle that not all went out."""
        timeout = self.settings.send_timeout
        if timeout is not None and transport.backlog and not self._is_watching(Draining):
            self._watch(Draining(self, transport, timeout))
        if self.is_congested:
            return
        if transport.is_broken or transport.backlog > self.settings.max_backlog:
            self.is_congested = True
            self.driver.hold_pongs(True)
        if transport.is_broken:
            self.govern_reading()

    def govern_reading(self) -> None:
        """Read, unless the application can't follow, or does not want to.

        When we have begun to close, all that matters is the peer's close, and what stands
        before it for a greenlet that still receives. And a peer that does not read is read all
        the same: it may be waiting for us to do just that.
        """
        transport = self.transport
        if transport is None:
            return
        is_open = self.phase in (_OPEN, _ENDING)
        # A full inbox is no reason by itself: only one that is behind tells us when it is empty.
        if not transport.is_broken and (self.owner.is_behind or (is_open and self.owner.is_paused)):
            transport.pause_reading()
            if not self._is_watching(Leaving):
                self._watch(Leaving(self, transport))
        else:
            transport.resume_reading()

    def advance_soon(self) -> None:
        """Let the owner take what the driver has received, in the next turn of the hub."""
        self.reactor.post(self._advance)

    def _advance(self) -> None:
        self.owner.advance()
        self.govern_reading()

    # Deadlines

    def beat(self, now: float) -> None:
        """Do what is due. From the heartbeat, in the hub."""
        self._slot = None
        for watch in self._watches:
            if now >= watch.deadline:
                watch.beat(now)
        if now >= self._deadline:
            self._deadline = NEVER
            if self.phase is _ENDING:
                self.owner.take_end()
            else:
                self.drop()
        self._watches = tuple(watch for watch in self._watches if watch.deadline != NEVER)
        self._set_heartbeat()

    def _set_heartbeat(self) -> None:
        deadline = self._deadline
        for watch in self._watches:
            deadline = min(deadline, watch.deadline)
        if self._slot is not None:
            self.reactor.heartbeat.discard(self, self._slot)
        self._slot = None if deadline == NEVER else self.reactor.heartbeat.add(self, deadline)

    def _watch(self, watch: Watch) -> None:
        self._watches = (*self._watches, watch)
        self._set_heartbeat()

    def _is_watching(self, kind: type) -> bool:
        return any(isinstance(watch, kind) for watch in self._watches)

    # For the watches

    def send_ping(self, data: bytes = b"") -> bool:
        """Send a ping. Return False if it can't be sent, or the version has none."""
        if not self.driver.ping(data):
            return False
        self.sent(0)
        return True

    def send_pong(self) -> None:
        """Send a pong that nobody has asked for."""
        if self.driver.pong():
            self.sent(0)
