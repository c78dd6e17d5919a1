"""What an application asks of a connection before it is open."""

from __future__ import annotations

from faye_ws.websocket.prelude import Prelude


def test_what_was_asked_for_is_done_in_its_order() -> None:
    done: list[str] = []
    prelude = Prelude()
    assert prelude.add(lambda: done.append("first"))
    assert prelude.add(lambda: done.append("second"))
    assert done == []
    prelude.run()
    assert done == ["first", "second"]


def test_nothing_can_be_asked_for_behind_a_close() -> None:
    done: list[str] = []
    prelude = Prelude()
    assert prelude.add(lambda: done.append("before"))
    prelude.close = (1000, "")
    assert not prelude.add(lambda: done.append("behind"))
    prelude.run()
    assert done == ["before"]
