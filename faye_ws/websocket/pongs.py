"""The pongs that an application waits for."""

from __future__ import annotations

from collections.abc import Callable

PongCallback = Callable[[], object]

# A peer that answers no pings must not fill our memory: the first of more are forgotten.
_MAX_PINGS = 256


class ExpectedPongs:
    """Pings whose pong has not come, in their order, and what to call when it does."""

    __slots__ = ("_pings",)

    def __init__(self) -> None:
        self._pings: list[tuple[bytes, PongCallback]] = []

    def __len__(self) -> int:
        return len(self._pings)

    def add(self, data: bytes, callback: PongCallback) -> None:
        """Expect the pong to a ping with this data."""
        self._pings = [*self._pings, (data, callback)][-_MAX_PINGS:]

    def receive(self, data: bytes) -> list[PongCallback]:
        """Receive a pong, and return what to call.

        RFC 6455, 5.5.3: a peer "MAY elect to send a Pong frame for only the most recently
        processed Ping frame", so a pong answers the pings before it, too.
        """
        for index, (expected, _) in enumerate(self._pings):
            if expected == data:
                answered = self._pings[: index + 1]
                del self._pings[: index + 1]
                return [callback for _, callback in answered]
        return []
