"""Every exception of this library, each with the code or status that it stands for.

A peer's fault is never raised at the application: it becomes events, and a
`ConnectionClosed` where the application waits. What is raised at once is the caller's
own fault (`ValueError`, `TypeError`) or the server's (`UnsupportedServer`).
"""

from __future__ import annotations

import errno

from .constants import CloseCode


class WebSocketError(Exception):
    """The root of this library's exceptions."""


class ProtocolError(WebSocketError):
    """The peer broke RFC 6455: the connection is failed with `code` (7.1.7)."""

    code = CloseCode.PROTOCOL_ERROR


class InvalidPayloadData(ProtocolError):
    """A text message or close reason that is not UTF-8 (RFC 6455, 8.1)."""

    code = CloseCode.INVALID_FRAME_PAYLOAD_DATA


class MessageTooBig(ProtocolError):
    """A frame or message longer than `max_length` (RFC 6455, 10.4)."""

    code = CloseCode.MESSAGE_TOO_BIG


class ExtensionError(ProtocolError):
    """An extension can make nothing of a message (RFC 6455, 9)."""

    code = CloseCode.MANDATORY_EXTENSION


class HandshakeError(WebSocketError):
    """An opening handshake that is refused; `status` is the HTTP status that says so."""

    status = 400


class OriginNotAllowed(HandshakeError):
    """The request comes from a web page of another origin (RFC 6455, 10.2)."""

    status = 403


class UnsupportedVersion(HandshakeError):
    """A version of the protocol that is not spoken here (RFC 6455, 4.4)."""

    status = 426


class HeadTooLarge(HandshakeError):
    """A request or response head over the limit (RFC 6585, 5)."""

    status = 431


class ConnectionFailed(HandshakeError):
    """A client can't reach the server, or hears nothing from it; `__cause__` may say why."""


class InvalidStatus(HandshakeError):
    """The server, or a proxy, has answered a client with another status than the one that
    opens the connection: `status`. `body` is how its response begins."""

    def __init__(self, message: str, status: int, body: bytes) -> None:
        super().__init__(message)
        self.status = status
        self.body = body


class ConnectionClosed(WebSocketError, ConnectionError):
    """The connection is closed, so no message can come.

    `code` and `reason` are those of the close event (RFC 6455, 7.1.5 and 7.1.6);
    `was_clean` tells whether the closing handshake was completed. To a WSGI server it is a
    client that has hung up: the `errno` is `EPIPE`.
    """

    def __init__(self, code: int, reason: str, was_clean: bool) -> None:
        super().__init__(errno.EPIPE, "the connection is closed")
        self.code = code
        self.reason = reason
        self.was_clean = was_clean

    def __str__(self) -> str:
        said = f"{int(self.code)} {self.reason}".strip()
        return f"the connection is closed ({said})"


class EventStreamError(WebSocketError):
    """An event stream has ended, and will not begin again by itself (WHATWG HTML, 9.2.3).

    `status` is that of the response that says so, or None.
    """

    def __init__(self, message: str, status: int | None) -> None:
        super().__init__(message)
        self.status = status


class EventStreamLost(WebSocketError):
    """The connection of an event stream is lost; another one will be made."""


class UnsupportedServer(WebSocketError, RuntimeError):
    """The WSGI server keeps its socket where it can't be reached."""
