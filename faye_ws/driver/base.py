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

A driver never calls back: whoever holds one moves the bytes, takes the events, and answers
the last of them with `answer_close()`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

from ..constants import CloseCode, ReadyState
from ..errors import HandshakeError
from .events import Close, Event
from .frames import check_control
from .incoming import Unread
from .prepared import PreparedMessage


class Driver(ABC):
    """A WebSocket connection, without the connection.

    Attributes:
        version: the version of the protocol, such as `hybi-13`.
        protocol: the subprotocol in use, if any.
        extensions: the extensions in use, as in the header; empty if there are none.
        ready_state: where in its life the connection is. A handshake that fails closes it at
            once; after that it is `answer_close()` that does.
        unread: bytes that wait until the events before them are taken. When it is None,
            `events()` has returned all there is.
        is_text_only: whether the version has neither binary messages nor pings.
    """

    __slots__ = (
        "_close",
        "_events",
        "_output",
        "extensions",
        "protocol",
        "ready_state",
        "unread",
    )

    version: str
    is_text_only = False

    def __init__(self) -> None:
        self.ready_state = ReadyState.CONNECTING
        self.protocol: str | None = None
        self.extensions = ""
        self.unread: Unread | None = None
        self._events: list[Event] | None = None
        # The last of the events, once it is known: nothing is received after it.
        self._close: Close | None = None
        self._output: list[bytes] | None = None

    # Receiving

    @abstractmethod
    def start(self) -> bool:
        """Begin: send the opening handshake. Return whether there was anything to begin."""

    @abstractmethod
    def receive_data(self, data: bytes) -> None:
        """Receive bytes from the peer, in pieces of any size."""

    @abstractmethod
    def receive_eof(self) -> None:
        """Receive the end of the bytes: the peer will send no more."""

    def abort(self) -> None:
        """Drop the events that nobody has taken: the connection is lost, and that is the last.

        A `Close` that stands alone among them, or was taken before, stays what it is.
        """
        if self._close is None or len(self._events or ()) > 1:
            self._events = None
            self._end(Close(CloseCode.ABNORMAL_CLOSURE))

    def events(self) -> list[Event]:
        """Return what has happened since the last call, in order, and change nothing.

        It need not be all at once: many bytes, or compressed ones, are reported in several
        calls, each of some 256 KiB or one message. So call it until the list is empty, or
        leave the rest for later: it is kept as the bytes that came (see `unread`).

        Call it after `receive_data()` and `receive_eof()`, after `start()` and `close()`, and
        when a message could not be sent: an extension that fails ends the connection.

        The last event is `Close`. Messages can still be sent then, to answer those before it;
        `answer_close()` comes after them.
        """
        events, self._events = self._events, None
        return [] if events is None else events

    def _report(self, event: Event) -> None:
        if self._events is None:
            self._events = [event]
        else:
            self._events.append(event)

    def _end(self, close: Close) -> None:
        """Report how the connection ends, after all that came before."""
        if close.error is not None:
            # The frames in its traceback hold this, and whoever has called it.
            close.error.with_traceback(None)
        self._close = close
        self.unread = None
        self._report(close)

    def _fail_handshake(self, error: HandshakeError) -> None:
        """End a connection that does not open; there is nothing for the holder to answer."""
        self.ready_state = ReadyState.CLOSED
        self._end(Close(CloseCode.ABNORMAL_CLOSURE, str(error), error=error))

    # Sending

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

    def text(self, data: str) -> bool:
        """Send a text message. Return False, and send nothing, unless open.

        Raises:
            UnicodeEncodeError: the text has a lone surrogate, which UTF-8 has no bytes for.
        """
        return False

    def binary(self, data: bytes) -> bool:
        """Send a binary message. Return False, and send nothing, unless open."""
        return False

    def send_prepared(self, message: PreparedMessage) -> bool:
        """Send a message that goes to many connections. Return False unless open."""
        return False

    def ping(self, data: bytes = b"") -> bool:
        """Send a ping. Return False, and send nothing, unless open and there are pings.

        Raises:
            ValueError: the data is over 125 bytes.
        """
        check_control(data)
        return False

    def pong(self, data: bytes = b"") -> bool:
        """Send a pong that no ping asked for. The same as `ping` otherwise."""
        check_control(data)
        return False

    def hold_pongs(self, hold: bool) -> None:  # noqa: B027
        """While `hold`, answer no pings; afterwards, the last of those that came.

        For when the peer does not read: what a peer makes us send must not fill our memory.
        """

    # Closing

    def close(self, code: int = CloseCode.NORMAL_CLOSURE, reason: str = "") -> bool:
        """Begin the closing handshake. Return False if that has happened before.

        Raises:
            TypeError, ValueError: the code or the reason is not one to close with.
        """
        return False

    def leave(self, code: int, reason: str = "") -> bool:
        """Close because of something at our end: 1011 for a fault, 1001 for an exit.

        These are codes that the application of a client can't close with. Return False
        unless open.
        """
        return False

    def answer_close(self) -> bool:
        """Answer the event `Close` and be closed: the last thing to do with a driver.

        A peer's close is answered with ours, and a violation with the close that fails the
        connection, unless we have sent one before; the end of the bytes with nothing. Return
        False, and do nothing, before the event is taken and after it is answered.
        """
        close = self._close
        if close is None or self._events or self.ready_state is ReadyState.CLOSED:
            return False
        if close.code != CloseCode.ABNORMAL_CLOSURE:
            self._send_closing(close)
        self.ready_state = ReadyState.CLOSED
        return True

    def _send_closing(self, close: Close) -> None:  # noqa: B027
        """Send what answers a peer's close, or its violation, unless we have closed before."""


def check_max_length(length: int) -> int:
    """Return the longest message that an application wants to accept, in bytes.

    Raises:
        ValueError: it is no length.
    """
    if length < 1:
        raise ValueError(f"max_length must be at least 1 byte, not {length}")
    return length
