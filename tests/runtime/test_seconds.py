"""Numbers of seconds that an application gives."""

from __future__ import annotations

import time
from typing import Any

import pytest

from faye_ws.constants import NEVER
from faye_ws.runtime.seconds import (
    check_optional_seconds,
    check_seconds,
    deadline_after,
    seconds_until,
)


@pytest.mark.parametrize("value", [1, 0.001, 1e9])
def test_a_number_above_0_is_returned(value: float) -> None:
    assert check_seconds("ping", value) == value
    assert check_optional_seconds("ping", value) == value


@pytest.mark.parametrize("value", [0, -1, float("inf"), float("nan")])
def test_any_other_number_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match=r"^ping must be more than 0 seconds"):
        check_seconds("ping", value)
    with pytest.raises(ValueError, match=r"^ping must be more than 0 seconds"):
        check_optional_seconds("ping", value)


@pytest.mark.parametrize("value", [True, "1", None, [1]])
def test_what_is_no_number_is_refused(value: Any) -> None:
    with pytest.raises(TypeError, match=r"^ping must be a number of seconds"):
        check_seconds("ping", value)


def test_only_what_is_optional_may_be_none() -> None:
    assert check_optional_seconds("ping", None) is None


def test_a_deadline_is_as_far_from_now_as_the_timeout_says() -> None:
    before = time.monotonic()
    assert before + 5 <= deadline_after(5) <= time.monotonic() + 5


@pytest.mark.parametrize("timeout", [None, float("inf"), 1e9])
def test_what_nobody_will_live_to_see_is_never(timeout: float | None) -> None:
    assert deadline_after(timeout) == NEVER


def test_a_timeout_that_is_no_number_is_refused() -> None:
    with pytest.raises(ValueError, match="NaN"):
        deadline_after(float("nan"))
    with pytest.raises(TypeError):
        deadline_after("soon")  # type: ignore[arg-type]


def test_the_seconds_until_a_deadline_become_fewer_and_for_never_there_are_none() -> None:
    deadline = time.monotonic() + 10
    first = seconds_until(deadline)
    second = seconds_until(deadline)
    assert first is not None
    assert second is not None
    assert 0 < second <= first <= 10
    assert seconds_until(NEVER) is None
