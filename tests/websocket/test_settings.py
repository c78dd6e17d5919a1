"""The options that both ends of a connection share."""

from __future__ import annotations

from typing import Any

import pytest

from faye_ws.websocket.settings import Settings, make_settings

GOOD: dict[str, Any] = {
    "ping": 20,
    "ping_timeout": None,
    "close_timeout": 1.5,
    "send_timeout": 60,
    "max_backlog": 1,
}


def _values(settings: Settings) -> dict[str, Any]:
    return {name: getattr(settings, name) for name in GOOD}


def test_settings_have_the_values_that_were_asked_for() -> None:
    assert _values(make_settings(**GOOD)) == GOOD


def test_all_times_but_that_of_the_closing_handshake_may_be_never() -> None:
    never = GOOD | {"ping": None, "ping_timeout": None, "send_timeout": None}
    assert _values(make_settings(**never)) == never
    with pytest.raises(TypeError, match="close_timeout"):
        make_settings(**GOOD | {"close_timeout": None})


def test_equal_settings_are_one_object_and_others_are_another() -> None:
    settings = make_settings(**GOOD)
    assert make_settings(**GOOD) is settings
    assert make_settings(**GOOD | {"max_backlog": 2}) is not settings


@pytest.mark.parametrize("name", ["ping", "ping_timeout", "close_timeout", "send_timeout"])
@pytest.mark.parametrize("value", [0, -1, "1", True, float("nan")])
def test_a_time_that_is_no_number_of_seconds_is_refused(name: str, value: Any) -> None:
    with pytest.raises((TypeError, ValueError), match=name):
        make_settings(**GOOD | {name: value})


@pytest.mark.parametrize("value", [0, -1])
def test_a_backlog_of_less_than_a_byte_is_refused(value: int) -> None:
    with pytest.raises(ValueError, match="max_backlog must be at least 1 byte"):
        make_settings(**GOOD | {"max_backlog": value})
