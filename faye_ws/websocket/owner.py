"""What an endpoint reports to."""

from __future__ import annotations

from typing import Protocol


class Owner(Protocol):
    """What an endpoint reports to. None of this may block or raise."""

    is_behind: bool  # there was no room for all that the driver has received
    is_paused: bool  # the application wants no messages for now

    def advance(self) -> None:
        """Take what the driver has received. In the hub."""

    def take(self) -> None:
        """Take what the driver has received, and call nobody yet."""

    def input_ended(self) -> None:
        """Handle that the peer will send nothing more."""

    def take_end(self) -> None:
        """Let the connection end now, whatever the application is doing."""

    def wants_none(self) -> bool:
        """Return whether the application wants no messages for now."""

    def is_answering(self) -> bool:
        """Return whether the application may still answer what it was given."""

    def drained(self) -> None:
        """Handle that the peer has taken what waited for it."""

    def released(self) -> None:
        """Handle that there is no socket any more."""

    def forgotten(self) -> None:
        """Handle that the connection belongs to another process, or to nobody."""

    def disowned(self) -> None:
        """Forget what has come: it is another process's."""


class _Nobody:
    """The owner of an endpoint that nobody needs any more."""

    __slots__ = ()

    is_behind = False
    is_paused = False

    def advance(self) -> None:
        pass

    take = input_ended = take_end = drained = released = forgotten = disowned = advance

    def wants_none(self) -> bool:
        return False

    is_answering = wants_none


NOBODY: Owner = _Nobody()
