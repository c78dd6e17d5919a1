"""How a connection is looked after: the options that both ends share.

Most connections of a program have the same, so equal ones are one object.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from ..runtime.seconds import check_optional_seconds, check_seconds


class Settings(NamedTuple):
    """Times in seconds, sizes in bytes; None is never.

    Attributes:
        ping: send a ping every so often.
        ping_timeout: drop a peer that stays silent so long after a ping.
        close_timeout: how long the closing handshake may take.
        send_timeout: drop a peer that takes nothing of what waits for it for so long.
        max_backlog: how much may wait for a slow peer before senders have to wait.
    """

    ping: float | None
    ping_timeout: float | None
    close_timeout: float
    send_timeout: float | None
    max_backlog: int


def check_settings(
    ping: float | None,
    ping_timeout: float | None,
    close_timeout: float,
    send_timeout: float | None,
    max_backlog: int,
) -> Settings:
    """Return the settings with these values.

    Raises:
        TypeError, ValueError: one is not what it should be.
    """
    if max_backlog < 1:
        raise ValueError(f"max_backlog must be at least 1 byte, not {max_backlog}")
    return _share(
        check_optional_seconds("ping", ping),
        check_optional_seconds("ping_timeout", ping_timeout),
        check_seconds("close_timeout", close_timeout),
        check_optional_seconds("send_timeout", send_timeout),
        max_backlog,
    )


@lru_cache(maxsize=16)
def _share(*values: float | int | None) -> Settings:
    return Settings(*values)  # type: ignore[arg-type]
