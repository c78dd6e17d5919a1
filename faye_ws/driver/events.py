"""The events that `Driver.events()` returns."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import WebSocketError
from .http import Request


class Message:
    """A whole message: `data` is a `str` if it is text, `bytes` if it is binary."""

    __slots__ = ("data",)

    def __init__(self, data: str | bytes) -> None:
        self.data = data

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Message)
            and type(self.data) is type(other.data)
            and self.data == other.data
        )

    def __repr__(self) -> str:
        return f"Message({self.data!r})"


@dataclass(frozen=True, slots=True)
class Connect:
    """A request head has come: look at it, then call `start()`."""

    request: Request


@dataclass(frozen=True, slots=True)
class Open:
    """The opening handshake is done."""

    protocol: str | None = None


@dataclass(frozen=True, slots=True)
class Ping:
    """A ping has come; the pong that answers it is already among the data to send."""

    data: bytes = b""


@dataclass(frozen=True, slots=True)
class Pong:
    """A pong has come."""

    data: bytes = b""


@dataclass(frozen=True, slots=True)
class Close:
    """The last event: nothing more is received. Answer it with `answer_close()`.

    `code` and `reason` are the peer's (RFC 6455, 7.1.5 and 7.1.6), or those that the
    connection was failed with, and then `error` is why. `was_clean` tells whether the
    closing handshake was completed.
    """

    code: int
    reason: str = ""
    was_clean: bool = False
    error: WebSocketError | None = None


Event = Message | Connect | Open | Ping | Pong | Close
