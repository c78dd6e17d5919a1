"""Numbers of seconds that an application gives."""

from __future__ import annotations

import time

from ..constants import NEVER

# Seconds that are as good as no timeout at all: some thirty years. What is beyond any process
# is beyond the loop's timers, too.
_FOREVER = 1e9


# How often is looked, within a `send_timeout`, whether the peer has taken something.
LOOKS = 4


def check_seconds(name: str, value: float) -> float:
    """Return a number of seconds that an application has given.

    Raises:
        TypeError, ValueError: it is no number, or not above 0.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name} must be a number of seconds, not {value!r}")
    if not 0 < value < NEVER:
        raise ValueError(f"{name} must be more than 0 seconds, not {value}")
    return value


def check_optional_seconds(name: str, value: float | None) -> float | None:
    """Return a number of seconds, or None for never; raise as `check_seconds`."""
    return None if value is None else check_seconds(name, value)


def deadline_after(timeout: float | None) -> float:
    """Return when a timeout is over, in seconds of `time.monotonic()`; None is never.

    Raises:
        TypeError, ValueError: the timeout is no number.
    """
    if timeout is None:
        return NEVER
    deadline = time.monotonic() + timeout
    if deadline != deadline:
        raise ValueError("a timeout must be a number of seconds, not NaN")
    return deadline if timeout < _FOREVER else NEVER


def seconds_until(deadline: float) -> float | None:
    """Return how many seconds are left until a deadline of `time.monotonic()`; None for never."""
    return None if deadline == NEVER else deadline - time.monotonic()
