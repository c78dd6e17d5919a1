"""What has come for the application, and who gets it.

    driver.events() --> messages --> receive(), if a greenlet waits in it
                   |            `--> listeners: message, data
                   `--> notices ---> listeners: open, error, end, close, drain, pongs

A message belongs to whoever asks first: a `receive()` that waits, else the listeners, else the
next `receive()`.

Invariants:
- What the application does never keeps the hub from its work.
- No event overtakes another, but for the end of the connection when the application has had
  its time to answer what came before.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from sys import getsizeof
from typing import TypeVar

from greenlet import greenlet

from ..constants import NEVER, CloseCode
from ..driver.events import Close, Message, Open, Pong
from ..driver.events import Event as DriverEvent
from ..errors import ConnectionClosed
from ..events import CloseEvent, ErrorEvent, Event, EventTarget, MessageEvent
from ..runtime.handing_over import hand_over
from ..runtime.listening import ListenerQueue
from ..runtime.log import logger
from ..runtime.threads import ListenerThread
from ..runtime.waiting import WaitQueue
from .endpoint import NOBODY, Endpoint
from .exchange import PLACE, Exchange
from .phase import Phase

# Messages that wait for the application may weigh this much before the peer has to wait.
# Each weighs what Python holds of it, and its place in the queue.
_MAX_WEIGHT = 2**20
# Seconds that a call which waits for the end waits for the listeners to hear of it.
_HEARING = 1.0
# Pings whose pong has not come; a peer that answers none must not fill our memory.
_MAX_PINGS = 256

_OPEN, _ENDING, _CLOSING = Phase.OPEN, Phase.ENDING, Phase.CLOSING
_LINGERING, _GONE = Phase.LINGERING, Phase.GONE

PongCallback = Callable[[], object]

_T = TypeVar("_T")

# What has no listeners.
_NO_TARGET = EventTarget()


class Inbox:
    """The messages and notices of one connection.

    Args:
        target: what the application holds, and adds its listeners to.
        endpoint: where they come from.
        thread: where the listeners run, if that is not the endpoint's hub.

    Attributes:
        messages: those that wait; None if there are none.
        reader: the greenlet that was the last to receive one. Until it asks for the next, or
            is dead, it may still answer.
        waiting: the greenlets that wait for something to change.
        pings: those whose pong has not come, and what is called then.
        listening: what the listeners are to hear.
        exchange: what other threads take and send without being handed over, if the endpoint
            lives in the background.
        is_behind: whether there was no room for all that the driver has received.
        is_paused: whether the application wants no messages for now.
    """

    __slots__ = (
        "_asking",
        "_end",
        "_hears",
        "_is_dropping",
        "_target",
        "_weight",
        "endpoint",
        "exchange",
        "is_behind",
        "is_paused",
        "listening",
        "messages",
        "pings",
        "reader",
        "waiting",
    )

    def __init__(
        self, target: EventTarget, endpoint: Endpoint, thread: ListenerThread | None
    ) -> None:
        self._target = target
        self.endpoint = endpoint
        self.listening = ListenerQueue(self, endpoint.reactor, thread)
        self.exchange = None if thread is None else Exchange(self)
        self.messages: deque[str | bytes] | None = None
        self._weight = 0
        self.is_behind = False
        self.is_paused = False
        # After our close: from here on no message is kept.
        self._is_dropping = False
        self.pings: list[tuple[bytes, PongCallback | None]] | None = None
        # The types of events that messages are for the listeners: `message`, `data`, or both.
        self._hears: tuple[str, ...] = ()
        self.waiting: WaitQueue | None = None
        # The greenlets that ask for what comes next, but for those of other threads.
        self._asking: tuple[greenlet, ...] = ()
        self.reader: greenlet | None = None
        # What ends the connection, once that has come.
        self._end: Close | None = None
        endpoint.owner = self

    @property
    def end(self) -> tuple[int, str, bool] | None:
        """The code, the reason, and whether it was clean, when the connection is closed."""
        if self._end is None or self.endpoint.phase < _LINGERING:
            return None
        return self._end.code, self._end.reason, self._end.was_clean

    @property
    def error(self) -> Exception | None:
        """Why the connection was closed, if that was for a fault."""
        return None if self._end is None else self._end.error

    @property
    def is_over(self) -> bool:
        """Whether there is nothing left for the hub to do."""
        return self.endpoint.phase is _GONE and self.listening.is_done

    # From other threads

    def is_foreign(self) -> bool:
        """Return whether the calling thread has to hand over what it wants of the connection."""
        # When all is over, the connection's thread may be, too, and nothing is left to share.
        return self.endpoint.reactor.is_foreign() and not self.is_over

    def hand_over(
        self,
        function: Callable[[], _T],
        deadline: float = NEVER,
        failure: str = "",
        give_back: Callable[[_T], object] | None = None,
    ) -> _T:
        """Call a function in the connection's hub; see `handing_over.hand_over`."""
        return hand_over(
            self.endpoint.reactor,
            function,
            forget=self.endpoint.forget,
            deadline=deadline,
            failure=failure,
            give_back=give_back,
        )

    def in_hub(self, function: Callable[[], object]) -> None:
        """Call a function in the connection's hub, or here where that is the same."""
        if self.is_foreign():
            self.hand_over(function)
        else:
            function()

    # From the driver

    def advance(self) -> None:
        """Bring what the driver has received to whoever is to hear it. In the hub."""
        self.take()
        if self.waiting or self.exchange is not None:
            self._notify()
        self.listening.start(bool(self._hears and self.messages))
        if self.is_behind:
            self.endpoint.govern_reading()
        if self.endpoint.phase is _GONE:
            self._let_go()

    def take(self) -> None:
        """Take what the driver has received, as far as there is room for it."""
        endpoint = self.endpoint
        driver = endpoint.driver
        if self.exchange is not None:
            self._weight -= self.exchange.settle()
        was_behind, self.is_behind = self.is_behind, False
        while self._weight <= _MAX_WEIGHT if endpoint.phase is _OPEN else self._has_room():
            for event in driver.events():
                if type(event) is Message and not self._is_dropping:
                    if self.messages is None:
                        self.messages = deque()
                    self.messages.append(event.data)
                    self._weight += getsizeof(event.data) + PLACE
                else:
                    self._handle(event)
            if driver.unread is None:
                break
        else:
            self.is_behind = True
        if was_behind:
            endpoint.sent(0)
        if self._end is not None:
            self._end_if_answered()

    def _has_room(self) -> bool:
        """Return whether the application can be given more messages, or wants none.

        After our close they are dropped if nobody is going to hear them, since the peer's close
        is still to come. With one all that follow it are dropped, so that nobody ever hears a
        message without those before it.
        """
        is_full = self._weight > _MAX_WEIGHT
        if self.endpoint.phase is _CLOSING and (
            self._hears or (is_full and not self._has_reader())
        ):
            self._is_dropping = True
        return self._is_dropping or not is_full or self.endpoint.phase >= _LINGERING

    def _handle(self, event: DriverEvent) -> None:
        if isinstance(event, Pong):
            self._receive_pong(event.data)
        elif isinstance(event, Open):
            self._announce("open")
            self.endpoint.opened()
        elif isinstance(event, Close):
            self._end = event

    def _announce(self, type: str) -> None:
        self.listening.put(Event(type, self._target))

    def expect_pong(self, data: bytes, callback: PongCallback) -> None:
        """Call a function when the pong to a ping comes, or that to a later ping."""
        self.pings = [*(self.pings or ()), (data, callback)][-_MAX_PINGS:]

    def _receive_pong(self, data: bytes) -> None:
        # RFC 6455, 5.5.3: a peer "MAY elect to send a Pong frame for only the most
        # recently processed Ping frame", so a pong answers the pings before it, too.
        pings = self.pings or []
        for index, (message, _) in enumerate(pings):
            if message == data:
                for _, callback in pings[: index + 1]:
                    if callback is not None:
                        self.listening.put(callback)
                self.pings = pings[index + 1 :] or None
                return

    # The end

    def _end_if_answered(self) -> None:
        """End the connection, unless the application may still answer what came before that."""
        endpoint = self.endpoint
        if self._end is None or endpoint.phase >= _LINGERING:
            return
        if endpoint.phase in (_OPEN, _ENDING) and (self.messages or self.is_answering()):
            endpoint.expect_end()
        else:
            self._finish(self._end)

    def input_ended(self) -> None:
        """Handle that the peer will send nothing more."""
        if self.is_behind:
            # The end stands behind messages for which there is no room: whoever is about to
            # take them has the time of a closing handshake to do so.
            endpoint = self.endpoint
            endpoint.expect_end(endpoint.settings.close_timeout if self.is_answering() else None)

    def take_end(self) -> None:
        """Let the connection end now, whatever the application is doing."""
        self.take()
        if self._end is None:
            self.is_behind = False
            self.endpoint.driver.abort()
            for event in self.endpoint.driver.events():
                self._handle(event)
        if self._end is not None and self.endpoint.phase < _LINGERING:
            self._finish(self._end)

    def _finish(self, end: Close) -> None:
        endpoint = self.endpoint
        endpoint.driver.answer_close()
        self.reader = None
        self.pings = None
        logger.debug("closed: %s %s", int(end.code), end.reason)
        if end.error is not None:
            self.listening.put(ErrorEvent("error", self._target, end.error))
        self._announce("end")
        self.listening.put(CloseEvent("close", self._target, end.code, end.reason, end.was_clean))
        # After the notices, so that other threads see that not all is over.
        endpoint.end()
        endpoint.advance_soon()

    def released(self) -> None:
        """Handle that there is no socket any more."""
        self.endpoint.advance_soon()

    def forgotten(self) -> None:
        """Handle that the connection belongs to another process, or to nobody."""
        if self._end is None or self.endpoint.phase < _LINGERING:
            self._end = Close(CloseCode.ABNORMAL_CLOSURE)
        self.listening.clear()
        if self.exchange is not None:
            self.exchange.wake()

    def disowned(self) -> None:
        """Forget what has come: it is another process's."""
        self.messages = None
        self._weight = 0

    def _let_go(self) -> None:
        """Open the circles of objects that point to each other, when all was heard.

        So what is not needed any more is freed at once, and not when the garbage collector
        comes. Listeners are among it: they are closures that hold the connection.
        """
        if self.listening.is_done:
            self._target.remove_all_listeners()
            self._target = _NO_TARGET
            self.endpoint.owner = NOBODY
            self.listening.retire()

    # Who may still answer

    def is_answering(self) -> bool:
        """Return whether the application may still answer what it was given."""
        # Who asks for what comes next has done with what came before.
        worker = self.listening.worker
        return (worker is not None and not self._is_asking(worker)) or self._has_reader()

    def _has_reader(self) -> bool:
        """Return whether a greenlet that has received a message may come for the next."""
        reader = self.reader
        return reader is not None and not reader.dead and not self._is_asking(reader)

    def _is_asking(self, asker: greenlet) -> bool:
        return asker in self._asking or (
            self.exchange is not None and asker in self.exchange.asking
        )

    # To the listeners

    def listeners_changed(self) -> None:
        """Look what the listeners are to hear from now on."""
        has_listener = self._target.has_listener
        self._hears = tuple(filter(has_listener, ("message", "data")))
        self.listening.listeners_changed()
        if self.messages and self.listening.worker is None:
            self.endpoint.advance_soon()

    def next_message(self) -> str | bytes | None:
        """Return the next message for the listeners, or None."""
        # As in the DOM, they hear none once we have begun to close.
        if (
            not self.messages
            or not self._hears
            or self.is_paused
            or self.endpoint.phase not in (_OPEN, _ENDING)
        ):
            return None
        return self.take_message()

    def dispatch_message(self, message: str | bytes) -> None:
        """Call the listeners with a message."""
        for type in self._hears:
            self._target.dispatch_event(MessageEvent(type, self._target, message))

    def listeners_rest(self, worker: greenlet) -> bool:
        """Handle that all was heard. Return whether there is a message again by now."""
        if self.reader is worker:
            self.reader = None
        if self._end is not None:
            self._end_if_answered()
        if self.waiting or self.exchange is not None:
            self._notify()
        if self.endpoint.phase is _GONE:
            self._let_go()
        return bool(
            self.messages
            and self._hears
            and not self.is_paused
            and self.endpoint.phase in (_OPEN, _ENDING)
        )

    def listener_raised(self, error: BaseException) -> bool:
        """Close with 1011 because of what a listener raised. Return whether it is a fault."""
        if self.endpoint.reactor.is_foreign():
            self.endpoint.reactor.post(self.endpoint.fail, "a listener raised")
        else:
            self.endpoint.fail("a listener raised")
        return not (isinstance(error, ConnectionClosed) and self.end is not None)

    # To greenlets that receive

    def take_message(self) -> str | bytes | None:
        """Take the next message, if another thread has not just taken the last."""
        messages = self.messages
        if not messages:
            return None
        try:
            message = messages.popleft()
        except IndexError:
            return None
        if messages or self.exchange is not None:
            self._weight -= getsizeof(message) + PLACE
        if not messages:
            self.messages = None
            if self.exchange is None:
                # Not by counting: a string grows when its UTF-8 is asked for, and kept.
                self._weight = 0
            if self.is_behind:
                self.endpoint.advance_soon()
        return message

    def give_back(self, message: str | bytes) -> None:
        """Put a message back that was taken for somebody who is gone."""
        if self.messages is None:
            self.messages = deque()
        self.messages.appendleft(message)
        self._weight += getsizeof(message) + PLACE
        self.reader = None
        self.endpoint.advance_soon()

    def wants_none(self) -> bool:
        """Return whether the application wants no messages for now."""
        if self.exchange is not None:
            self._weight -= self.exchange.settle()
        return self.is_paused or self._weight > _MAX_WEIGHT

    def pause(self, is_paused: bool) -> None:
        """Let messages wait, and in the end the peer, or let them come again."""
        self.is_paused = is_paused
        self.endpoint.govern_reading()
        if not is_paused:
            self.endpoint.advance_soon()

    def receive(self, receiver: greenlet, deadline: float, failure: str) -> str | bytes:
        """Wait for the next message, and return it.

        Raises:
            TimeoutError: none has come by the deadline; `failure` is what it says.
            ConnectionClosed: the connection is closed.
        """
        while (message := self.take_message()) is None:
            self._ask(receiver)
            if self.messages:
                continue
            if (end := self.end) is not None:
                raise ConnectionClosed(*end)
            self._wait_asking(receiver, deadline, failure)
        self.reader = receiver
        return message

    def wait_closed(self, waiter: greenlet, deadline: float, failure: str) -> tuple[int, str, bool]:
        """Wait until the connection is closed and its listeners have heard so; return `end`.

        Raises:
            TimeoutError: it is not closed at the deadline; `failure` is what it says.
        """
        while (end := self.end) is None:
            self._ask(waiter)
            if self.end is None:
                self._wait_asking(waiter, deadline, failure)
        self.wait_heard(waiter)
        return end

    def wait_heard(self, asker: greenlet) -> None:
        """Let the listeners hear what there is, if that does not take them too long."""
        deadline = time.monotonic() + _HEARING
        while not self.listening.is_done and asker is not self.listening.worker:
            left = deadline - time.monotonic()
            if left <= 0:
                return
            self.endpoint.advance_soon()
            self.wait(left)

    def _ask(self, asker: greenlet) -> None:
        """Take what there is, for a greenlet that has done with all that came before."""
        self._asking += (asker,)
        try:
            self.take()
        finally:
            self._asking = tuple(other for other in self._asking if other is not asker)

    def _wait_asking(self, asker: greenlet, deadline: float, failure: str) -> None:
        left = None if deadline == NEVER else deadline - time.monotonic()
        if left is not None and left <= 0:
            raise TimeoutError(failure)
        self._asking += (asker,)
        try:
            self.wait(left)
        finally:
            self._asking = tuple(other for other in self._asking if other is not asker)

    def wait(self, timeout: float | None) -> None:
        """Wait until something has changed."""
        if self.waiting is None:
            self.waiting = WaitQueue(self.endpoint.reactor.hub)
        self.waiting.wait(timeout)

    def _notify(self) -> None:
        if self.waiting:
            self.waiting.notify()
        if self.exchange is not None:
            self.exchange.wake()

    def drained(self) -> None:
        """Handle that the peer has taken what waited for it."""
        if self._target.has_listener("drain"):
            self._announce("drain")
        self.endpoint.advance_soon()
