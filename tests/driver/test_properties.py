"""What holds of the drivers whatever the peer sends and however it is cut."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any
from unittest import mock

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from faye_ws.constants import ReadyState
from faye_ws.driver import Client, Close, Connect, Driver, Event, Message, Open, Server
from support import wire
from support.roles import ROLES, Role, key_of
from support.streams import Cut, at, described, whole

FIRST_BYTES = (0x81, 0x82, 0x01, 0x02, 0x00, 0x80, 0x89, 0x8A, 0x88)
# Enough to mend a text that was cut, to end a message, and to be wrong.
PAYLOADS = st.one_of(
    st.binary(max_size=20),
    st.text(max_size=20).map(str.encode),
    st.sampled_from([b"", b"\x03\xe8", b"\xe2\x82", b"\xac", bytes(126), bytes(300), bytes(65536)]),
)
CUTS = st.lists(st.integers(0, 1000), max_size=20).map(at)


def frames_of(role: Role) -> st.SearchStrategy[bytes]:
    """Return what a peer may send: frames, frames with a byte changed, and anything else."""
    good = st.builds(role.frame, st.sampled_from(FIRST_BYTES), PAYLOADS)
    odd = st.builds(role.frame, st.integers(0, 255), st.binary(max_size=5))
    changed = st.builds(change, good, st.integers(0, 20), st.integers(1, 255))
    part = st.one_of(good, good, good, good, odd, changed, st.binary(max_size=10))
    return st.lists(part, max_size=12).map(b"".join)


def change(data: bytes, place: int, difference: int) -> bytes:
    """Change a byte of the data, if it has as many."""
    if place >= len(data):
        return data
    return data[:place] + bytes([data[place] ^ difference]) + data[place + 1 :]


def converse(driver: Driver, pieces: Iterable[bytes]) -> list[Any]:
    """Give pieces of a stream and its end to a driver; return what comes of it."""
    story: list[Any] = []
    for piece in pieces:
        driver.receive_data(piece)
        story += tell(driver)
    driver.receive_eof()
    story += tell(driver)
    assert isinstance(story[-1], tuple)
    assert driver.ready_state is ReadyState.CLOSED
    return story


def tell(driver: Driver) -> list[Any]:
    """Take the events, answer what connects, and describe it all."""
    story: list[Any] = []
    while events := driver.events():
        for event in events:
            story.append(described(event))
            if isinstance(event, Connect):
                assert driver.start()
            elif isinstance(event, Close):
                driver.answer_close()
    return story


@pytest.mark.parametrize("role", ROLES, ids=lambda role: f"as {role.name}")
@given(data=st.data(), cut=CUTS)
def test_frames_say_the_same_however_they_are_cut(role: Role, data: Any, cut: Cut) -> None:
    stream = data.draw(frames_of(role))
    one, other = role.open(), role.open()
    assert converse(one, whole(stream)) == converse(other, cut(stream))
    assert wire.unframe(one.data_to_send()) == wire.unframe(other.data_to_send())


SERVER = ROLES[0]
REQUESTS = st.one_of(
    st.builds(change, st.just(wire.request()), st.integers(0, 160), st.integers(1, 255)),
    st.just(wire.request()),
    st.binary(max_size=100).map(lambda junk: wire.request(b"X: " + junk)),
    st.binary(max_size=100).map(lambda junk: junk + b"\r\n\r\n"),
)


@given(head=REQUESTS, frames=frames_of(SERVER), cut=CUTS)
def test_requests_say_the_same_however_they_are_cut(head: bytes, frames: bytes, cut: Cut) -> None:
    # What comes before the answer to a request is bounded, and may be too much in one piece.
    stream = head + frames[:16384]
    one, other = Server(), Server()
    assert converse(one, whole(stream)) == converse(other, cut(stream))
    assert one.data_to_send() == other.data_to_send()


def start_client() -> Client:
    """Return a client that has sent the same key as any other."""
    with mock.patch("os.urandom", bytes):
        driver = Client("ws://h/")
    driver.start()
    return driver


KEY = key_of(start_client())
RESPONSES = st.one_of(
    st.builds(change, st.just(wire.response(KEY)), st.integers(0, 160), st.integers(1, 255)),
    st.just(wire.response(KEY)),
    st.binary(max_size=100).map(lambda junk: wire.response(KEY, junk)),
)


@given(head=RESPONSES, frames=frames_of(ROLES[1]), cut=CUTS)
def test_responses_say_the_same_however_they_are_cut(head: bytes, frames: bytes, cut: Cut) -> None:
    one, other = start_client(), start_client()
    assert converse(one, whole(head + frames)) == converse(other, cut(head + frames))


ACTIONS = st.one_of(
    st.tuples(st.just("take")),
    st.tuples(st.just("answer_close")),
    st.tuples(st.just("start")),
    st.tuples(st.just("receive_eof")),
    st.tuples(st.just("text"), st.text(max_size=10)),
    st.tuples(st.just("binary"), st.binary(max_size=200)),
    st.tuples(st.just("ping"), st.binary(max_size=125)),
    st.tuples(st.just("pong"), st.binary(max_size=125)),
    st.tuples(st.just("hold_pongs"), st.booleans()),
    st.tuples(st.just("close"), st.sampled_from([1000, 3000, 4999]), st.text(max_size=30)),
    st.tuples(st.just("leave"), st.sampled_from([1001, 1011]), st.text(max_size=200)),
)


def actions_on(role: Role, *heads: bytes) -> st.SearchStrategy[list[tuple[Any, ...]]]:
    """Return all that may be done with a driver, in any order, mostly after these heads."""
    received = st.tuples(st.just("receive_data"), frames_of(role))
    anything = st.lists(st.one_of(ACTIONS, ACTIONS, received), max_size=20)
    handshake: list[tuple[Any, ...]] = [("receive_data", head) for head in heads]
    return st.builds(
        lambda before, begin, after: before * (not begin) + handshake * begin + after,
        anything,
        st.sampled_from([True, True, True, False]),
        anything,
    )


def open_connection(role: Role) -> Callable[[], Driver]:
    """Return a way to a driver that is open."""
    return lambda: role.open()


LIVES = {
    "as server": (open_connection(ROLES[0]), actions_on(ROLES[0])),
    "as client": (open_connection(ROLES[1]), actions_on(ROLES[1])),
    "from the request": (
        Server,
        actions_on(ROLES[0], wire.request()[:9], wire.request()[9:]),
    ),
    "from the response": (start_client, actions_on(ROLES[1], wire.response(KEY))),
}


class Life:
    """What a driver does, held to what must hold of every driver.

    Nothing is raised whatever the peer does; the state never goes back; the end comes
    once and last, and its answer once; and what is sent is in proportion to what was received.
    """

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._state = driver.ready_state
        self._is_open = driver.ready_state is ReadyState.OPEN
        self._received = self._sent = self._asked = 0
        self._is_over = self._is_answered = False

    @property
    def is_closed(self) -> bool:
        return self._driver.ready_state is ReadyState.CLOSED

    def act(self, name: str, *arguments: Any) -> None:
        """Do something with the driver."""
        if name == "take":
            self._take(self._driver.events())
        else:
            done = getattr(self._driver, name)(*arguments)
            if name == "receive_data":
                self._received += len(arguments[0])
            elif name == "answer_close":
                assert not done or self._is_over
                assert not self._driver.answer_close()
                self._is_answered = self._is_answered or self._is_over
            elif name != "receive_eof":
                assert not (done and self._is_answered)
                self._asked += 300 if done else 0
        self._check()

    def _take(self, events: list[Event]) -> None:
        if self._is_over:
            assert events == []
        state = self._driver.ready_state
        assert state is not ReadyState.CLOSED or not events or self._state is state
        for event in events:
            assert not self._is_over
            if isinstance(event, Open):
                assert not self._is_open
                self._is_open = True
            elif isinstance(event, Close):
                self._is_over = True
            elif not isinstance(event, Connect):
                assert self._is_open

    def _check(self) -> None:
        state = self._driver.ready_state
        assert state >= self._state
        self._state = state
        self._sent += len(self._driver.data_to_send())
        # A client answers a ping of 2 bytes with 6; and then there are heads and a close.
        assert self._sent <= 3 * self._received + self._asked + 600


@pytest.mark.parametrize(
    "kind",
    LIVES,
)
@settings(max_examples=300)
@given(data=st.data())
def test_whatever_is_done_a_driver_keeps_its_laws(kind: str, data: Any) -> None:
    make, actions = LIVES[kind]
    life = Life(make())
    for action in [*data.draw(actions), ("take",), ("receive_eof",), ("take",), ("take",)]:
        life.act(*action)
    life.act("answer_close")
    life.act("take")
    assert life.is_closed


@given(
    st.lists(st.tuples(st.booleans(), st.one_of(st.text(), st.binary(max_size=300)))),
    CUTS,
)
@example([(True, ""), (False, b""), (True, b"x" * 70_000), (False, "\u20ac" * 30_000)], whole)
def test_our_own_ends_understand_each_other(
    messages: list[tuple[bool, str | bytes]], cut: Cut
) -> None:
    client, server = Client("ws://h/chat"), Server()
    client.start()
    assert converse_with(client, server, cut) == ["Connect", "Open"]
    assert converse_with(server, client, cut) == ["Open"]
    for by_client, data in messages:
        sender = client if by_client else server
        assert sender.text(data) if isinstance(data, str) else sender.binary(data)
    sent_by_client = [Message(data) for by_client, data in messages if by_client]
    sent_by_server = [Message(data) for by_client, data in messages if not by_client]
    client.close(3000, "done")
    assert converse_with(client, server, cut) == [
        *sent_by_client,
        Close(3000, "done", was_clean=True),
    ]
    assert converse_with(server, client, cut) == [
        *sent_by_server,
        Close(3000, "done", was_clean=True),
    ]
    assert client.data_to_send() == b""


def converse_with(sender: Driver, receiver: Driver, cut: Cut) -> list[Any]:
    """Move what one end has to send to the other, and return what that has to tell."""
    told: list[Any] = []
    for piece in cut(sender.data_to_send()):
        receiver.receive_data(piece)
        while events := receiver.events():
            for event in events:
                if isinstance(event, Connect):
                    receiver.start()
                elif isinstance(event, Close):
                    receiver.answer_close()
                told.append(type(event).__name__ if isinstance(event, (Connect, Open)) else event)
    return told
