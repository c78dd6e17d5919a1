"""A WebSocket connection as the application holds it, whichever end of it we are.

The law of this file: whatever may wait, waits in the calling greenlet only; whatever is
called from another thread than the connection's is handed over to it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from greenlet import getcurrent, greenlet

from ..constants import (
    DEFAULT_CLOSE_TIMEOUT,
    DEFAULT_MAX_BACKLOG,
    DEFAULT_PING_TIMEOUT,
    DEFAULT_SEND_TIMEOUT,
    NEVER,
    CloseCode,
    Opcode,
    ReadyState,
)
from ..driver.base import Driver
from ..driver.prepared import PreparedMessage
from ..errors import ConnectionClosed
from ..events import CloseEvent, event_handler, logger
from ..runtime.seconds import deadline_after
from .dispatcher import PongCallback
from .sharing import NO_MESSAGE, SharedDispatcher

Data = str | bytes | bytearray | memoryview

# Replies of one batch are held together up to this many bytes.
_MAX_CORKED = 2**16

_NOT_CLOSED = "the connection is not closed"

_CLEAN_CODES = (CloseCode.NORMAL_CLOSURE, CloseCode.GOING_AWAY, CloseCode.NO_STATUS_RECEIVED)


class Connection(SharedDispatcher):
    """A WebSocket connection.

    It is an event target: `open`, `message`, `error`, `close`, and as a stream `data`,
    `drain`, `end`. It also blocks: `receive()`, iteration and `wait_closed()`, where only
    the calling greenlet waits. Both ways may be mixed.
    """

    __slots__ = ("__weakref__", "_queued", "url")

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
        send_timeout: float | None = DEFAULT_SEND_TIMEOUT,
        max_backlog: int = DEFAULT_MAX_BACKLOG,
    ) -> None:
        super().__init__(driver, ping, ping_timeout, close_timeout, send_timeout, max_backlog)
        self.url = url
        # What was asked for before the connection was open.
        self._queued: list[Callable[[], object]] | None = None

    def _open(self) -> None:
        """Begin the connection, if that has not happened."""
        raise NotImplementedError

    def _on_open(self) -> None:
        queued, self._queued = self._queued, None
        for action in queued or ():
            action()

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
        return self._driver.extensions

    @property
    def version(self) -> str:
        """The version of the protocol: `hybi-13`, or one of the drafts `hixie-76`, `hixie-75`."""
        return self._driver.version

    # Sending

    def send(self, message: Data) -> bool:
        """Send a message: `str` as text, bytes-like objects as binary.

        Before the connection is open it is queued. When more than `max_backlog` bytes wait
        for a slow peer, the calling greenlet waits until they are gone.

        Returns:
            True, or False if the connection is closing or closed, or the message binary and
            the version one of the drafts that have text only: then nothing is sent. False,
            too, if the connection is lost while the message waits for the peer.

        Raises:
            TypeError: the message is neither.
            ValueError: the text has a lone surrogate, so it has no form in UTF-8.
        """
        data = check_data(message)
        if self._is_foreign():
            return self._post_message(data) or self._hand_over(lambda: self.send(data))
        if not self._send_data(data):
            return self._not_sent(isinstance(data, str), lambda: self._send_data(data))
        self._flush_or_hold_back(len(data))
        return not self._backlogged or self._wait_for_drain()

    def _send_data(self, data: str | bytes) -> bool:
        return self._driver.text(data) if isinstance(data, str) else self._driver.binary(data)

    def send_prepared(self, message: PreparedMessage) -> bool:
        """Send a message of a broadcast, and do not wait: a slow peer is dropped.

        Returns:
            True, or False if the connection is dropped, closing or closed.
        """
        if self._is_foreign():
            assert self._reactor is not None
            is_open = self.ready_state is ReadyState.OPEN
            return self._reactor.post(self.send_prepared, message) and is_open
        if self.buffered_amount > self._max_backlog:
            logger.debug("a slow peer is dropped by a broadcast")
            self._drop()
            return False
        if not self._driver.send_prepared(message):
            is_text = message.opcode is Opcode.TEXT
            return self._not_sent(is_text, lambda: self._driver.send_prepared(message))
        self._flush_or_hold_back(len(message.data))
        return True

    def _not_sent(self, is_text: bool, again: Callable[[], object]) -> bool:
        if self._driver.is_text_only and not is_text:
            return False
        if self._driver.ready_state is ReadyState.OPEN:
            # An extension has failed, and that ends the connection.
            self._advance_soon()
        return self._queue(again)

    def _flush_or_hold_back(self, length: int) -> None:
        if self._corked is not None:
            self._corked += length
            if self._corked < _MAX_CORKED:
                return
            self._corked = 0
        self._flush()

    def ping(self, message: Data = b"", callback: PongCallback | None = None) -> bool:
        """Send a ping (RFC 6455, 5.5.2).

        Args:
            message: at most 125 bytes, which come back in the pong.
            callback: called without arguments when the pong comes, or that of a later ping.

        Returns:
            True, or False if the connection is closing or closed, or the version has no pings.

        Raises:
            TypeError: the message is neither `str` nor bytes-like.
            ValueError: the message is over 125 bytes.
        """
        if self._is_foreign():
            return self._hand_over(lambda: self.ping(message, callback))
        data = check_data(message)
        data = data.encode() if isinstance(data, str) else data
        if not self._driver.ping(data):
            can_ping = not self._driver.is_text_only
            return can_ping and self._queue(lambda: self.ping(data, callback))
        if callback is not None:
            self._expect_pong(data, callback)
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

    def _wait_for_drain(self) -> bool:
        """Wait until the peer has taken what waits for it; tell whether it has."""
        if self._reactor is not None and getcurrent() is self._reactor.hub:
            # The hub can't wait, and memory has its bound.
            logger.debug("a slow peer is dropped: the hub can't wait for it")
            self._drop()
            return False
        while self._backlogged and self._closed is None:
            self._wait(None)
        return not self._backlogged

    # Receiving

    def receive(self, timeout: float | None = None) -> str | bytes:
        """Return the next message: `str` for text, `bytes` for binary.

        Args:
            timeout: how many seconds to wait for it at most; None is for ever.

        Raises:
            TimeoutError: none has come in time. None is lost either.
            TypeError, ValueError: the timeout is no number.
            ConnectionClosed: the connection is closed, so none will come.
        """
        self._open()
        me = getcurrent()
        deadline = deadline_after(timeout)
        if self._is_foreign():
            if self._waits_in_thread():
                return self._receive_in_thread(me, deadline)
            return self._hand_over(
                lambda: self._receive(me, NEVER), deadline, NO_MESSAGE, self._give_back
            )
        return self._receive(me, deadline)

    def _receive(self, receiver: greenlet, deadline: float) -> str | bytes:
        while (message := self._next_message()) is None:
            self._ask(receiver)
            if self._messages:
                continue
            if self._closed is not None:
                raise ConnectionClosed(*self._closed)
            self._wait_asking(receiver, deadline, NO_MESSAGE)
        self._serving = receiver
        return message

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

        Listeners have heard of it by then, unless they take longer than a second.

        Raises:
            TimeoutError: it is not closed after `timeout` seconds.
        """
        self._open()
        me = getcurrent()
        deadline = deadline_after(timeout)
        if self._is_foreign():
            return self._hand_over(lambda: self._wait_closed(me, NEVER), deadline, _NOT_CLOSED)
        return self._wait_closed(me, deadline)

    def _wait_closed(self, waiter: greenlet, deadline: float) -> CloseEvent:
        while self._closed is None:
            self._ask(waiter)
            if self._closed is None:
                self._wait_asking(waiter, deadline, _NOT_CLOSED)
        self._wait_heard(waiter)
        return CloseEvent("close", self, *self._closed)

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


def check_data(message: Data) -> str | bytes:
    """Return a message as `str` or `bytes`; other bytes-like objects are copied.

    Raises:
        TypeError: it is neither.
    """
    if isinstance(message, (str, bytes)):
        return message
    if isinstance(message, (bytearray, memoryview)):
        return bytes(message)
    raise TypeError(f"a message must be str or bytes, not {type(message).__name__}")


class _QueuedClose:
    """A close that waits for the connection to open, behind what was sent before it."""

    __slots__ = ("_code", "_connection", "_reason")

    def __init__(self, connection: Connection, code: int, reason: str) -> None:
        self._connection = connection
        self._code = code
        self._reason = reason

    def __call__(self) -> None:
        self._connection.close(self._code, self._reason)
