"""The pongs that an application waits for."""

from __future__ import annotations

from collections.abc import Callable

from faye_ws.websocket.pongs import ExpectedPongs


def _callback() -> Callable[[], None]:
    """Return a callback that is no other's equal."""
    return lambda: None


def test_a_pong_answers_its_ping_and_those_before_it() -> None:
    first, second, third = _callback(), _callback(), _callback()
    pongs = ExpectedPongs()
    pongs.add(b"1", first)
    pongs.add(b"2", second)
    pongs.add(b"3", third)
    assert pongs.receive(b"2") == [first, second]
    assert len(pongs) == 1
    assert pongs.receive(b"2") == []
    assert pongs.receive(b"3") == [third]
    assert len(pongs) == 0


def test_a_pong_that_nobody_has_asked_for_answers_nothing() -> None:
    pongs = ExpectedPongs()
    assert pongs.receive(b"") == []
    pongs.add(b"asked", _callback())
    assert pongs.receive(b"unasked") == []
    assert len(pongs) == 1


def test_of_pings_with_the_same_data_the_first_is_answered_first() -> None:
    first, second = _callback(), _callback()
    pongs = ExpectedPongs()
    pongs.add(b"", first)
    pongs.add(b"", second)
    assert pongs.receive(b"") == [first]
    assert pongs.receive(b"") == [second]


def test_the_first_of_too_many_pings_are_forgotten() -> None:
    pongs = ExpectedPongs()
    callbacks = [_callback() for _ in range(300)]
    for number, callback in enumerate(callbacks):
        pongs.add(b"%d" % number, callback)
    assert len(pongs) == 256
    assert pongs.receive(b"43") == []
    assert pongs.receive(b"44") == callbacks[44:45]
    assert pongs.receive(b"299") == callbacks[45:]
