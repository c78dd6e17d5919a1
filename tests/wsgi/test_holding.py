"""A response without a body that keeps its server waiting."""

from __future__ import annotations

from faye_ws.wsgi.holding import Hold


def test_a_response_waits_as_it_is_read_and_has_no_body() -> None:
    done: list[str] = []
    hold = Hold(lambda: done.append("waited"), lambda: done.append("released"))
    body = iter(hold)
    assert done == []
    assert list(body) == []
    assert done == ["waited"]
    hold.close()
    assert done == ["waited", "released"]


def test_a_response_that_is_not_read_is_released_all_the_same() -> None:
    done: list[str] = []
    Hold(lambda: done.append("waited"), lambda: done.append("released")).close()
    assert done == ["released"]
