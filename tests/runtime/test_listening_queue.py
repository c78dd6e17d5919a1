"""What the listeners of a target are to hear, with their hub under the test's control."""

from __future__ import annotations

import gevent

from faye_ws.events import Event, EventTarget
from faye_ws.runtime.listening import NOBODY, ListenerQueue
from faye_ws.runtime.reactor import current_reactor
from faye_ws.runtime.threads import ListenerThread
from support.parts import Here


class Target(EventTarget):
    """A target whose listeners are called through a queue."""

    event_types = frozenset(("open", "close"))

    def __init__(self, thread: ListenerThread | None = None) -> None:
        super().__init__()
        self.heard: list[str] = []
        self.queue = ListenerQueue(NOBODY, current_reactor(), thread)

    def listen(self, event: Event) -> None:
        """Hear an event."""
        self.heard.append(event.type)

    def listeners_changed(self) -> None:
        """Let the queue look again."""
        self.queue.listeners_changed()


def test_an_event_is_forgotten_when_its_last_listener_is_gone_before_it_was_heard() -> None:
    target = Target()
    target.on("open", target.listen)
    target.on("close", target.listen)
    target.queue.put(Event("open", target))
    target.queue.put(Event("close", target))
    target.off("open", target.listen)
    gevent.sleep(0)
    assert target.heard == ["close"]
    # It does not come back with a listener for the next.
    target.on("open", target.listen)
    gevent.sleep(0)
    assert target.heard == ["close"]


def test_listeners_hear_of_events_in_the_thread_that_they_belong_to() -> None:
    target = Target(Here())
    target.on("open", target.listen)
    target.queue.put_soon(Event("open", target))
    gevent.sleep(0)
    gevent.sleep(0)
    assert target.heard == ["open"]
    assert target.queue.is_done
