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

from collections import deque
from sys import getsizeof

from greenlet import greenlet

from ..constants import CloseCode
from ..driver.events import Close, Message, Open, Pong
from ..driver.events import Event as DriverEvent
from ..errors import ConnectionClosed
from ..events import CloseEvent, ErrorEvent, Event, EventTarget, MessageEvent
from ..runtime.listening import NO_TARGET, ListenerQueue
from ..runtime.log import logger
from ..runtime.threads import ListenerThread
from .endpoint import Endpoint
from .exchange import PLACE, Exchange
from .owner import NOBODY
from .phase import Phase
from .pongs import ExpectedPongs, PongCallback
from .receiving import End, Readers

# Messages that wait for the application may weigh this much before the peer has to wait.
# Each weighs what Python holds of it, and its place in the queue.
_MAX_WEIGHT = 2**20
_OPEN, _ENDING, _CLOSING = Phase.OPEN, Phase.ENDING, Phase.CLOSING
_LINGERING, _GONE = Phase.LINGERING, Phase.GONE


class Inbox:
    """The messages and notices of one connection.

    Args:
        target: what the application holds; None until it has listeners, or for ever.
        endpoint: where they come from.
        thread: where the listeners run, if that is not the endpoint's hub.

    Attributes:
        messages: those that wait; None if there are none.
        pongs: those that the application waits for.
        listening: what the listeners are to hear.
        exchange: what other threads take and send without being handed over, if the endpoint
            lives in the background.
        is_behind: whether there was no room for all that the driver has received.
        is_paused: whether the application wants no messages for now.
    """

    __slots__ = (
        "_end",
        "_hears",
        "_is_dropping",
        "_readers",
        "_target",
        "_weight",
        "endpoint",
        "exchange",
        "is_behind",
        "is_paused",
        "listening",
        "messages",
        "pongs",
    )

    def __init__(
        self, target: EventTarget | None, endpoint: Endpoint, thread: ListenerThread | None
    ) -> None:
        self._target = target or NO_TARGET
        self.endpoint = endpoint
        self.listening = ListenerQueue(self, endpoint.reactor, thread)
        self.exchange = None if thread is None else Exchange()
        self.messages: deque[str | bytes] | None = None
        self._weight = 0
        self.is_behind = self.is_paused = False
        self._is_dropping = False  # After our close: from here on no message is kept.
        self.pongs: ExpectedPongs | None = None
        # The types of events that messages are for the listeners: `message`, `data`, or both.
        self._hears: tuple[str, ...] = ()
        # Not made by whichever thread comes first: two may come at once.
        self._readers = None if thread is None else Readers(endpoint.reactor.hub)
        self._end: Close | None = None  # What ends the connection, once that has come.
        endpoint.owner = self

    @property
    def end(self) -> End | None:
        """The code, the reason, and whether it was clean, when the connection is closed."""
        if self._end is None or self.endpoint.phase < _LINGERING:
            return None
        return self._end.code, self._end.reason, self._end.was_clean

    @property
    def error(self) -> Exception | None:
        """Why the connection was closed, if that was for a fault."""
        return None if self._end is None else self._end.error

    @property
    def readers(self) -> Readers:
        """The greenlets that wait."""
        if self._readers is None:
            self._readers = Readers(self.endpoint.reactor.hub)
        return self._readers

    @property
    def is_over(self) -> bool:
        """Whether there is nothing left for the hub to do."""
        return self.endpoint.phase is _GONE and self.listening.is_done

    # From the driver

    def advance(self) -> None:
        """Bring what the driver has received to whoever is to hear it. In the hub."""
        self.take()
        if self._readers is not None or self.exchange is not None:
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
            for callback in self.pongs.receive(event.data) if self.pongs is not None else ():
                self.listening.put(callback)
        elif isinstance(event, Open):
            self._announce("open")
            self.endpoint.opened()
        elif isinstance(event, Close):
            self._end = event

    def _announce(self, type: str) -> None:
        self.listening.put(Event(type, self._target))

    def expect_pong(self, data: bytes, callback: PongCallback) -> None:
        """Call a function when the pong to a ping comes, or that to a later ping."""
        if self.pongs is None:
            self.pongs = ExpectedPongs()
        self.pongs.add(data, callback)

    # The end

    def _end_if_answered(self) -> None:
        """End the connection, unless the application may still answer what came before that."""
        endpoint = self.endpoint
        if self._end is None or endpoint.phase >= _LINGERING:
            return
        if endpoint.phase in (_OPEN, _ENDING) and (self.messages or self.is_answering()):
            endpoint.expect_end()
        else:
            if self.exchange is not None:
                # What a thread has sent before it asked for what comes next.
                self.exchange.empty_outbox(endpoint)
            self._finish(self._end)

    def input_ended(self) -> None:
        """Handle that the peer will send nothing more."""
        if self.is_behind:
            # Who is about to take the messages before it has the time of a closing handshake.
            timeout = self.endpoint.settings.close_timeout
            self.endpoint.expect_end(timeout if self.is_answering() else None)

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
        self.forget_reader()
        self.pongs = None
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
        self._notify()
        self._let_go()

    def forgotten(self, was_closed: bool) -> None:
        """Handle that the connection belongs to another process, or to nobody."""
        if self._end is None or not was_closed:
            self._end = Close(CloseCode.ABNORMAL_CLOSURE)
        self.listening.forget()
        if self.exchange is not None:
            self.exchange.wake()

    def disowned(self) -> None:
        """Forget what has come: it is another process's."""
        self.messages = None
        self._weight = 0

    def _let_go(self) -> None:
        """Open the circles of objects that point to each other, when all was heard.

        So they are freed at once, and not when the garbage collector comes. Listeners are among
        them: they are closures that hold the connection.
        """
        if self.listening.is_done:
            target, self._target = self._target, NO_TARGET
            target.remove_all_listeners()
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
        reader = None if self._readers is None else self._readers.last
        return reader is not None and not reader.dead and not self._is_asking(reader)

    def _is_asking(self, greenlet: greenlet) -> bool:
        is_ours = self._readers is not None and self._readers.is_asking(greenlet)
        return is_ours or (self.exchange is not None and greenlet in self.exchange.asking)

    def forget_reader(self, greenlet: greenlet | None = None) -> None:
        """Let the end wait for no greenlet that has received a message, or not for this one."""
        if self._readers is not None and greenlet in (None, self._readers.last):
            self._readers.last = None

    def _notify(self) -> None:
        if self._readers is not None:
            self._readers.waiting.notify()
        if self.exchange is not None:
            self.exchange.wake()

    # To the listeners

    def listeners_changed(self, target: EventTarget) -> None:
        """Look what the listeners of what the application holds are to hear from now on."""
        self._target = target if target.heard_types() else self._target
        self._hears = tuple(filter(target.has_listener, ("message", "data")))
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
        if self._readers is not None:
            self.forget_reader(worker)
        if self._end is not None:
            self._end_if_answered()
        if self._readers is not None or self.exchange is not None:
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

    # Room

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
        self.messages = self.messages or deque()
        self.messages.appendleft(message)
        self._weight += getsizeof(message) + PLACE
        self.forget_reader()
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

    def drained(self) -> None:
        """Handle that the peer has taken what waited for it."""
        if self._target.has_listener("drain"):
            self._announce("drain")
        self.endpoint.advance_soon()
