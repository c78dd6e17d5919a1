"""Events and event targets: who is called, in what order, and what can't go wrong."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest

from faye_ws.events import (
    CloseEvent,
    ErrorEvent,
    Event,
    EventTarget,
    MessageEvent,
    StreamMessageEvent,
    event_handler,
)


class Target(EventTarget):
    """A target with two types of events."""

    event_types = frozenset(("message", "close"))
    onmessage = event_handler()
    onclose = event_handler()


class Record:
    """Listeners that note when they are called."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def note(self, name: str) -> Callable[[Event], None]:
        """Return a listener, another each time."""
        return lambda event: self.calls.append(name)

    def take(self) -> str:
        """Return who was called since the last time."""
        calls, self.calls = self.calls, []
        return " ".join(calls)


@pytest.fixture
def target() -> Target:
    return Target()


@pytest.fixture
def record() -> Record:
    return Record()


def dispatch(target: Target, type: str = "message") -> None:
    target.dispatch_event(Event(type, target))


def test_listeners_are_called_with_the_event_in_the_order_they_were_added(
    target: Target, record: Record
) -> None:
    events: list[Event] = []
    target.on("message", record.note("a"))
    target.on("message", events.append)
    target.on("message", record.note("b"))
    event = Event("message", target)
    target.dispatch_event(event)
    assert record.take() == "a b"
    assert events == [event]
    dispatch(target)
    assert record.take() == "a b"


def test_listeners_are_called_with_events_of_their_type_only(
    target: Target, record: Record
) -> None:
    target.on("message", record.note("message"))
    target.on("close", record.note("close"))
    dispatch(target, "close")
    assert record.take() == "close"


def test_a_listener_is_added_once_for_each_type(target: Target, record: Record) -> None:
    listener = record.note("x")
    for _ in range(2):
        target.on("message", listener)
        target.once("message", listener)
        target.add_event_listener("message", listener)
        target.on("close", listener)
    dispatch(target)
    assert record.take() == "x"
    dispatch(target)
    assert record.take() == "x"
    dispatch(target, "close")
    assert record.take() == "x"


def test_a_method_is_the_same_listener_each_time(target: Target) -> None:
    calls: list[Event] = []
    target.on("message", calls.append)
    target.on("message", calls.append)
    dispatch(target)
    assert len(calls) == 1
    target.off("message", calls.append)
    dispatch(target)
    assert len(calls) == 1


def test_once_is_once(target: Target, record: Record) -> None:
    target.on("message", record.note("a"))
    target.once("message", record.note("b"))
    target.add_event_listener("message", record.note("c"), once=True)
    target.on("message", record.note("d"))
    dispatch(target)
    assert record.take() == "a b c d"
    dispatch(target)
    assert record.take() == "a d"


def test_on_and_once_are_decorators_that_leave_the_function_as_it_is(
    target: Target, record: Record
) -> None:
    def plain(event: Event) -> None:
        record.calls.append("plain")

    @target.on("message")
    def on(event: Event) -> None:
        record.calls.append("on")

    @target.once("message")
    def once(event: Event) -> None:
        record.calls.append("once")

    assert target.on("message", plain) is plain
    assert target.on("message")(on) is on
    dispatch(target)
    assert record.take() == "on once plain"
    target.off("message", on)
    dispatch(target)
    assert record.take() == "plain"
    once(Event("message", target))
    assert record.take() == "once"


def test_a_listener_that_was_removed_is_not_called(target: Target, record: Record) -> None:
    first, second = record.note("first"), record.note("second")
    target.on("message", first)
    target.once("message", second)
    target.on("close", first)
    target.off("message", first)
    target.off("message", record.note("never added"))
    dispatch(target)
    assert record.take() == "second"
    dispatch(target, "close")
    assert record.take() == "first"
    target.remove_event_listener("close", first)
    dispatch(target, "close")
    assert record.take() == ""


def test_an_attribute_holds_one_listener(target: Target, record: Record) -> None:
    assert target.onmessage is None
    first, second = record.note("first"), record.note("second")
    target.onmessage = first
    assert target.onmessage is first
    assert target.onclose is None
    target.onmessage = second
    assert target.onmessage is second
    dispatch(target)
    assert record.take() == "second"
    target.onmessage = None
    assert target.onmessage is None
    dispatch(target)
    assert record.take() == ""


def test_a_new_attribute_takes_the_place_of_the_old_one(target: Target, record: Record) -> None:
    target.on("message", record.note("a"))
    target.onmessage = record.note("old")
    target.on("message", record.note("b"))
    target.onmessage = record.note("new")
    dispatch(target)
    assert record.take() == "a new b"
    target.onmessage = None
    target.onmessage = record.note("last")
    dispatch(target)
    assert record.take() == "a b last"


def test_an_attribute_is_none_of_the_listeners_that_off_removes(
    target: Target, record: Record
) -> None:
    listener = record.note("x")
    target.onmessage = listener
    target.off("message", listener)
    dispatch(target)
    assert record.take() == "x"


def test_a_function_that_is_added_and_an_attribute_is_called_twice(
    target: Target, record: Record
) -> None:
    listener = record.note("x")
    target.on("message", listener)
    target.onmessage = listener
    dispatch(target)
    assert record.take() == "x x"
    target.off("message", listener)
    dispatch(target)
    assert record.take() == "x"


def test_a_function_that_is_an_attribute_can_be_added_as_well(
    target: Target, record: Record
) -> None:
    listener = record.note("x")
    target.onmessage = listener
    target.on("message", listener)
    target.onmessage = None
    dispatch(target)
    assert record.take() == "x"


def test_a_listener_that_is_added_meanwhile_waits_for_the_next_event(
    target: Target, record: Record
) -> None:
    def add(event: Event) -> None:
        record.calls.append("add")
        target.on("message", late)

    late = record.note("late")
    target.on("message", add)
    dispatch(target)
    assert record.take() == "add"
    dispatch(target)
    assert record.take() == "add late"


def test_a_listener_may_remove_itself(target: Target, record: Record) -> None:
    def remove(event: Event) -> None:
        record.calls.append("remove")
        target.off("message", remove)

    target.on("message", record.note("a"))
    target.on("message", remove)
    target.on("message", record.note("b"))
    dispatch(target)
    assert record.take() == "a remove b"
    dispatch(target)
    assert record.take() == "a b"


def test_a_listener_that_is_removed_meanwhile_is_not_called(target: Target, record: Record) -> None:
    listener = record.note("x")
    target.on("message", lambda event: target.off("message", listener))
    target.on("message", listener)
    dispatch(target)
    # DOM, 2.9, "inner invoke": "If listener's removed is true, then continue."
    assert record.take() == ""


def test_an_event_inside_of_an_event_is_dispatched_at_once(target: Target, record: Record) -> None:
    target.on("message", lambda event: dispatch(target, "close"))
    target.on("message", record.note("message"))
    target.on("close", record.note("close"))
    dispatch(target)
    assert record.take() == "close message"


def test_once_is_once_for_an_event_inside_of_an_event(target: Target, record: Record) -> None:
    inner = [Event("message", target)]
    target.on("message", lambda event: target.dispatch_event(inner.pop()) if inner else None)
    target.once("message", record.note("once"))
    dispatch(target)
    assert record.take() == "once"


def test_once_is_once_for_a_listener_that_dispatches_again(target: Target, record: Record) -> None:
    @target.once("message")
    def again(event: Event) -> None:
        record.calls.append("again")
        dispatch(target)

    dispatch(target)
    assert record.take() == "again"


def test_a_listener_that_raises_keeps_none_of_the_others_from_being_called(
    target: Target, record: Record, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(event: Event) -> None:
        raise RuntimeError("broken")

    target.on("message", record.note("a"))
    target.on("message", fail)
    target.once("message", fail)
    target.onmessage = fail
    target.on("message", record.note("b"))
    with caplog.at_level(logging.DEBUG, "faye_ws"):
        dispatch(target)
    assert record.take() == "a b"
    assert [record.levelno for record in caplog.records] == [logging.ERROR] * 2
    assert "RuntimeError: broken" in caplog.text
    dispatch(target)
    assert record.take() == "a b"


def test_a_target_may_know_better_what_to_do_with_what_is_raised() -> None:
    class Strict(Target):
        def listener_raised(self, error: BaseException) -> None:
            raised.append(error)

    raised: list[BaseException] = []
    target = Strict()
    target.on("message", lambda event: [][1])
    dispatch(target)
    assert [type(error) for error in raised] == [IndexError]


@pytest.mark.parametrize("type", ["messages", "", "Message", "open"])
def test_a_type_that_is_not_known_is_a_value_error(target: Target, type: str) -> None:
    ways: list[Callable[[], Any]] = [
        lambda: target.on(type),
        lambda: target.on(type, print),
        lambda: target.once(type),
        lambda: target.once(type, print),
        lambda: target.off(type, print),
        lambda: target.add_event_listener(type, print),
        lambda: target.remove_event_listener(type, print),
    ]
    for way in ways:
        with pytest.raises(ValueError, match=f"no event is called '{type}': there are close, mess"):
            way()


def test_a_coroutine_function_is_no_listener(target: Target) -> None:
    async def listener(event: Event) -> None:
        """It would be called, and nothing would happen."""

    with pytest.raises(TypeError, match="coroutine"):
        target.on("message", listener)


@pytest.mark.parametrize("listener", ["print", 7, b"x", object()])
def test_a_listener_that_can_not_be_called_is_a_type_error(target: Target, listener: Any) -> None:
    ways: list[Callable[[], Any]] = [
        lambda: target.on("message", listener),
        lambda: target.on("message")(listener),
        lambda: target.once("message", listener),
        lambda: target.add_event_listener("message", listener),
        lambda: setattr(target, "onmessage", listener),
    ]
    for way in ways:
        with pytest.raises(TypeError, match="must be callable"):
            way()
    assert target.onmessage is None


def test_targets_do_not_share_listeners(record: Record) -> None:
    one, other = Target(), Target()
    one.on("message", record.note("one"))
    one.onclose = record.note("one")
    dispatch(other)
    dispatch(other, "close")
    assert record.take() == ""
    assert isinstance(Target.onmessage, event_handler)


def test_events_say_what_happened() -> None:
    target = Target()
    event = Event("open", target)
    assert (event.type, event.target, repr(event)) == ("open", target, "<Event open>")
    message = MessageEvent("message", target, b"\0")
    assert (message.type, message.target, message.data) == ("message", target, b"\0")
    cause = ValueError("why")
    error = ErrorEvent("error", target, cause)
    assert (error.type, error.error, error.message) == ("error", cause, "why")
    close = CloseEvent("close", target, 1001, "bye", True)
    assert (close.code, close.reason, close.was_clean) == (1001, "bye", True)
    assert repr(close) == "<CloseEvent 1001 'bye'>"


@pytest.mark.parametrize("cls", [Event, MessageEvent, ErrorEvent, CloseEvent])
def test_events_have_no_dictionary(cls: type[Event]) -> None:
    assert not hasattr(cls.__new__(cls), "__dict__")


def test_an_event_of_a_stream_has_its_id_and_its_origin() -> None:
    target = object()
    event = StreamMessageEvent("tick", target, "x" * 100, "7", "https://example.com")
    assert (event.type, event.target, event.data) == ("tick", target, "x" * 100)
    assert (event.last_event_id, event.origin) == ("7", "https://example.com")
    assert repr(event) == f"<StreamMessageEvent tick '7' {'x' * 80!r}>"


def test_a_target_says_whether_anybody_listens(target: Target, record: Record) -> None:
    assert not target.has_listener("message")
    listener = target.on("message", record.note("a"))
    assert target.has_listener("message")
    assert not target.has_listener("close")
    target.off("message", listener)
    target.onclose = record.note("b")
    assert (target.has_listener("message"), target.has_listener("close")) == (False, True)


def test_the_types_that_somebody_listens_to_are_known(target: Target) -> None:
    assert target.heard_types() == set()
    target.on("message", print)
    target.once("message", repr)
    assert target.heard_types() == {"message"}
    target.remove_all_listeners()
    assert target.heard_types() == set()
