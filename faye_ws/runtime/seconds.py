"""Timeouts that an application gives, in seconds."""

from __future__ import annotations

import time

from ..constants import NEVER

# A timeout from this on counts as none. It is about thirty years, and the loop's timers can't
# hold much more.
_FOREVER = 1e9
# How many times within a `send_timeout` to check whether the peer has accepted something.
LOOKS = 4


def check_seconds(name: str, value: float) -> float:
    """Check a number of seconds, and return it.

    Raises:
        TypeError, ValueError: it is not a finite number above 0.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name} must be a number of seconds, not {value!r}")
    if not 0 < value < NEVER:
        raise ValueError(f"{name} must be more than 0 seconds, not {value}")
    return value


def check_optional_seconds(name: str, value: float | None) -> float | None:
    """Do as `check_seconds`, but allow None."""
    return None if value is None else check_seconds(name, value)


def deadline_after(timeout: float | None) -> float:
    """Return when a timeout ends, in seconds of `time.monotonic()`: never for None.

    Raises:
        TypeError, ValueError: the timeout is not a number.
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
