"""The exceptions of this library, with their close codes or HTTP statuses.

An error of the peer becomes events, and a `ConnectionClosed` where the application waits; it
is not raised otherwise. Raised at once are errors of the caller (`ValueError`, `TypeError`)
and of the server (`UnsupportedServer`).
"""

from __future__ import annotations

import errno

from .constants import CloseCode


class WebSocketError(Exception):
    """The base class of this library's exceptions."""


class ProtocolError(WebSocketError):
    """The peer violated RFC 6455: the connection is failed with `code` (7.1.7)."""

    code = CloseCode.PROTOCOL_ERROR


class InvalidPayloadData(ProtocolError):
    """A text message or close reason that is not UTF-8 (RFC 6455, 8.1)."""

    code = CloseCode.INVALID_FRAME_PAYLOAD_DATA


class MessageTooBig(ProtocolError):
    """A frame or message longer than `max_length` (RFC 6455, 10.4)."""

    code = CloseCode.MESSAGE_TOO_BIG


class ExtensionError(ProtocolError):
    """An extension can't process a message (RFC 6455, 9)."""

    code = CloseCode.MANDATORY_EXTENSION


class HandshakeError(WebSocketError):
    """An opening handshake is refused; `status` is the HTTP status of the response."""

    status = 400


class OriginNotAllowed(HandshakeError):
    """The request comes from a web page of another origin (RFC 6455, 10.2)."""

    status = 403


class UnsupportedVersion(HandshakeError):
    """A version of the protocol that is not supported (RFC 6455, 4.4)."""

    status = 426


class HeadTooLarge(HandshakeError):
    """A request or response head over the limit (RFC 6585, 5)."""

    status = 431


class ConnectionFailed(HandshakeError):
    """A client can't reach the server, or gets no answer; `__cause__` may tell why."""


class InvalidStatus(HandshakeError):
    """The server, or a proxy, answered with a `status` that does not open the connection.

    `body` is the beginning of the response's body.
    """

    def __init__(self, message: str, status: int, body: bytes) -> None:
        super().__init__(message)
        self.status = status
        self.body = body


class ConnectionClosed(WebSocketError, ConnectionError):
    """The connection is closed, so no message can be received.

    `code` and `reason` are those of the close event (RFC 6455, 7.1.5 and 7.1.6);
    `was_clean` tells whether the closing handshake was completed. `errno` is `EPIPE`, by which
    WSGI servers recognize a client that has hung up.
    """

    def __init__(self, code: int, reason: str, was_clean: bool) -> None:
        super().__init__(errno.EPIPE, "the connection is closed")
        self.code = code
        self.reason = reason
        self.was_clean = was_clean

    def __str__(self) -> str:
        code_and_reason = f"{int(self.code)} {self.reason}".strip()
        return f"the connection is closed ({code_and_reason})"


class EventStreamError(WebSocketError):
    """An event stream has ended for good (WHATWG HTML, 9.2.3).

    `status` is that of the response which ended it, or None.
    """

    def __init__(self, message: str, status: int | None) -> None:
        super().__init__(message)
        self.status = status


class EventStreamLost(WebSocketError):
    """The connection of an event stream is lost; the client will reconnect."""


class UnsupportedServer(WebSocketError, RuntimeError):
    """The WSGI server does not expose its socket."""
