"""The contract of all drivers: a protocol without I/O.

        bytes from the peer                       what the application wants
                |                                            |
                v                                            v
     receive_data(), receive_eof()        text() binary() ping() pong() close()
                |                                            |
                +--------------->  the driver  <-------------+
                |                                            |
                v                                            v
            events()                                   data_to_send()

A driver is pulled, it never calls back: whoever holds one moves the bytes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

from ..constants import CloseCode, ReadyState
from .events import Event
from .prepared import PreparedMessage


class Driver(ABC):
    """A WebSocket connection, without the connection.

    Attributes:
        version: the version of the protocol, such as `hybi-13`.
        protocol: the subprotocol in use, if any.
        extensions: the extensions in use, as in the header; empty if there are none.
        ready_state: where in its life the connection is. It follows the events that have
            been taken: a peer's close, or its fault, counts when `events()` tells it.
        is_text_only: whether the version has neither binary messages nor pings.
    """

    __slots__ = ("_events", "_output", "extensions", "protocol", "ready_state")

    version: str
    is_text_only = False

    def __init__(self) -> None:
        self.ready_state = ReadyState.CONNECTING
        self.protocol: str | None = None
        self.extensions = ""
        self._events: list[Event] | None = None
        self._output: list[bytes] | None = None

    @abstractmethod
    def start(self) -> bool:
        """Begin: send the opening handshake. Return whether there was anything to begin."""

    @abstractmethod
    def receive_data(self, data: bytes) -> None:
        """Take in bytes that the peer has sent, in pieces of any size."""

    @abstractmethod
    def receive_eof(self) -> None:
        """Take in that the peer will send no more bytes."""

    def abort(self) -> None:
        """Take in that the connection is gone, and that nobody wants what has not been told."""
        self.receive_eof()

    @abstractmethod
    def events(self) -> list[Event]:
        """Return what has happened since the last call, in order; nothing if that is all.

        It need not be all at once: what many bytes, or compressed ones, have to tell comes
        in several calls, each of some 256 KiB or one message. So call it until the list is
        empty, or leave the rest for later: it is kept as the bytes that came.

        What ends the connection (the peer's close, its violation of the protocol, the end
        of its bytes) comes alone and last, in a call of its own, and has its effect then.
        So whoever handles the events of one call before making the next can still answer
        what came before the end.
        """

    def data_to_send(self) -> bytes:
        """Return the bytes to send to the peer, once."""
        output = self._output
        if output is None:
            return b""
        self._output = None
        return output[0] if len(output) == 1 else b"".join(output)

    def _send(self, data: bytes) -> None:
        if self._output is None:
            self._output = [data]
        else:
            self._output.append(data)

    def _tell(self, event: Event) -> None:
        if self._events is None:
            self._events = [event]
        else:
            self._events.append(event)

    @abstractmethod
    def text(self, data: str) -> bool:
        """Send a text message. Return False, and send nothing, unless open."""

    @abstractmethod
    def binary(self, data: bytes) -> bool:
        """Send a binary message. Return False, and send nothing, unless open."""

    @abstractmethod
    def send_prepared(self, message: PreparedMessage) -> bool:
        """Send a message that goes to many connections. Return False unless open."""

    @abstractmethod
    def ping(self, data: bytes = b"") -> bool:
        """Send a ping. Return False, and send nothing, unless open and there are pings.

        Raises:
            ValueError: the data is over 125 bytes.
        """

    @abstractmethod
    def pong(self, data: bytes = b"") -> bool:
        """Send a pong that no ping asked for. The same as `ping` otherwise."""

    @abstractmethod
    def close(self, code: int = CloseCode.NORMAL_CLOSURE, reason: str = "") -> bool:
        """Begin the closing handshake. Return False if that has happened before.

        Raises:
            TypeError, ValueError: the code or the reason is not one to close with.
        """

    @abstractmethod
    def hold_pongs(self, hold: bool) -> None:
        """While `hold`, answer no pings; afterwards, the last of those that came.

        For when the peer does not read: what a peer makes us send must not fill our memory.
        """

    @abstractmethod
    def leave(self, code: int, reason: str = "") -> bool:
        """Close because of something at our end: 1011 for a fault, 1001 for an exit.

        These are codes that the application of a client can't close with. Return False
        unless open.
        """

    @property
    @abstractmethod
    def is_ending(self) -> bool:
        """Whether the end is all that is left to tell: the next `events()` tells it."""


def check_max_length(length: int) -> int:
    """Return the longest message that an application wants to accept, in bytes.

    Raises:
        ValueError: it is no length.
    """
    if length < 1:
        raise ValueError(f"max_length must be at least 1 byte, not {length}")
    return length
