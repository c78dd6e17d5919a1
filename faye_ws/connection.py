"""A WebSocket connection as the application holds it, whichever end of it we are.

      transport --bytes--> driver --events--> queues --> listeners, in a worker greenlet
          ^                  ^                       `-> receive(), in the caller's
          |                  |
          `---- bytes ----<--'-<---- send() ping() close(), from any greenlet or thread

The hub pushes from the left (`data_received`), the application pulls at the right. A
message belongs to whoever asks first: a `receive()` that waits, else the listeners, else
the next `receive()`.

The law of this file: what the application does never keeps the hub from answering pings,
from noticing the end, or from serving other connections; and no event overtakes another,
but for the end when the application has had its time.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from contextvars import Context
from typing import Any, TypeVar

from gevent import GreenletExit
from greenlet import getcurrent

from .constants import (
    DEFAULT_CLOSE_TIMEOUT,
    DEFAULT_MAX_BACKLOG,
    DEFAULT_PING_TIMEOUT,
    CloseCode,
    ReadyState,
)
from .driver.base import Driver
from .driver.events import Close, Message, Open, Pong
from .driver.events import Event as DriverEvent
from .errors import ConnectionClosed
from .events import (
    CloseEvent,
    ErrorEvent,
    Event,
    EventTarget,
    Listener,
    MessageEvent,
    event_handler,
    logger,
)
from .runtime.reactor import Reactor, current_reactor
from .runtime.transport import Transport, open_transport
from .runtime.waiting import WaitQueue

Data = str | bytes | bytearray | memoryview
_T = TypeVar("_T")

# Messages that wait for the application may weigh this much before the peer has to wait.
# Each weighs its length and what Python needs to hold it.
_MAX_INBOX = 2**20
_MESSAGE_WEIGHT = 64
# Replies of one batch are held together up to this many bytes.
_MAX_CORKED = 2**16
# Seconds the application has to answer what came before the end of the connection.
_END_GRACE = 1.0
# Seconds the peer has to close its side of TCP after the closing handshake.
_LINGER = 5.0
# Pings whose pong has not come; a peer that answers none must not fill our memory.
_MAX_PINGS = 256

_CLEAN_CODES = (CloseCode.NORMAL_CLOSURE, CloseCode.GOING_AWAY, CloseCode.NO_STATUS_RECEIVED)
_NEVER = float("inf")
_OPEN = ReadyState.OPEN


class Connection(EventTarget):
    """A WebSocket connection.

    It is an event target: `open`, `message`, `error`, `close`, and as a stream `data`,
    `drain`, `end`. It also blocks: `receive()`, iteration and `wait_closed()`, where only
    the calling greenlet waits. Both ways may be mixed.
    """

    __slots__ = (
        "_backlogged",
        "_busy",
        "_close_deadline",
        "_close_timeout",
        "_closed",
        "_context",
        "_corked",
        "_driver",
        "_end_deadline",
        "_heard",
        "_hears_data",
        "_hears_messages",
        "_inbox_weight",
        "_listening",
        "_max_backlog",
        "_messages",
        "_notices",
        "_paused",
        "_ping",
        "_ping_deadline",
        "_ping_timeout",
        "_pings",
        "_queued",
        "_reactor",
        "_serving",
        "_silence_deadline",
        "_slot",
        "_stalled",
        "_transport",
        "_waiting",
        "url",
    )

    event_types = frozenset(("open", "message", "data", "drain", "end", "error", "close"))

    CONNECTING = ReadyState.CONNECTING
    OPEN = ReadyState.OPEN
    CLOSING = ReadyState.CLOSING
    CLOSED = ReadyState.CLOSED

    onopen = event_handler()
    onmessage = event_handler()
    onerror = event_handler()
    onclose = event_handler()

    def __init__(
        self,
        driver: Driver,
        url: str,
        *,
        ping: float | None = None,
        ping_timeout: float | None = DEFAULT_PING_TIMEOUT,
        close_timeout: float = DEFAULT_CLOSE_TIMEOUT,
        max_backlog: int = DEFAULT_MAX_BACKLOG,
    ) -> None:
        super().__init__()
        self._listening = self._hears_messages = self._hears_data = False
        self.url = url
        self._driver = driver
        self._ping = _check_seconds("ping", ping)
        self._ping_timeout = _check_seconds("ping_timeout", ping_timeout)
        timeout = _check_seconds("close_timeout", close_timeout)
        if timeout is None:
            raise ValueError("close_timeout must be a number of seconds")
        self._close_timeout = timeout
        if max_backlog < 1:
            raise ValueError(f"max_backlog must be at least 1 byte, not {max_backlog}")
        self._max_backlog = max_backlog
        # Both None until there is a socket.
        self._reactor: Reactor | None = None
        self._transport: Transport | None = None
        self._context: Context | None = None
        # What the application has yet to get.
        self._messages: deque[str | bytes] | None = None
        self._inbox_weight = 0
        self._notices: list[Event | Callable[[], None]] | None = None
        self._closed: CloseEvent | None = None
        # What it has asked for.
        self._queued: list[Callable[[], object]] | None = None
        self._pings: list[tuple[bytes, Callable[[], object] | None]] | None = None
        self._waiting: WaitQueue | None = None
        self._paused = False
        self._stalled = False
        # Where it is: a worker runs listeners; a message was received and not yet
        # answered; bytes sent that are held together (None: they go out at once).
        self._busy = False
        self._serving = False
        self._corked: int | None = None
        self._backlogged = False
        # Deadlines, in seconds of time.monotonic().
        self._slot: int | None = None
        self._heard = False
        self._ping_deadline = _NEVER
        self._silence_deadline = _NEVER
        self._end_deadline = _NEVER
        self._close_deadline = _NEVER

    # The standard attributes

    @property
    def ready_state(self) -> ReadyState:
        """`CONNECTING`, `OPEN`, `CLOSING` or `CLOSED`."""
        if self._closed is not None:
            return ReadyState.CLOSED
        state = self._driver.ready_state
        if state is ReadyState.CONNECTING and self._is_close_queued():
            return ReadyState.CLOSING
        return state

    @property
    def buffered_amount(self) -> int:
        """The bytes sent that the network has not taken yet, frame headers included."""
        return self._transport.backlog if self._transport is not None else 0

    @property
    def protocol(self) -> str:
        """The subprotocol in use, or an empty string."""
        return self._driver.protocol or ""

    @property
    def extensions(self) -> str:
        """The extensions in use, as in the header; an empty string when there are none."""
        return ""

    @property
    def version(self) -> str:
        """The version of the protocol: `hybi-13`."""
        return self._driver.version

    # Sending

    def send(self, message: Data) -> bool:
        """Send a message: `str` as text, bytes-like objects as binary.

        Before the connection is open it is queued. When more than `max_backlog` bytes wait
        for a slow peer, the calling greenlet waits until half of them are gone.

        Returns:
            True, or False if the connection is closing or closed: then nothing is sent.

        Raises:
            TypeError: the message is neither.
            ValueError: the text has a lone surrogate, so it has no form in UTF-8.
        """
        if self._is_foreign():
            return self._hand_over(lambda: self.send(message))
        if isinstance(message, str):
            sent = self._driver.text(message)
        elif isinstance(message, bytes):
            sent = self._driver.binary(message)
        elif isinstance(message, (bytearray, memoryview)):
            message = bytes(message)
            sent = self._driver.binary(message)
        else:
            raise TypeError(f"a message must be str or bytes, not {type(message).__name__}")
        if not sent:
            return self._queue(lambda: self.send(message))
        if self._corked is not None:
            self._corked += len(message)
            if self._corked < _MAX_CORKED:
                return True
            self._corked = 0
        self._flush()
        if self._backlogged:
            self._wait_for_drain()
        return True

    def ping(
        self, message: str | bytes = b"", callback: Callable[[], object] | None = None
    ) -> bool:
        """Send a ping (RFC 6455, 5.5.2).

        Args:
            message: at most 125 bytes, which come back in the pong.
            callback: called without arguments when the pong comes, or that of a later ping.

        Returns:
            True, or False if the connection is closing or closed.

        Raises:
            ValueError: the message is over 125 bytes.
        """
        if self._is_foreign():
            return self._hand_over(lambda: self.ping(message, callback))
        data = message.encode() if isinstance(message, str) else bytes(message)
        if not self._driver.ping(data):
            return self._queue(lambda: self.ping(data, callback))
        if callback is not None:
            self._pings = [*(self._pings or ()), (data, callback)][-_MAX_PINGS:]
        self._flush_unless_corked()
        return True

    def close(self, code: int = CloseCode.NORMAL_CLOSURE, reason: str = "") -> None:
        """Begin the closing handshake (RFC 6455, 7.1.2), and do not wait for it.

        It has `close_timeout` seconds; then the connection is dropped. Closing again does
        nothing. Before the connection is open, it opens first, and what is queued is sent.

        Args:
            code: 1000 or 3000-4999; a server may also use 1001-1003 and 1007-1014.
            reason: at most 123 bytes of UTF-8.

        Raises:
            TypeError, ValueError: the code or reason is not one to close with.
        """
        if self._is_foreign():
            self._hand_over(lambda: self.close(code, reason))
        elif self._driver.close(code, reason):
            self._begin_closing()
        elif self._closed is None and self._driver.ready_state is ReadyState.CONNECTING:
            self._queue(_QueuedClose(self, code, reason))

    def _queue(self, action: Callable[[], object]) -> bool:
        if self._driver.ready_state is not ReadyState.CONNECTING or self._is_close_queued():
            return False
        if self._queued is None:
            self._queued = []
        self._queued.append(action)
        return True

    def _is_close_queued(self) -> bool:
        queued = self._queued
        return queued is not None and isinstance(queued[-1], _QueuedClose)

    def _begin_closing(self) -> None:
        self._flush()
        self._close_deadline = time.monotonic() + self._close_timeout
        self._set_heartbeat()
        # The peer's close may have come before ours: then this was the answer to it.
        self._advance_soon()

    def _flush_unless_corked(self) -> None:
        if self._corked is None:
            self._flush()

    def _flush(self) -> None:
        data = self._driver.data_to_send()
        transport = self._transport
        if not data or transport is None:
            return
        transport.write(data)
        if transport.backlog > self._max_backlog and not self._backlogged:
            self._backlogged = True
            self._govern_reading()

    def _wait_for_drain(self) -> None:
        if self._reactor is not None and getcurrent() is self._reactor.hub:
            # The hub can't wait, and memory has its bound.
            logger.debug("a slow peer is dropped: the hub can't wait for it")
            self._drop()
            return
        transport = self._transport
        while (
            transport is not None
            and transport.backlog > self._max_backlog // 2
            and self._closed is None
        ):
            self._wait(None)

    # Receiving

    def receive(self, timeout: float | None = None) -> str | bytes:
        """Return the next message: `str` for text, `bytes` for binary.

        Args:
            timeout: how many seconds to wait for it at most; None is for ever.

        Raises:
            TimeoutError: none has come in time. None is lost either.
            ConnectionClosed: the connection is closed, so none will come.
        """
        if self._is_foreign():
            return self._hand_over(lambda: self.receive(timeout))
        self._open()
        deadline = None if timeout is None else time.monotonic() + timeout
        self._serving = False
        while not self._messages:
            self._take()
            if self._messages:
                break
            if self._closed is not None:
                raise ConnectionClosed(
                    self._closed.code, self._closed.reason, self._closed.was_clean
                )
            self._wait_until(deadline, "no message has come")
        self._serving = True
        return self._next_message()

    def __iter__(self) -> Iterator[str | bytes]:
        """Iterate over the messages until the connection is closed.

        Raises:
            ConnectionClosed: it was closed with another code than 1000, 1001 or 1005.
        """
        while True:
            try:
                message = self.receive()
            except ConnectionClosed as error:
                if error.code in _CLEAN_CODES:
                    return
                raise
            yield message

    def wait_closed(self, timeout: float | None = None) -> CloseEvent:
        """Wait until the connection is closed, and return its close event.

        Raises:
            TimeoutError: it is not closed after `timeout` seconds.
        """
        if self._is_foreign():
            return self._hand_over(lambda: self.wait_closed(timeout))
        self._open()
        deadline = None if timeout is None else time.monotonic() + timeout
        self._serving = False
        while self._closed is None:
            self._take()
            if self._closed is None:
                self._wait_until(deadline, "the connection is not closed")
        return self._closed

    def _wait_until(self, deadline: float | None, failure: str) -> None:
        if deadline is None:
            self._wait(None)
            return
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError(failure)
        self._wait(left)

    def _wait(self, timeout: float | None) -> None:
        if self._waiting is None:
            assert self._reactor is not None
            self._waiting = WaitQueue(self._reactor.hub)
        self._waiting.wait(timeout)

    def _notify(self) -> None:
        if self._waiting:
            self._waiting.notify()

    def _next_message(self) -> str | bytes:
        messages = self._messages
        assert messages is not None
        message = messages.popleft()
        self._inbox_weight -= len(message) + _MESSAGE_WEIGHT
        if not messages:
            self._messages = None
            if self._stalled:
                self._govern_reading()
        return message

    # A stream

    def write(self, message: Data) -> bool:
        """Send a message; the same as `send`."""
        return self.send(message)

    def end(self, message: Data | None = None) -> None:
        """Send a last message, if there is one, and close."""
        if message is not None:
            self.send(message)
        self.close()

    def pause(self) -> None:
        """Let messages wait, and in the end the peer, until `resume`."""
        if self._is_foreign():
            self._hand_over(self.pause)
            return
        self._paused = True
        self._govern_reading()

    def resume(self) -> None:
        """Let messages come again."""
        if self._is_foreign():
            self._hand_over(self.resume)
            return
        self._paused = False
        self._govern_reading()
        self._advance_soon()

    def pipe(self, destination: Any) -> Any:
        """Write every message to `destination`, and end it when the connection ends.

        `destination` has `write(data)` and `end()`, as a connection has; where it has only
        `close()`, as a file has, that is called. While `write` blocks, messages wait.

        Returns:
            `destination`, so that pipes can be chained.
        """
        finish = getattr(destination, "end", None) or destination.close
        self.on("data", lambda event: destination.write(event.data))
        self.on("end", lambda event: finish())
        return destination

    # The transport's reports; all of them come from the hub

    def _attach(self, sock: Any, early: bytes, keep_socket: bool) -> None:
        """Take over a socket, and the bytes that were read from it before."""
        reactor = self._reactor = current_reactor()
        reactor.members.add(self)
        self._transport = open_transport(sock, reactor.loop, self, keep_socket)
        self._driver.start()
        if self._ping is not None:
            self._ping_deadline = time.monotonic() + self._ping
            self._set_heartbeat()
        self._flush()
        reactor.loop.run_callback(self.data_received, early)

    def data_received(self, data: bytes) -> None:
        """Take bytes that have come."""
        self._heard = True
        if data:
            self._driver.receive_data(data)
        self._corked = 0
        self._advance()
        self._corked = None
        self._flush()

    def eof_received(self) -> None:
        """Take note that no more bytes will come."""
        self._driver.receive_eof()
        self._advance()

    def drained(self) -> None:
        """Take note that all that was sent is on its way."""
        self._heard = True
        if self._backlogged:
            self._backlogged = False
            self._govern_reading()
            self._notify()
            self._announce("drain")
            self._advance_soon()

    def released(self) -> None:
        """Take note that the socket is gone."""
        self._transport = None
        self._cancel_heartbeat()
        if self._reactor is not None:
            self._reactor.members.discard(self)
        if self._closed is None:
            self._drop()
        self._notify()

    def forked(self) -> None:
        """Forget the connection: it belongs to the parent process."""
        if self._transport is not None:
            self._transport.forget()

    # From the driver's events to the application

    def _advance(self) -> None:
        """Bring what the driver has to tell to whoever is to hear it. For the hub."""
        self._take()
        self._notify()
        if not self._busy and self._has_work():
            assert self._reactor is not None
            self._busy = True
            self._reactor.workers.run(self._work)
        if self._inbox_weight > _MAX_INBOX:
            self._govern_reading()

    def _advance_soon(self) -> None:
        if self._reactor is not None:
            self._reactor.loop.run_callback(self._advance)

    def _has_work(self) -> bool:
        return bool(self._notices or (self._messages and self._may_dispatch()))

    def _may_dispatch(self) -> bool:
        # As in the DOM, listeners hear no messages once we have begun to close.
        return self._listening and not self._paused and self._driver.ready_state is _OPEN

    def _take(self) -> None:
        if not self._driver.is_ending:
            self._sort(self._driver.events())
        if self._driver.is_ending:
            self._take_end()

    def _take_end(self) -> None:
        if self._may_end():
            self._sort(self._driver.events())
        elif self._end_deadline == _NEVER:
            self._end_deadline = time.monotonic() + _END_GRACE
            self._set_heartbeat()

    def _may_end(self) -> bool:
        # The end waits until the application has answered what came before it, if it
        # still can and takes no longer than its time.
        return (
            self._driver.ready_state is not _OPEN
            or not (self._messages or self._busy or self._serving)
            or time.monotonic() >= self._end_deadline
        )

    def _sort(self, events: list[DriverEvent]) -> None:
        for event in events:
            if isinstance(event, Message):
                self._add_message(event.data)
            elif isinstance(event, Pong):
                self._receive_pong(event.data)
            elif isinstance(event, Open):
                self._announce("open")
                self._send_queued()
            elif isinstance(event, Close):
                self._finish(event)

    def _add_message(self, data: str | bytes) -> None:
        if self._driver.ready_state is not _OPEN and (
            self._listening or self._is_inbox_full()
        ):
            # Nobody is going to hear it, and the peer's close is still to come.
            return
        if self._messages is None:
            self._messages = deque()
        self._messages.append(data)
        self._inbox_weight += len(data) + _MESSAGE_WEIGHT

    def _send_queued(self) -> None:
        queued, self._queued = self._queued, None
        for action in queued or ():
            action()

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
        self._closed = CloseEvent("close", self, close.code, close.reason, close.was_clean)
        self._queued = None
        self._pings = None
        logger.debug("closed: %s %s", close.code, close.reason)
        if close.error is not None and self._has_listener("error"):
            self._add_notice(ErrorEvent("error", self, close.error))
        self._announce("end")
        if self._has_listener("close"):
            self._add_notice(self._closed)
        self._flush()
        if self._transport is not None:
            self._ping_deadline = self._silence_deadline = self._end_deadline = _NEVER
            self._close_deadline = time.monotonic() + min(_LINGER, self._close_timeout)
            self._set_heartbeat()
            self._transport.close()
        self._notify()

    def _announce(self, type: str) -> None:
        if self._has_listener(type):
            self._add_notice(Event(type, self))

    def _add_notice(self, notice: Event | Callable[[], object]) -> None:
        if self._notices is None:
            self._notices = []
        self._notices.append(notice)  # type: ignore[arg-type]

    # Listeners

    def _work(self) -> None:
        """Run listeners until there is nothing to hear. In a worker greenlet."""
        if self._context is None:
            # An empty one: nothing leaks from the view that made the connection, nor from
            # another connection that this worker has served.
            self._context = Context()
        try:
            self._context.run(self._run_listeners)
        finally:
            self._busy = False

    def _run_listeners(self) -> None:
        while True:
            if self._notices and not (self._messages and self._is_message_next()):
                notice = self._notices.pop(0)
                if not self._notices:
                    self._notices = None
                if isinstance(notice, Event):
                    self.dispatch_event(notice)
                else:
                    self._call(notice)
            elif self._messages and self._is_message_next():
                self._dispatch_message(self._next_message())
            else:
                self._busy = self._serving = False
                if self._driver.is_ending:
                    self._take_end()
                if not self._has_work():
                    return
                self._busy = True

    def _is_message_next(self) -> bool:
        # A notice that the connection is open comes before the messages, all others after.
        notices = self._notices
        if notices:
            first = notices[0]
            if isinstance(first, Event) and first.type == "open":
                return False
        return self._may_dispatch()

    def _dispatch_message(self, data: str | bytes) -> None:
        if self._hears_messages:
            self.dispatch_event(MessageEvent("message", self, data))
        if self._hears_data:
            self.dispatch_event(MessageEvent("data", self, data))

    def _listener_raised(self, error: BaseException) -> None:
        if isinstance(error, (GreenletExit, ConnectionClosed)):
            # Killed, or ended by the end of the connection: that is no fault.
            logger.debug("a listener ended: %r", error)
        else:
            logger.error("a listener raised", exc_info=error)
        if self._driver.fail("a listener raised"):
            self._begin_closing()
        if isinstance(error, (KeyboardInterrupt, SystemExit, SystemError)):
            if self._reactor is None:
                raise error
            self._reactor.hub.handle_error(self, type(error), error, error.__traceback__)

    def _set_listeners(self, listeners: tuple[tuple[str, Listener, Any], ...]) -> None:
        super()._set_listeners(listeners)
        was_listening = self._listening
        self._hears_messages = self._has_listener("message")
        self._hears_data = self._has_listener("data")
        self._listening = self._hears_messages or self._hears_data
        if self._listening and not was_listening and self._messages:
            self._advance_soon()

    # Flow

    def _govern_reading(self) -> None:
        """Read, unless somebody can't follow: the application, or the peer."""
        transport = self._transport
        if transport is None:
            return
        self._stalled = self._paused or self._backlogged or self._is_inbox_full()
        if self._stalled:
            transport.pause_reading()
        else:
            transport.resume_reading()

    def _is_inbox_full(self) -> bool:
        return self._inbox_weight > _MAX_INBOX

    # Deadlines

    def beat(self, now: float) -> None:
        """Do what is due. From the heartbeat, in the hub."""
        self._slot = None
        if now >= self._close_deadline:
            self._drop()
            return
        if now >= self._end_deadline:
            self._advance()
        if now >= self._silence_deadline:
            self._check_silence()
        if now >= self._ping_deadline and self._ping is not None:
            self._ping_deadline = now + self._ping
            self._send_ping(now)
        self._set_heartbeat()

    def _send_ping(self, now: float) -> None:
        if self._driver.ping():
            self._flush_unless_corked()
            if self._ping_timeout is not None and self._silence_deadline == _NEVER:
                self._heard = False
                self._silence_deadline = now + self._ping_timeout

    def _check_silence(self) -> None:
        self._silence_deadline = _NEVER
        transport = self._transport
        if transport is None or self._heard:
            return
        # A process that was busy has not read yet what came in time, and one that does not
        # want to read can't hear anything.
        transport.poll()
        if not (self._heard or self._paused or self._is_inbox_full()):
            logger.debug("a silent peer is dropped")
            self._drop()

    def _set_heartbeat(self) -> None:
        deadline = min(
            self._ping_deadline,
            self._silence_deadline,
            self._end_deadline,
            self._close_deadline,
        )
        self._cancel_heartbeat()
        if deadline != _NEVER and self._transport is not None:
            assert self._reactor is not None
            self._slot = self._reactor.heartbeat.add(self, deadline)

    def _cancel_heartbeat(self) -> None:
        if self._slot is not None and self._reactor is not None:
            self._reactor.heartbeat.discard(self, self._slot)
            self._slot = None

    def _drop(self) -> None:
        """End the connection without the peer."""
        if self._transport is not None:
            self._transport.abort()
        self._driver.receive_eof()
        self._end_deadline = 0.0
        self._advance_soon()

    def _is_foreign(self) -> bool:
        return self._reactor is not None and self._reactor.is_foreign()

    def _hand_over(self, function: Callable[[], _T]) -> _T:
        assert self._reactor is not None
        return self._reactor.hand_over(function)

    def _open(self) -> None:
        """Begin the connection, if that has not happened. Where it can't be, wait."""


class _QueuedClose:
    """A close that waits for the connection to open, behind what was sent before it."""

    __slots__ = ("_code", "_connection", "_reason")

    def __init__(self, connection: Connection, code: int, reason: str) -> None:
        self._connection = connection
        self._code = code
        self._reason = reason

    def __call__(self) -> None:
        self._connection.close(self._code, self._reason)


def _check_seconds(name: str, value: float | None) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name} must be a number of seconds, not {value!r}")
    if not 0 < value < _NEVER:
        raise ValueError(f"{name} must be more than 0 seconds, not {value}")
    return value
