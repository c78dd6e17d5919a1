"""The middle storey of a connection: from the driver's events to the application.

    driver.events() --> messages --> receive(), if a greenlet waits in it
                   |            `--> listeners, in a worker greenlet, one at a time
                   `--> notices ---> listeners: open, error, end, close, drain, pongs

A message belongs to whoever asks first: a `receive()` that waits, else the listeners, else
the next `receive()`.

The law of this file: what the application does never keeps the hub from its work; and no
event overtakes another, but for the end of the connection when the application has had its
time.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from contextvars import Context
from sys import getsizeof
from typing import Any

from gevent import GreenletExit
from greenlet import getcurrent, greenlet

from ..constants import NEVER, CloseCode, ReadyState
from ..driver.base import Driver
from ..driver.events import Close, Message, Open, Pong
from ..driver.events import Event as DriverEvent
from ..errors import ConnectionClosed
from ..events import CloseEvent, ErrorEvent, Event, Listener, MessageEvent, logger
from ..runtime.reactor import Reactor
from ..runtime.threads import ListenerThread
from ..runtime.waiting import WaitQueue
from .exchange import Exchange
from .link import Link

# Messages that wait for the application may weigh this much before the peer has to wait.
# Each weighs what Python holds of it, and its place in the queue.
_MAX_INBOX = 2**20
PLACE = 8
# Seconds the application has to answer what came before the end of the connection.
_END_GRACE = 1.0
# Pings whose pong has not come; a peer that answers none must not fill our memory.
_MAX_PINGS = 256

_OPEN = ReadyState.OPEN
_CLOSING = ReadyState.CLOSING

PongCallback = Callable[[], object]


class Dispatcher(Link):
    """A link whose events reach the application."""

    __slots__ = (
        "_asking",
        "_busy",
        "_closed",
        "_context",
        "_ending",
        "_exchange",
        "_hears_data",
        "_hears_messages",
        "_inbox_weight",
        "_is_dropping",
        "_messages",
        "_notices",
        "_pings",
        "_serving",
        "_thread",
        "_waiting",
        "_worker",
    )

    def __init__(
        self,
        driver: Driver,
        ping: float | None,
        ping_timeout: float | None,
        close_timeout: float,
        send_timeout: float | None,
        max_backlog: int,
    ) -> None:
        super().__init__(driver, ping, ping_timeout, close_timeout, send_timeout, max_backlog)
        # What the application has yet to get, and None when there is nothing.
        self._messages: deque[str | bytes] | None = None
        self._inbox_weight = 0
        # After our close: from here on no message is kept.
        self._is_dropping = False
        self._notices: deque[Event | PongCallback] | None = None
        self._pings: list[tuple[bytes, PongCallback | None]] | None = None
        # Who is to get it: greenlets that wait, and what listeners there are.
        self._waiting: WaitQueue | None = None
        self._hears_messages = False
        self._hears_data = False
        self._context: Context | None = None
        # The thread that they run in, where that is not the hub's.
        self._thread: ListenerThread | None = None
        # What other threads and the hub exchange, if the hub is the one in the background.
        self._exchange: Exchange | None = None
        # Whether a worker runs the listeners, and which; who has received a message, and may
        # not have answered it yet; and who asks for what comes next.
        self._busy = False
        self._worker: greenlet | None = None
        self._serving: greenlet | None = None
        self._asking: list[greenlet] = []
        # The driver's last event, until it may have its effect.
        self._ending: Close | None = None
        # The end, once there is one: code, reason, and whether it was clean.
        self._closed: tuple[int, str, bool] | None = None

    def _on_open(self) -> None:
        raise NotImplementedError

    def _settle_in(self, reactor: Reactor, thread: ListenerThread | None) -> Reactor:
        """Live in a hub from now on, and call the listeners in a thread, or in the hub."""
        self._reactor = reactor
        self._thread = thread
        if thread is not None:
            self._exchange = Exchange()
        return reactor

    # From the driver

    def _advance(self) -> None:
        self._take()
        self._notify()
        if not self._busy and self._has_work():
            assert self._reactor is not None
            self._busy = True
            self._reactor.workers.run(self._work)
        if self._stalled or self._inbox_weight > _MAX_INBOX:
            self._govern_reading()
        self._forget_listeners_at_end()

    def _take(self) -> None:
        """Take what the driver has to tell, as far as there is room for it."""
        driver = self._driver
        self._settle()
        was_behind, self._is_behind = self._is_behind, False
        while self._has_room():
            if self._ending is not None:
                self._take_end()
                break
            events = driver.events()
            if not events:
                break
            self._sort(events)
        else:
            self._is_behind = True
            if time.monotonic() >= self._end_deadline:
                self._end_without_the_rest()
        if was_behind:
            self._flush_unless_corked()

    def _has_room(self) -> bool:
        """Return whether the application can be given more messages, or wants none.

        After our close they are dropped if nobody is going to hear them, since the peer's close
        is still to come. With one all that follow it are dropped, so that nobody ever hears a
        message without those before it.
        """
        state = self._driver.ready_state
        if state is _OPEN:
            return self._inbox_weight <= _MAX_INBOX
        if state is not _CLOSING:
            return True
        is_full = self._is_inbox_full()
        if self._hears_messages or self._hears_data or (is_full and not self._has_reader()):
            self._is_dropping = True
        return self._is_dropping or not is_full

    def _take_end(self) -> None:
        if self._may_end():
            self._accept_end()
        else:
            self._set_end_deadline(_END_GRACE)

    def _accept_end(self) -> None:
        close, self._ending = self._ending, None
        if close is not None:
            self._driver.answer_close()
            self._finish(close)

    def _set_end_deadline(self, seconds: float) -> None:
        if self._end_deadline == NEVER:
            self._end_deadline = time.monotonic() + seconds
            self._set_heartbeat()

    def _end_without_the_rest(self) -> None:
        self._is_behind = False
        self._driver.abort()
        self._sort(self._driver.events())
        self._accept_end()

    def eof_received(self) -> None:
        """Take note that no more bytes will come."""
        super().eof_received()
        if self._is_behind:
            # The end stands behind messages for which there is no room: whoever is about to
            # take them has the time of a closing handshake to do so.
            is_heard = self._is_answering()
            self._set_end_deadline(self._close_timeout if is_heard else _END_GRACE)

    def _may_end(self) -> bool:
        # The end waits until the application has answered what came before it, if it
        # still can and takes no longer than its time.
        return (
            self._driver.ready_state is not _OPEN
            or not (self._messages or self._is_answering())
            or time.monotonic() >= self._end_deadline
        )

    def _is_answering(self) -> bool:
        # Who asks for what comes next has done with what came before.
        return (self._busy and self._worker not in self._asking) or self._has_reader()

    def _has_reader(self) -> bool:
        """Return whether a greenlet that has received a message may come for the next."""
        serving = self._serving
        return serving is not None and not serving.dead and serving not in self._asking

    def _sort(self, events: list[DriverEvent]) -> None:
        for event in events:
            if isinstance(event, Message):
                self._add_message(event.data)
            elif isinstance(event, Pong):
                self._receive_pong(event.data)
            elif isinstance(event, Open):
                self._announce("open")
                self._opened()
                self._on_open()
            elif isinstance(event, Close):
                self._ending = event

    def _add_message(self, data: str | bytes) -> None:
        if self._is_dropping:
            return
        if self._messages is None:
            self._messages = deque()
        self._messages.append(data)
        self._inbox_weight += getsizeof(data) + PLACE

    def _next_message(self) -> str | bytes | None:
        """Take the next message, if another thread has not just taken the last."""
        messages = self._messages
        if not messages:
            return None
        try:
            message = messages.popleft()
        except IndexError:
            return None
        self._inbox_weight -= getsizeof(message) + PLACE
        if not messages:
            self._messages = None
            if self._exchange is None:
                # A string may have grown: Python keeps its UTF-8 when it was asked for.
                self._inbox_weight = 0
            if self._stalled or self._is_behind:
                self._advance_soon()
        return message

    def _settle(self) -> None:
        """Count what other threads have taken from the inbox."""
        if self._exchange is not None:
            self._inbox_weight -= self._exchange.settle()

    def _give_back(self, message: str | bytes) -> None:
        """Put a message back that was taken for somebody who is gone."""
        if self._messages is None:
            self._messages = deque()
        self._messages.appendleft(message)
        self._inbox_weight += getsizeof(message) + PLACE
        self._serving = None
        self._advance_soon()

    def _is_inbox_full(self) -> bool:
        self._settle()
        return self._inbox_weight > _MAX_INBOX

    def _expect_pong(self, data: bytes, callback: PongCallback | None) -> None:
        self._pings = [*(self._pings or ()), (data, callback)][-_MAX_PINGS:]

    def _receive_pong(self, data: bytes) -> None:
        # RFC 6455, 5.5.3: a peer "MAY elect to send a Pong frame for only the most
        # recently processed Ping frame", so a pong answers the pings before it, too.
        pings = self._pings or []
        for index, (message, _) in enumerate(pings):
            if message == data:
                for _, callback in pings[: index + 1]:
                    if callback is not None:
                        self._add_notice(callback)
                self._pings = pings[index + 1 :] or None
                return

    def _finish(self, close: Close) -> None:
        self._serving = None
        self._pings = None
        logger.debug("closed: %s %s", int(close.code), close.reason)
        if close.error is not None and self._has_listener("error"):
            self._add_notice(ErrorEvent("error", self, close.error))
        self._announce("end")
        if self._has_listener("close"):
            self._add_notice(CloseEvent("close", self, close.code, close.reason, close.was_clean))
        # After the notices, so that other threads see that not all is over.
        self._closed = (close.code, close.reason, close.was_clean)
        self._close_transport()
        self._notify()

    def forget(self) -> None:
        """Let go of the connection, and of all who wait for it."""
        super().forget()
        self._ending = None
        self._closed = self._closed or (CloseCode.ABNORMAL_CLOSURE, "", False)
        self._busy = False
        self._notices = None
        if self._exchange is not None:
            self._exchange.wake()

    def disown(self) -> None:
        """Forget the connection and its messages, which are another process's."""
        super().disown()
        self._messages = None
        self._inbox_weight = 0

    def _on_drain(self) -> None:
        self._notify()
        self._announce("drain")
        self._advance_soon()

    def _on_release(self) -> None:
        self._notify()

    def _announce(self, type: str) -> None:
        if self._has_listener(type):
            self._add_notice(Event(type, self))

    def _add_notice(self, notice: Event | PongCallback) -> None:
        if self._notices is None:
            self._notices = deque()
        self._notices.append(notice)

    # To greenlets that wait

    def _ask(self, asker: greenlet) -> None:
        """Take what there is, for a greenlet that has done with all that came before."""
        self._asking.append(asker)
        try:
            self._take()
        finally:
            self._asking.remove(asker)

    def _wait_asking(self, asker: greenlet, deadline: float, failure: str) -> None:
        """Wait for something to change, or raise `TimeoutError` at the deadline."""
        left = None if deadline == NEVER else deadline - time.monotonic()
        if left is not None and left <= 0:
            raise TimeoutError(failure)
        self._asking.append(asker)
        try:
            self._wait(left)
        finally:
            self._asking.remove(asker)

    def _wait(self, timeout: float | None) -> None:
        if self._waiting is None:
            assert self._reactor is not None
            self._waiting = WaitQueue(self._reactor.hub)
        self._waiting.wait(timeout)

    def _wait_heard(self, asker: greenlet) -> None:
        """Let the listeners hear of the end, if that does not take them too long."""
        deadline = time.monotonic() + _END_GRACE
        while self._busy or self._notices:
            left = deadline - time.monotonic()
            if left <= 0 or self._reactor is None or asker is self._worker:
                return
            self._advance_soon()
            self._wait(left)

    def _notify(self) -> None:
        if self._waiting:
            self._waiting.notify()
        if self._exchange is not None:
            self._exchange.wake()

    # To listeners

    def _has_work(self) -> bool:
        return bool(self._notices or (self._messages and self._may_dispatch()))

    def _may_dispatch(self) -> bool:
        # As in the DOM, listeners hear no messages once we have begun to close.
        return (
            (self._hears_messages or self._hears_data)
            and not self._paused
            and self._driver.ready_state is _OPEN
        )

    def _work(self) -> None:
        """Run listeners until there is nothing to hear. In a worker greenlet."""
        try:
            if self._thread is None:
                self._run_in_context(self._run_listeners)
            else:
                self._run_listeners()
        finally:
            self._worker = None
            self._busy = False
            self._notify()
            self._forget_listeners_at_end()

    def _run_in_context(self, function: Callable[..., object], *args: object) -> None:
        if self._context is None:
            # An empty one: nothing leaks from the view that made the connection, nor from
            # another connection that this worker has served.
            self._context = Context()
        self._worker = getcurrent()
        self._context.run(function, *args)

    def _run_listener(self, function: Callable[..., object], *args: object) -> None:
        """Run listeners where they belong: here, or in the thread that made the connection."""
        if self._thread is None:
            function(*args)
        else:
            assert self._reactor is not None
            self._thread.call(self._reactor, self._run_in_context, function, *args)

    def _run_listeners(self) -> None:
        while True:
            if self._messages and self._may_dispatch() and not self._is_opening():
                message = self._next_message()
                if message is not None:
                    self._dispatch_message(message)
            elif self._notices:
                self._dispatch_notice(self._notices.popleft())
            else:
                self._notices = None
                self._busy = False
                if self._serving is self._worker:
                    self._serving = None
                if self._ending is not None:
                    self._take_end()
                if not self._has_work():
                    return
                self._busy = True

    def _forget_listeners_at_end(self) -> None:
        # They are closures that hold the connection: without the circle, it is freed at
        # once, and not when the garbage collector comes.
        if self._closed is not None and not self._busy and not self._notices:
            self._listeners = ()

    def _is_opening(self) -> bool:
        # The notice that the connection is open comes before all messages; the others
        # come after those that are there.
        first = self._notices[0] if self._notices else None
        return isinstance(first, Event) and first.type == "open"

    def _dispatch_notice(self, notice: Event | PongCallback) -> None:
        if isinstance(notice, Event):
            self._run_listener(self.dispatch_event, notice)
        else:
            self._run_listener(self._call, notice)

    def _dispatch_message(self, data: str | bytes) -> None:
        if self._hears_messages:
            self._run_listener(self.dispatch_event, MessageEvent("message", self, data))
        if self._hears_data:
            self._run_listener(self.dispatch_event, MessageEvent("data", self, data))

    def _listener_raised(self, error: BaseException) -> None:
        if isinstance(error, GreenletExit) or (
            isinstance(error, ConnectionClosed) and self._closed is not None
        ):
            # Killed, or ended by the end of its connection: that is no fault.
            logger.debug("a listener ended: %r", error)
        else:
            logger.error("a listener raised", exc_info=error)
        if self._reactor is not None and self._reactor.is_foreign():
            self._reactor.post(self._fail_because_of_listener)
        else:
            self._fail_because_of_listener()
        if isinstance(error, (KeyboardInterrupt, SystemExit, SystemError)):
            if self._reactor is None or self._thread is not None:
                raise error
            self._reactor.hub.handle_system_error(type(error), error, error.__traceback__)

    def _fail_because_of_listener(self) -> None:
        if self._driver.leave(CloseCode.INTERNAL_ERROR, "a listener raised"):
            self._begin_closing()

    def _set_listeners(self, listeners: tuple[tuple[str, Listener, Any], ...]) -> None:
        super()._set_listeners(listeners)
        self._hears_messages = self._has_listener("message")
        self._hears_data = self._has_listener("data")
        if self._messages and not self._busy:
            self._advance_soon()
