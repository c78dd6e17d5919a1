"""Calls that may block, made in a thread of gevent's pool."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import gevent

_T = TypeVar("_T")


def in_thread(function: Callable[..., _T], *arguments: object) -> _T:
    """Call a function in a thread; return what it returns, or raise what it raises."""

    def call() -> tuple[_T | None, Exception | None]:
        # gevent prints exceptions that are raised in its pool.
        try:
            return function(*arguments), None
        except Exception as error:
            return None, error

    result, error = gevent.get_hub().threadpool.apply(call)
    if error is not None:
        raise error
    return result  # type: ignore[return-value]
