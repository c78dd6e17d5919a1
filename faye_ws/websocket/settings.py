"""The options that the connections of servers and of clients have in common."""

from __future__ import annotations

from weakref import WeakValueDictionary

from ..runtime.seconds import check_optional_seconds, check_seconds

# In the order of the arguments of `make_settings`.
_Values = tuple[float | None, float | None, float, float | None, int]


class Settings:
    """The options of a connection. Where one may be None, that switches it off.

    Attributes:
        ping: seconds between two pings, or None.
        ping_timeout: seconds that a peer may stay silent after a ping before it is dropped,
            or None.
        close_timeout: seconds that the closing handshake may take.
        send_timeout: seconds that a peer may read nothing of what waits for it before it is
            dropped, or None.
        max_backlog: bytes that may wait for a slow peer before senders have to wait.
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


def make_settings(
    ping: float | None,
    ping_timeout: float | None,
    close_timeout: float,
    send_timeout: float | None,
    max_backlog: int,
) -> Settings:
    """Return settings with these values.

    Connections with equal options share one object, so it must not be changed.

    Raises:
        TypeError: a time is no number.
        ValueError: a time is not above 0, or `max_backlog` below 1.
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
