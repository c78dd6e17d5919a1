"""An extension that can be seen at work: it reverses messages, and marks them with RSV1.

Without `rsv1` it reverses all that come, and marks none.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from faye_ws.extensions import Message


class Reverse:
    """Reverse the bytes of messages.

    Incoming ones come out several `times`, one after the other; a `broken` extension raises
    whatever it has to do. `closed` counts the sessions that were closed.
    """

    name = "reverse"
    type = "permessage"
    rsv1, rsv2, rsv3 = True, False, False

    def __init__(self, *, times: int = 1, broken: bool = False) -> None:
        self.times = times
        self.broken = broken
        self.closed = 0

    def create_client_session(self) -> ReverseSession:
        return ReverseSession(self)

    def create_server_session(self, offers: Sequence[dict[str, Any]]) -> ReverseSession:
        return ReverseSession(self)


class ReverseSession:
    """A connection's use of the extension."""

    def __init__(self, extension: Reverse) -> None:
        self._extension = extension

    def generate_offer(self) -> dict[str, Any]:
        return {}

    def generate_response(self) -> dict[str, Any]:
        return {}

    def activate(self, params: dict[str, Any]) -> bool:
        return not params

    def process_incoming_message(self, message: Message) -> Message:
        if message.rsv1 or not self._extension.rsv1:
            self._reverse(message)
            message.data *= self._extension.times
        return message

    def process_outgoing_message(self, message: Message) -> Message:
        self._reverse(message)
        message.rsv1 = self._extension.rsv1
        return message

    def _reverse(self, message: Message) -> None:
        if self._extension.broken:
            raise RuntimeError("broken")
        message.data = message.data[::-1]

    def close(self) -> None:
        self._extension.closed += 1
