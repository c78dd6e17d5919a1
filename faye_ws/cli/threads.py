"""Calls that may block, made in a thread, so that the connection lives on meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import gevent

_T = TypeVar("_T")


def in_thread(function: Callable[..., _T], *arguments: object) -> _T:
    """Return what a call returns, or raise what it raises; only this greenlet waits."""

    def call() -> tuple[_T | None, Exception | None]:
        # gevent would print what is raised in its pool.
        try:
            return function(*arguments), None
        except Exception as error:
            return None, error

    result, error = gevent.get_hub().threadpool.apply(call)
    if error is not None:
        raise error
    return result  # type: ignore[return-value]
