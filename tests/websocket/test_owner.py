"""The owner of an endpoint that nobody needs any more."""

from __future__ import annotations

import pytest

from faye_ws.websocket.owner import NOBODY


def test_nobody_wants_and_answers_nothing_but_is_never_behind() -> None:
    assert not NOBODY.is_behind
    assert not NOBODY.is_paused
    assert not NOBODY.wants_none()
    assert not NOBODY.is_answering()


@pytest.mark.parametrize(
    "report",
    [
        NOBODY.advance,
        NOBODY.take,
        NOBODY.input_ended,
        NOBODY.take_end,
        NOBODY.drained,
        NOBODY.released,
        lambda: NOBODY.forgotten(was_closed=True),
        NOBODY.disowned,
    ],
)
def test_nobody_may_be_told_anything(report: object) -> None:
    assert callable(report)
    report()
