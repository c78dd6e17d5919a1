"""What a client says to the server and what it hears, in the same words for all clients."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import Any

Message = str | bytes


@dataclass
class Script:
    """What a client is to do: connect, ping, send its messages, hear as many, close.

    Attributes:
        at_once: send all messages before the first answer is waited for.
        hears: how many messages to wait for, if not as many as are sent.
        close: the code and reason to close with; an empty tuple to give none, None to leave
            closing to the server.
    """

    url: str
    messages: list[Message] = field(default_factory=list)
    at_once: bool = False
    hears: int | None = None
    protocols: list[str] = field(default_factory=list)
    origin: str | None = None
    ping: bytes | None = None
    close: tuple[()] | tuple[int, str] | None = ()

    @property
    def answers(self) -> int:
        return len(self.messages) if self.hears is None else self.hears

    def to_json(self) -> dict[str, Any]:
        return {
            **vars(self),
            "messages": [_pack(message) for message in self.messages],
            "hears": self.answers,
            "ping": None if self.ping is None else _pack(self.ping),
        }


@dataclass
class Outcome:
    """What came of it: `status` is that of a refusal, `code` and `reason` those of the end."""

    status: int | None = None
    protocol: str = ""
    messages: list[Message] = field(default_factory=list)
    pong: bytes | None = None
    code: int | None = None
    reason: str = ""

    @classmethod
    def from_json(cls, outcome: dict[str, Any]) -> Outcome:
        messages = [_unpack(message) for message in outcome.pop("messages", [])]
        pong = _unpack(outcome.pop("pong")) if outcome.get("pong") else None
        assert not isinstance(pong, str)
        return cls(messages=messages, pong=pong, **outcome)


def _pack(message: Message) -> dict[str, str]:
    if isinstance(message, str):
        return {"text": message}
    return {"base64": base64.b64encode(message).decode()}


def _unpack(message: dict[str, str]) -> Message:
    if "text" in message:
        return message["text"]
    return base64.b64decode(message["base64"])
