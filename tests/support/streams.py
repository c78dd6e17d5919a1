"""How a stream reaches a driver (whole, a byte at a time, or cut at random places), and what
comes of it."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from faye_ws.constants import ReadyState
from faye_ws.driver import Close, Connect, Driver, Event, Message

Cut = Callable[[bytes], Iterable[bytes]]


def whole(data: bytes) -> Iterator[bytes]:
    """Cut nothing."""
    yield data


def bytewise(data: bytes) -> Iterator[bytes]:
    """Cut between all bytes."""
    return (data[place : place + 1] for place in range(len(data)))


def at_random(seed: int) -> Cut:
    """Return a cut into pieces of at most a few bytes, the same for the same seed."""

    def cut(data: bytes) -> Iterator[bytes]:
        chance = random.Random(seed)
        place = 0
        while place < len(data):
            end = place + chance.randint(1, 9)
            yield data[place:end]
            place = end

    return cut


def at(places: Iterable[int]) -> Cut:
    """Return a cut at given places; those behind the end of the data are left out."""
    wanted = sorted(set(places))

    def cut(data: bytes) -> Iterator[bytes]:
        start = 0
        for place in wanted:
            if start < place < len(data):
                yield data[start:place]
                start = place
        yield data[start:]

    return cut


CUTS: dict[str, Cut] = {
    "whole": whole,
    "bytewise": bytewise,
    "at random, 1": at_random(1),
    "at random, 2": at_random(2),
    "at random, 3": at_random(3),
}


def take(driver: Driver) -> list[Event]:
    """Take the events of a driver until there are none, and answer the last of them.

    `Driver.events`: "The last event is `Close`."
    """
    taken: list[Event] = []
    while events := driver.events():
        taken += events
    assert not any(isinstance(event, Close) for event in taken[:-1]), f"not the last: {taken}"
    if taken and isinstance(taken[-1], Close):
        driver.answer_close()
        assert driver.ready_state is ReadyState.CLOSED
        assert driver.events() == [], "something comes after the end"
    return taken


def described(event: Event) -> Any:
    """Return what an event says, so that two can be compared."""
    if isinstance(event, Close):
        return (event.code, event.reason, event.was_clean, type(event.error), str(event.error))
    if isinstance(event, Connect):
        return list(event.request.headers)
    if isinstance(event, Message):
        return (type(event.data), event.data)
    return event


def feed(driver: Driver, pieces: Iterable[bytes]) -> list[Event]:
    """Give a driver pieces of a stream, and return all events that come of them."""
    taken: list[Event] = []
    for piece in pieces:
        driver.receive_data(piece)
        taken += take(driver)
    return taken
