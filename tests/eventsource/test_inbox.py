"""The events of a stream and who gets them, without a server."""

from __future__ import annotations

from typing import Any

import gevent
import pytest
from greenlet import getcurrent

from faye_ws.constants import NEVER, ReadyState
from faye_ws.errors import EventStreamError
from faye_ws.events import Event, StreamMessageEvent
from faye_ws.eventsource.inbox import Inbox
from faye_ws.runtime.reactor import Reactor, current_reactor
from faye_ws.runtime.seconds import deadline_after
from support.serving import wait_for
from support.stream_parts import DEADLINE, Target, Thread, run_in_thread


def make(thread: Thread | None = None) -> tuple[Target, Inbox]:
    """Return a target and its inbox, which is open."""
    target = Target()
    inbox = target.inbox = Inbox(target, current_reactor(), thread)
    inbox.enter(ReadyState.OPEN)
    return target, inbox


def message(data: str, type: str = "message") -> StreamMessageEvent:
    """Return an event of a server."""
    return StreamMessageEvent(type, None, data, "", "")


def listen(target: Target, *types: str) -> list[str]:
    """Return what the listeners of some types hear."""
    heard: list[str] = []
    for type in types:
        target.on(type, lambda event: heard.append(getattr(event, "data", event.type)))
    return heard


def receive(inbox: Inbox, timeout: float | None = DEADLINE) -> Any:
    """Return the data of the next message that nobody listens to, or None."""
    event = inbox.receive(getcurrent(), deadline_after(timeout), "no event")
    return None if event is None else event.data


def test_an_event_goes_to_its_listeners_else_to_the_iteration() -> None:
    target, inbox = make()
    heard = listen(target, "open", "tick")
    receiving = gevent.spawn(receive, inbox)
    gevent.sleep(0)
    for event in (Event("open", target), message("1", "tick"), message("2"), message("3", "tick")):
        inbox.put(event)
    inbox.wait_for_room()
    assert heard == ["open", "1", "3"]
    assert receiving.get(timeout=DEADLINE) == "2"


def test_an_event_is_dropped_that_only_others_than_those_who_listen_would_want() -> None:
    target, inbox = make()
    listen(target, "tick")
    inbox.put(message("1"))
    inbox.put(Event("open", target))
    inbox.wait_for_room()
    gevent.sleep(0)
    with pytest.raises(TimeoutError, match="no event"):
        receive(inbox, 0)


def test_who_listens_to_no_messages_leaves_them_to_an_iteration_that_may_come() -> None:
    target, inbox = make()
    listen(target, "open", "error")
    inbox.put(message("1"))
    gevent.sleep(0)
    assert receive(inbox) == "1"


def test_there_is_room_for_four_messages_and_the_next_waits() -> None:
    target, inbox = make()
    for number in range(4):
        inbox.put(message(str(number)))
        inbox.wait_for_room()
    inbox.put(message("4"))
    waiting = gevent.spawn(inbox.wait_for_room)
    gevent.sleep(0.01)
    assert not waiting.ready()
    assert receive(inbox) == "0"
    waiting.get(timeout=DEADLINE)
    heard = listen(target, "message")
    wait_for(lambda: heard == ["1", "2", "3", "4"])


def test_what_listeners_have_not_heard_leaves_no_room() -> None:
    target, inbox = make()
    go_on = gevent.event.Event()
    target.on("open", lambda event: go_on.wait())
    inbox.put(Event("open", target))
    waiting = gevent.spawn(inbox.wait_for_room)
    gevent.sleep(0.01)
    assert not waiting.ready()
    go_on.set()
    waiting.get(timeout=DEADLINE)


def test_what_is_put_while_the_listeners_are_at_work_is_heard_by_the_same_worker() -> None:
    target, inbox = make()
    heard = listen(target, "message")
    target.once("message", lambda event: (gevent.sleep(0), inbox.put(message("2"))))
    inbox.put(message("1"))
    inbox.wait_for_room()
    assert heard == ["1", "2"]


def test_an_event_that_was_given_back_is_the_next_again() -> None:
    _, inbox = make()
    inbox.put(message("1"))
    inbox.put(message("2"))
    event = inbox.receive(getcurrent(), NEVER, "")
    inbox.give_back(event)
    inbox.give_back(None)
    assert [receive(inbox), receive(inbox)] == ["1", "2"]


def test_the_end_comes_after_all_messages() -> None:
    _, inbox = make()
    inbox.put(message("1"))
    inbox.enter(ReadyState.CLOSED)
    assert receive(inbox) == "1"
    assert receive(inbox) is None
    inbox.wait_closed(getcurrent(), NEVER, "")


def test_those_who_wait_are_told_of_the_end() -> None:
    _, inbox = make()
    with pytest.raises(TimeoutError, match="not closed"):
        inbox.wait_closed(getcurrent(), deadline_after(0.01), "not closed")
    receiving = gevent.spawn(receive, inbox)
    closing = gevent.spawn(inbox.wait_closed, getcurrent(), NEVER, "")
    gevent.sleep(0)
    inbox.enter(ReadyState.CLOSED)
    inbox.look_soon()
    assert gevent.joinall([receiving, closing], timeout=DEADLINE) == [receiving, closing]  # type: ignore[type-var]
    assert receiving.get() is None


def test_listeners_hear_of_the_end_first_but_are_not_waited_for_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    target, inbox = make()
    heard = listen(target, "error")
    inbox.enter(ReadyState.CLOSED, EventStreamError("the end", 204))
    inbox.put(Event("error", target))
    with pytest.raises(EventStreamError, match="the end"):
        inbox.wait_closed(getcurrent(), NEVER, "")
    assert heard == ["error"]
    blocked = gevent.event.Event()
    target.on("error", lambda event: blocked.wait())
    inbox.put(Event("error", target))
    monkeypatch.setattr("faye_ws.eventsource.inbox._HEARING", 0.01)
    with gevent.Timeout(DEADLINE), pytest.raises(EventStreamError, match="the end"):
        receive(inbox)
    blocked.set()


def test_a_listener_and_who_has_lost_the_hub_wait_for_no_listener() -> None:
    target, inbox = make()
    said: list[str] = []

    def ask(event: Event) -> None:
        with pytest.raises(EventStreamError) as raised:
            inbox.wait_closed(getcurrent(), NEVER, "")
        said.append(str(raised.value))

    target.on("error", ask)
    inbox.enter(ReadyState.CLOSED, EventStreamError("the end", 204))
    inbox.put(Event("error", target))
    wait_for(lambda: said == ["the end"])
    target.on("error", lambda event: gevent.sleep(1000))
    inbox.put(Event("error", target))
    with pytest.raises(EventStreamError, match="the end"):
        run_in_thread(lambda: inbox.wait_closed(getcurrent(), NEVER, ""))
    inbox.kill_listener(getcurrent())
    gevent.sleep(0)


def test_a_killed_listener_is_the_last_to_hear_an_event_and_no_other_is_killed() -> None:
    target, inbox = make()
    ended: list[str] = []

    def block(event: Event) -> None:
        try:
            gevent.sleep(1000)
        except gevent.GreenletExit:
            ended.append("killed")
            raise

    inbox.kill_listener(getcurrent())
    target.on("open", block)
    target.on("open", lambda event: ended.append("heard"))
    inbox.put(Event("open", target))
    gevent.sleep(0.01)
    inbox.clear()
    inbox.kill_listener(getcurrent())
    inbox.wait_for_room()
    assert ended == ["killed"]
    target.on("open", lambda event: (inbox.kill_listener(getcurrent()), gevent.sleep(0)))
    target.on("open", lambda event: ended.append("spared"))
    inbox.put(Event("open", target))
    inbox.wait_for_room()
    assert ended == ["killed", "spared"]


def test_what_a_listener_raises_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    target, inbox = make()

    def fail(event: Event) -> None:
        raise ZeroDivisionError

    target.on("open", fail)
    heard = listen(target, "open")
    inbox.put(Event("open", target))
    inbox.wait_for_room()
    assert heard == ["open"]
    assert "ZeroDivisionError" in caplog.text


# In a thread that may still be about to add its listeners


def test_all_is_kept_in_order_until_the_thread_has_waited() -> None:
    thread = Thread()
    target, inbox = make(thread)
    for event in (Event("open", target), message("1"), Event("error", target), message("2", "b")):
        inbox.put(event)
        gevent.sleep(0)
    heard = listen(target, "b")
    gevent.sleep(0)
    heard = listen(target, "error", "message", "open")
    thread.is_waiting.set()
    wait_for(lambda: len(heard) == 3)
    assert heard == ["open", "1", "error"]


def test_nothing_more_is_read_for_a_thread_that_listens_but_has_not_waited() -> None:
    thread = Thread()
    target, inbox = make(thread)
    listen(target, "tick")
    inbox.put(message("1"))
    waiting = gevent.spawn(inbox.wait_for_room)
    gevent.sleep(0.01)
    assert not waiting.ready()
    thread.is_waiting.set()
    waiting.get(timeout=DEADLINE)
    with pytest.raises(TimeoutError):
        receive(inbox, 0)


def test_other_threads_may_add_listeners() -> None:
    target, inbox = make()
    inbox.put(message("1"))
    gevent.sleep(0)
    heard: list[str] = []
    run_in_thread(
        lambda: heard.append("") or target.on("message", lambda it: heard.append(it.data))
    )
    wait_for(lambda: heard == ["", "1"])


def test_nobody_is_told_when_the_hub_is_gone() -> None:
    reactor = Reactor(gevent.get_hub())
    inbox = Inbox(Target(), reactor, None)
    reactor.end()
    inbox.put(message("1"))
    assert receive(inbox) == "1"
