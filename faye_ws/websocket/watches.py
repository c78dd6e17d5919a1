"""What an endpoint watches for besides its phase, each with a deadline of its own.

    Pinging     asks a silent peer whether it is there         as long as it is connected
    Draining    sees whether a slow peer takes anything        while something waits for it
    Leaving     sees whether a peer that is not read has left  while it is not read

Invariants:
- A watch whose deadline is `NEVER` is over, and its endpoint forgets it.
- A peer that does what it should, in its time, is never dropped because we were busy.
"""

from __future__ import annotations

import time
from typing import Protocol

from ..constants import NEVER
from ..runtime.log import logger
from ..runtime.seconds import LOOKS
from ..runtime.transport import Transport
from .owner import Owner

# Seconds between two looks whether a peer that is not read has left.
LOOK = 5.0


class Endpoint(Protocol):
    """What a watch needs of the endpoint that it is for."""

    owner: Owner

    def send_ping(self) -> bool:
        """Send a ping. Return False if it can't be sent, or the version has none."""

    def send_pong(self) -> None:
        """Send a pong that nobody has asked for."""

    def drop(self) -> None:
        """End the connection without the peer."""


class Watch:
    """Something to be done by a time, in seconds of `time.monotonic()`."""

    __slots__ = ("deadline",)

    deadline: float

    def beat(self, now: float) -> None:
        """Do what is due."""

    def heard(self) -> None:
        """Handle that something has come from the peer."""

    def progressed(self) -> None:
        """Handle that the socket has taken something of what waited."""


class Pinging(Watch):
    """Pings, and the end of a peer that stays silent after one.

    Args:
        endpoint: what sends them.
        transport: what the peer is heard through.
        interval: seconds between two pings.
        timeout: seconds of silence after one that a peer is granted, or None for any.
    """

    __slots__ = (
        "_endpoint",
        "_heard",
        "_interval",
        "_next_ping",
        "_silence_ends",
        "_timeout",
        "_transport",
    )

    def __init__(
        self, endpoint: Endpoint, transport: Transport, interval: float, timeout: float | None
    ) -> None:
        self._endpoint = endpoint
        self._transport = transport
        self._interval = interval
        self._timeout = timeout
        self._silence_ends = NEVER
        self.deadline = self._next_ping = time.monotonic() + interval
        # Whether anything has come since the last ping.
        self._heard = False

    def heard(self) -> None:
        """Handle that the peer is not silent."""
        self._heard = True

    # A peer that reads may not have come to the ping yet.
    progressed = heard

    def beat(self, now: float) -> None:
        """Drop a peer that was silent for too long, or send the next ping."""
        if now >= self._silence_ends:
            self._check_silence()
        if now >= self._next_ping:
            self._next_ping = now + self._interval
            if self._endpoint.send_ping() and self._timeout is not None:
                self._expect_something(now + self._timeout)
        self.deadline = min(self._next_ping, self._silence_ends)

    def _expect_something(self, deadline: float) -> None:
        if self._silence_ends == NEVER:
            self._heard = False
            self._silence_ends = deadline

    def _check_silence(self) -> None:
        self._silence_ends = NEVER
        if self._heard:
            return
        # What came in time may not have been read yet by a process that was busy, and one that
        # does not want to read can't hear anything.
        self._transport.poll()
        if not self._heard and not self._endpoint.owner.wants_none():
            logger.debug("a silent peer is dropped")
            self._next_ping = NEVER
            self._endpoint.drop()


class Draining(Watch):
    """The end of a peer that takes nothing of what waits for it.

    The socket takes nothing for long when the kernel has much for a slow peer. So what counts
    is what the peer has acknowledged.

    Args:
        endpoint: what sends.
        transport: where it waits.
        timeout: seconds that a peer may take nothing.
    """

    __slots__ = ("_endpoint", "_since", "_taken", "_timeout", "_transport")

    def __init__(self, endpoint: Endpoint, transport: Transport, timeout: float) -> None:
        self._endpoint = endpoint
        self._transport = transport
        self._timeout = timeout
        self._begin(time.monotonic())

    def _begin(self, now: float) -> None:
        self._taken = self._transport.taken()
        self._since = now
        self.deadline = now + self._timeout / LOOKS

    def progressed(self) -> None:
        """Take it that the peer has taken something, too, by the next look."""
        self._taken = -1

    def beat(self, now: float) -> None:
        """Drop the peer if it has taken nothing in its time."""
        if not self._transport.backlog:
            self.deadline = NEVER
        elif self._transport.taken() > self._taken:
            self._begin(now)
        elif now >= self._since + self._timeout:
            logger.debug("a peer that takes nothing is dropped")
            self.deadline = NEVER
            self._endpoint.drop()
        else:
            self.deadline = now + self._timeout / LOOKS


class Leaving(Watch):
    """The end of a peer that has left, and whose messages nobody is going to receive.

    The end of its side stands behind them, unread. But the host of a peer that is gone answers
    what it gets with a reset. RFC 6455, 5.5.3: "A Pong frame MAY be sent unsolicited. This serves
    as a unidirectional heartbeat. A response to an unsolicited Pong frame is not expected."

    Args:
        endpoint: what does not read.
        transport: what the peer is looked at through.
    """

    __slots__ = ("_endpoint", "_transport")

    def __init__(self, endpoint: Endpoint, transport: Transport) -> None:
        self._endpoint = endpoint
        self._transport = transport
        self.deadline = time.monotonic() + LOOK

    def beat(self, now: float) -> None:
        """Look whether the peer is there."""
        if not self._transport.is_paused:
            self.deadline = NEVER
            return
        self.deadline = now + LOOK
        owner = self._endpoint.owner
        if not owner.is_paused and not owner.is_answering():
            self._transport.look()
            if not self._transport.backlog:
                self._endpoint.send_pong()
