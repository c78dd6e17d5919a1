"""Ending a listener: that one, and no other."""

from __future__ import annotations

import gevent
import gevent.event

from faye_ws.events import Event, EventTarget
from faye_ws.runtime.listening import NOBODY, ListenerQueue
from faye_ws.runtime.reactor import current_reactor

DEADLINE = 15.0


class Target(EventTarget):
    """A target whose listeners are called through a queue."""

    event_types = frozenset(("open",))

    def __init__(self) -> None:
        super().__init__()
        self.queue = ListenerQueue(NOBODY, current_reactor(), None)
        self.ends: list[str] = []
        self.go_on = gevent.event.Event()
        self.begun = gevent.event.Event()
        self.on("open", self._wait)

    def _wait(self, event: Event) -> None:
        self.begun.set()
        try:
            self.go_on.wait()
            self.ends.append("done")
        except gevent.GreenletExit:
            self.ends.append("killed")
            raise

    def listener_raised(self, error: BaseException) -> None:
        """Leave it to the queue."""
        self.queue.contain(error)

    def begin(self) -> None:
        """Let the listener begin, and wait for that."""
        self.queue.put_soon(Event("open", self))
        assert self.begun.wait(DEADLINE)


def test_a_listener_that_waits_is_killed_and_the_queue_is_used_again() -> None:
    target = Target()
    target.queue.kill()
    target.begin()
    target.queue.kill()
    gevent.sleep(0)
    assert target.ends == ["killed"]
    assert target.queue.is_done
    target.begun.clear()
    target.begin()
    target.go_on.set()
    gevent.sleep(0.01)
    assert target.ends == ["killed", "done"]


def test_a_worker_that_has_gone_on_to_another_target_is_left_alone() -> None:
    first, second = Target(), Target()
    first.begin()
    worker = first.queue.worker
    first.go_on.set()
    gevent.sleep(0)
    assert first.queue.is_done
    second.queue.put_soon(Event("open", second))
    # What `kill` would have posted in the moment before.
    first.queue.worker = worker
    first.queue.kill()
    first.queue.worker = None
    assert second.begun.wait(DEADLINE)
    assert second.queue.worker is worker
    gevent.sleep(0.01)
    assert second.ends == []
    second.go_on.set()
    gevent.sleep(0.01)
    assert (first.ends, second.ends) == (["done"], ["done"])


def test_a_listener_does_not_kill_itself() -> None:
    target = Target()
    target.on("open", lambda event: (target.queue.kill(), gevent.sleep(0)))
    target.on("open", lambda event: target.ends.append("heard"))
    target.go_on.set()
    target.begin()
    gevent.sleep(0.01)
    assert target.ends == ["done", "heard"]
