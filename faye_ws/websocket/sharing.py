"""A connection that other threads use, as its own does.

Their calls are handed over to its hub, but for the two that are frequent (`exchange`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

from ..constants import NEVER
from ..runtime import handing_over
from .endpoint import Endpoint

_T = TypeVar("_T")


class Inbox(Protocol):
    """What they use; see `inbox.Inbox`."""

    endpoint: Endpoint

    @property
    def is_over(self) -> bool:
        """Whether there is nothing left for the hub to do."""


def is_foreign(inbox: Inbox) -> bool:
    """Return whether the calling thread has to hand over what it wants of a connection."""
    # When all is over, the connection's thread may be, too, and nothing is left to share.
    return inbox.endpoint.reactor.is_foreign() and not inbox.is_over


def hand_over(
    inbox: Inbox,
    function: Callable[[], _T],
    deadline: float = NEVER,
    failure: str = "",
    give_back: Callable[[_T], object] | None = None,
) -> _T:
    """Call a function in the hub of a connection; see `handing_over.hand_over`."""
    return handing_over.hand_over(
        inbox.endpoint.reactor,
        function,
        forget=inbox.endpoint.forget,
        deadline=deadline,
        failure=failure,
        give_back=give_back,
    )


def in_hub(inbox: Inbox, function: Callable[[], object]) -> None:
    """Call a function in the hub of a connection, which may be here."""
    if is_foreign(inbox):
        hand_over(inbox, function)
    else:
        function()
