"""How a connection is looked after: the options that both ends share."""

from __future__ import annotations

from weakref import WeakValueDictionary

from ..runtime.seconds import check_optional_seconds, check_seconds

_Values = tuple[float | None, float | None, float, float | None, int]


class Settings:
    """The options of a connection. Times are in seconds, sizes in bytes; None is never.

    Attributes:
        ping: send a ping every so often.
        ping_timeout: drop a peer that stays silent so long after a ping.
        close_timeout: how long the closing handshake may take.
        send_timeout: drop a peer that takes nothing of what waits for it for so long.
        max_backlog: how much may wait for a slow peer before senders have to wait.
    """

    __slots__ = (
        "__weakref__",
        "close_timeout",
        "max_backlog",
        "ping",
        "ping_timeout",
        "send_timeout",
    )

    def __init__(self, values: _Values) -> None:
        (
            self.ping,
            self.ping_timeout,
            self.close_timeout,
            self.send_timeout,
            self.max_backlog,
        ) = values


# Most connections of a program have the same options: then they share one object.
_known: WeakValueDictionary[_Values, Settings] = WeakValueDictionary()


def check_settings(
    ping: float | None,
    ping_timeout: float | None,
    close_timeout: float,
    send_timeout: float | None,
    max_backlog: int,
) -> Settings:
    """Return settings with these values, which others may have, too.

    Raises:
        TypeError, ValueError: one is not what it should be.
    """
    if max_backlog < 1:
        raise ValueError(f"max_backlog must be at least 1 byte, not {max_backlog}")
    values = (
        check_optional_seconds("ping", ping),
        check_optional_seconds("ping_timeout", ping_timeout),
        check_seconds("close_timeout", close_timeout),
        check_optional_seconds("send_timeout", send_timeout),
        max_backlog,
    )
    settings = _known.get(values)
    if settings is None:
        settings = _known[values] = Settings(values)
    return settings
