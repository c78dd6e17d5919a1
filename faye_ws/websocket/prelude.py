"""What an application asks of a connection before it is open."""

from __future__ import annotations

from collections.abc import Callable


class Prelude:
    """What is to be done when the connection is open: messages to send, and at last a close.

    Attributes:
        close: the code and the reason to close with, after which nothing more is sent.
    """

    __slots__ = ("_actions", "close")

    def __init__(self) -> None:
        self._actions: list[Callable[[], object]] = []
        self.close: tuple[int, str] | None = None

    def add(self, action: Callable[[], object]) -> bool:
        """Add something to be done. Return False behind a close."""
        if self.close is not None:
            return False
        self._actions.append(action)
        return True

    def run(self) -> None:
        """Do what was to be done before the close."""
        for action in self._actions:
            action()
