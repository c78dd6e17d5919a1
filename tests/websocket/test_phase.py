"""The phases of a connection, and what is said of each."""

from __future__ import annotations

from faye_ws import ReadyState
from faye_ws.constants import NEVER
from faye_ws.websocket.phase import LIMITS, READY_STATES, Phase


def test_each_phase_has_a_limit_and_a_ready_state() -> None:
    assert set(LIMITS) == set(READY_STATES) == set(Phase)
    assert all(seconds > 0 for seconds in LIMITS.values())


def test_a_connection_never_goes_back_to_an_earlier_ready_state() -> None:
    states = [READY_STATES[phase] for phase in sorted(Phase)]
    assert states == sorted(states)
    assert states[0] is ReadyState.CONNECTING
    assert states[-1] is ReadyState.CLOSED


def test_a_connection_may_be_open_or_gone_for_ever() -> None:
    assert LIMITS[Phase.OPEN] == LIMITS[Phase.GONE] == NEVER
