"""What an application sees of an event stream: its state, its events, and who gets them.

    Reader --> events --> listeners of their type
                     `--> receive(), an iteration: messages that nobody listens to

Invariants:
- Whatever a listener does, the reader goes on with its connections; it reads when all that came
  before was heard, and there is room for more.
- No event overtakes another on its way to the listeners, and none is lost because it came
  before the application had added its listeners.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from greenlet import greenlet

from ..constants import ReadyState
from ..errors import EventStreamError
from ..events import Event, EventTarget, StreamMessageEvent
from ..runtime.listening import NO_TARGET, ListenerQueue
from ..runtime.reactor import Reactor
from ..runtime.seconds import seconds_until
from ..runtime.threads import ListenerThread
from ..runtime.waiting import WaitQueue

# The server's own events, however they are called, are not among these.
_OWN_TYPES = frozenset(("open", "error"))
# Messages that wait for whoever iterates, before the server has to.
_MAX_MESSAGES = 4
# Seconds that a call which waits for the end waits for the listeners to hear of it.
_HEARING = 1.0


class Inbox:
    """The events of one stream.

    Args:
        target: what the application holds, and adds its listeners to.
        reactor: that of the hub which reads the stream.
        thread: where the listeners run, if that is not the hub.

    Attributes:
        state: where in its life the stream is.
        error: the final answer, if that has closed it.
    """

    def __init__(
        self, target: EventTarget, reactor: Reactor, thread: ListenerThread | None
    ) -> None:
        self._target = target
        self._reactor = reactor
        self._listening = ListenerQueue(self, reactor, thread)
        self._events: deque[Event] = deque()
        self._is_iterated = False
        # Who waits for an event, for room for one, or for the end.
        self._waiting = WaitQueue(reactor.hub)
        self.enter(ReadyState.CONNECTING)

    def enter(self, state: ReadyState, error: EventStreamError | None = None) -> None:
        """Begin a state."""
        self.error = error
        self.state = state

    @property
    def is_closed(self) -> bool:
        """Whether nothing more will come."""
        return self.state is ReadyState.CLOSED

    # From the reader

    def put(self, event: Event) -> None:
        """Add an event."""
        self._events.append(event)
        if self._find_heard() is not None:
            self.look_soon()
        else:
            self._forget_unwanted()
            self._notify()

    def wait_for_room(self) -> None:
        """Wait until all was heard, and whoever iterates has room for another message."""
        self._waiting.wait_until(self._has_room, None)

    def _has_room(self) -> bool:
        return self.is_closed or (self._is_heard() and self._count_messages() <= _MAX_MESSAGES)

    def _count_messages(self) -> int:
        return sum(isinstance(event, StreamMessageEvent) for event in self._events)

    # To those who want it; in the hub

    def look_soon(self) -> None:
        """Look who wants what has come, in the next turn of the hub. From any thread."""
        if self._events or self._waiting or self.is_closed:
            self._reactor.post(self._look)

    def _look(self) -> None:
        self._forget_unwanted()
        self._listening.start(self._find_heard() is not None)
        self._notify()
        self.let_go()

    def let_go(self) -> None:
        """At the end, open the circles of objects that point to each other.

        So they are freed at once, and not when the garbage collector comes.
        """
        if self.is_closed and not self._events and self._listening.is_done:
            self._target = NO_TARGET
            self._listening.retire()

    def _notify(self) -> None:
        if self._waiting:
            self._waiting.notify()

    def _forget_unwanted(self) -> None:
        if self._events and not self._listening.is_early:
            keeps_messages = self._is_iterated or not self._hears_messages()
            wanted = [
                event
                for event in self._events
                if (keeps_messages and isinstance(event, StreamMessageEvent))
                or self._target.has_listener(event.type)
            ]
            self._events = deque(wanted)

    def _hears_messages(self) -> bool:
        return not self._target.heard_types() <= _OWN_TYPES

    def _find_heard(self) -> Event | None:
        """Return the next event for the listeners, if there is one."""
        # Who listens to some messages may be about to listen to others.
        hears_all = self._listening.is_early and self._hears_messages()
        for event in self._events:
            if hears_all or self._target.has_listener(event.type):
                return event
        return None

    def _is_heard(self) -> bool:
        return self._listening.is_done and self._find_heard() is None

    # To the listeners

    def next_message(self) -> Event | None:
        """Return the next event for the listeners, or None."""
        event = self._find_heard()
        if event is not None:
            self._events.remove(event)
        return event

    def dispatch_message(self, message: Event) -> None:
        """Call the listeners of an event."""
        self._target.dispatch_event(message)

    def listener_raised(self, error: BaseException) -> bool:
        """Go on. Return True: it is a fault."""
        return True

    def listeners_rest(self, worker: greenlet) -> bool:
        """Let the reader go on. Return whether there is something to hear again by now."""
        self._forget_unwanted()
        self._notify()
        self.let_go()
        return self._find_heard() is not None

    def contain(self, error: BaseException) -> None:
        """Handle what a listener raised."""
        self._listening.contain(error)

    def kill_listener(self, asker: greenlet) -> None:
        """End the listener that waits for something in the hub, unless that is who asks."""
        if self._listening.worker not in (None, asker):
            # What it was hearing, no other is to hear either.
            self._target.remove_all_listeners()
            self._listening.kill()

    # To those who wait

    def receive(self, asker: greenlet, deadline: float, failure: str) -> StreamMessageEvent | None:
        """Return the next message that nobody listens to, or None when the stream is closed.

        Raises:
            TimeoutError: none has come by the deadline; `failure` is what it says.
            EventStreamError: the server has given a final answer.
        """
        self._is_iterated = True
        self._wait(lambda: self.is_closed or self._find_free() is not None, deadline, failure)
        event = self._find_free()
        if event is None:
            self._report_error(asker)
        else:
            self._events.remove(event)
            self._notify()
        return event

    def wait_closed(self, asker: greenlet, deadline: float, failure: str) -> None:
        """Wait until the stream is closed; raise as `receive`."""
        self._wait(lambda: self.is_closed, deadline, failure)
        self._report_error(asker)

    def _wait(self, is_met: Callable[[], bool], deadline: float, failure: str) -> None:
        if not self._waiting.wait_until(is_met, seconds_until(deadline)):
            raise TimeoutError(failure)

    def _find_free(self) -> StreamMessageEvent | None:
        for event in self._events:
            if isinstance(event, StreamMessageEvent) and not self._target.has_listener(event.type):
                return event
        return None

    def _report_error(self, asker: greenlet) -> None:
        """Raise the final answer, if there was one, when the listeners have heard of it."""
        if self.error is not None:
            if asker is not self._listening.worker and not self._reactor.is_foreign():
                self._waiting.wait_until(self._is_heard, _HEARING)
            raise self.error

    def give_back(self, event: StreamMessageEvent | None) -> None:
        """Put an event back that was taken for somebody who is gone."""
        if event is not None:
            self._events.appendleft(event)
            self.look_soon()

    def clear(self) -> None:
        """Forget what was not taken."""
        self._events.clear()
