"""RFC 6455: how much a driver tells at once, and what becomes of the rest."""

from __future__ import annotations

import time

import pytest

from faye_ws.driver import Client, Close, Event, Message, Ping, Server
from faye_ws.driver.rfc6455 import RFC6455
from faye_ws.errors import ConnectionFailed
from support import wire
from support.roles import Role
from support.streams import Cut, bytewise, take, whole

# As `Driver.events` says, with what one more message adds.
AT_ONCE = 2**18
LENGTH = 2**14
COUNT = 100


def messages(role: Role) -> bytes:
    """Return messages that are far more than a driver tells at once."""
    return role.unmasked().frame(wire.WHOLE_BINARY, bytes(LENGTH)) * COUNT


def count_calls(driver: RFC6455) -> int:
    """Take all there is, and return how many calls it took; each has told but so much."""
    calls = 0
    while events := driver.events():
        calls += 1
        weight = sum(len(event.data) for event in events if isinstance(event, (Message, Ping)))
        assert weight <= AT_ONCE + LENGTH
    return calls


def assert_violation(event: Event) -> None:
    """Check that an event is the end of a connection that was failed with 1002."""
    assert isinstance(event, Close)
    assert event.code == 1002


def test_what_there_is_is_told_in_several_calls(role: Role) -> None:
    driver = role.open()
    driver.receive_data(messages(role))
    assert COUNT * LENGTH / (AT_ONCE + LENGTH) <= count_calls(driver) < 10
    assert driver.events() == []


def test_a_flood_of_pings_is_told_and_answered_in_several_calls(role: Role) -> None:
    driver = role.unmasked().open()
    driver.receive_data(role.unmasked().frame(wire.PING) * 50_000)
    answered = []
    while driver.events():
        answered.append(len(wire.unframe(driver.data_to_send())))
    assert sum(answered) == 50_000
    # 256 KiB, of which each weighs 64 bytes.
    assert max(answered) < 5000


@pytest.mark.parametrize("cut", [whole, bytewise], ids=["whole", "bytewise"])
def test_all_is_told_in_order_whenever_it_is_taken(role: Role, cut: Cut) -> None:
    driver = role.open(max_length=2**20)
    sent: list[str | bytes] = [f"{number}".encode() * 500 for number in range(300)]
    for piece in cut(b"".join(role.unmasked().frame(wire.WHOLE_BINARY, data) for data in sent)):
        driver.receive_data(piece)
    assert take(driver) == [Message(data) for data in sent]


def test_what_comes_while_the_rest_waits_stands_behind_it(role: Role) -> None:
    driver = role.open()
    driver.receive_data(messages(role))
    told = driver.events()
    text = role.frame(wire.WHOLE_TEXT, b"Hello")
    driver.receive_data(text[:4])
    told += driver.events()
    driver.receive_data(text[4:] + role.frame(wire.TEXT, b"Hel"))
    told += take(driver)
    assert told == [Message(bytes(LENGTH))] * COUNT + [Message("Hello")]
    driver.receive_data(role.frame(wire.LAST, b"lo"))
    assert take(driver) == [Message("Hello")]


@pytest.mark.parametrize("cut_off", [False, True])
def test_a_close_behind_the_rest_is_told_last(role: Role, cut_off: bool) -> None:
    driver = role.open()
    driver.receive_data(messages(role) + role.frame(wire.CLOSE, wire.close_payload(1000)))
    if cut_off:
        driver.receive_eof()
        driver.receive_data(role.frame(wire.WHOLE_TEXT, b"behind the end"))
    told: list[Event] = []
    while driver.unread is not None:
        assert not driver.answer_close()
        told += driver.events()
        assert driver.data_to_send() == b""
    assert told == [Message(bytes(LENGTH))] * COUNT + [Close(1000, "", was_clean=True)]
    assert driver.text("an answer")
    assert driver.answer_close()
    assert [first for first, _ in wire.unframe(driver.data_to_send())] == [0x81, wire.CLOSE]
    assert driver.events() == []


def test_a_violation_behind_the_rest_is_told_last(role: Role) -> None:
    driver = role.open()
    driver.receive_data(messages(role) + role.frame(0x83) + messages(role))
    *told, end = take(driver)
    assert told == [Message(bytes(LENGTH))] * COUNT
    assert_violation(end)


def test_a_frame_over_the_limit_lets_those_before_it_pass(role: Role, cut: Cut) -> None:
    driver = role.open(max_length=2)
    for piece in cut(role.frames((wire.WHOLE_TEXT, b"hi"), (wire.WHOLE_BINARY, b"abc"))):
        driver.receive_data(piece)
    told, end = take(driver)
    assert told == Message("hi")
    assert isinstance(end, Close)
    assert end.code == 1009


def test_the_end_of_the_bytes_stands_behind_the_rest(role: Role) -> None:
    driver = role.open()
    driver.receive_data(messages(role) + role.frame(wire.WHOLE_TEXT, b"cut off")[:-1])
    driver.receive_eof()
    driver.receive_data(b"behind the end")
    assert take(driver) == [Message(bytes(LENGTH))] * COUNT + [Close(1006)]


@pytest.mark.parametrize("taken", [0, 1, 100])
def test_an_abort_leaves_nothing_to_tell_but_the_end(role: Role, taken: int) -> None:
    driver = role.open()
    close = role.frame(wire.CLOSE, wire.close_payload(1000))
    driver.receive_data(messages(role) + close)
    told = [event for _ in range(taken) for event in driver.events()]
    driver.abort()
    # The peer's close counts if all before it was told.
    if taken == 100:
        assert told[-1] == Close(1000, "", was_clean=True)
        assert take(driver) == []
        assert driver.answer_close()
    else:
        assert take(driver) == [Close(1006)]
    driver.abort()
    assert driver.events() == []


def test_an_abort_leaves_an_end_that_stands_alone(role: Role) -> None:
    driver = role.open()
    driver.receive_data(role.frame(wire.CLOSE, wire.close_payload(1000)))
    driver.abort()
    assert take(driver) == [Close(1000, "", was_clean=True)]
    driver = role.open()
    driver.receive_data(role.frames((0x81, b"x"), (wire.CLOSE, wire.close_payload(1000))))
    driver.abort()
    assert take(driver) == [Close(1006)]
    assert driver.data_to_send() == b""


def test_a_client_that_gives_up_in_its_handshake_says_so() -> None:
    driver = Client("ws://h/")
    driver.start()
    driver.abort()
    [end] = driver.events()
    assert isinstance(end, Close)
    assert isinstance(end.error, ConnectionFailed)
    assert not driver.answer_close()


def test_an_abort_reaches_a_server_in_each_of_its_states() -> None:
    driver = Server()
    driver.receive_data(wire.request())
    driver.events()
    driver.abort()
    assert driver.events() == [Close(1006)]
    driver = Server()
    driver.receive_data(wire.request())
    driver.events()
    driver.start()
    driver.receive_data(wire.frame(wire.WHOLE_TEXT, b"x", wire.KEY))
    driver.abort()
    assert driver.events() == [Close(1006)]


def test_a_hundred_mebibytes_at_once_are_taken_in_linear_time(role: Role) -> None:
    driver = role.open()
    data = role.unmasked().frame(wire.WHOLE_BINARY, bytes(2**16)) * 1600
    began = time.process_time()
    driver.receive_data(data)
    # A copy of the rest for each call would be 20 gibibytes.
    assert count_calls(driver) >= 1600 * 2**16 / (AT_ONCE + 2**16)
    assert time.process_time() - began < 30
