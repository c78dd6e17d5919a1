"""A WebSocket connection as the application holds it, whichever end of it we are.

It has three parts: an `Endpoint` (bytes, and the phase of its life), an `Inbox` (what has come,
and who gets it), and the inbox's `ListenerQueue`.

Invariants:
- Whatever may wait, waits in the calling greenlet only.
- Whatever is called from another thread than the connection's is handed over to it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from gevent.monkey import get_original
from greenlet import getcurrent

from ..constants import NEVER, CloseCode, Opcode, ReadyState
from ..driver.prepared import PreparedMessage
from ..errors import ConnectionClosed
from ..events import CloseEvent, EventTarget, event_handler
from ..runtime.log import logger
from ..runtime.reactor import find_hub
from ..runtime.seconds import deadline_after
from .inbox import Inbox
from .pongs import PongCallback
from .receiving import receive, wait_closed
from .sharing import hand_over, in_hub, is_foreign

Data = str | bytes | bytearray | memoryview

_NO_MESSAGE = "no message has come"
_NOT_CLOSED = "the connection is not closed"

_CLEAN_CODES = (CloseCode.NORMAL_CLOSURE, CloseCode.GOING_AWAY, CloseCode.NO_STATUS_RECEIVED)

# That of the interpreter, even in a program that is monkey-patched.
_get_ident: Callable[[], int] = get_original("_thread", "get_ident")


class Connection(EventTarget):
    """A WebSocket connection.

    It is an event target: `open`, `message`, `error`, `close`, and as a stream `data`,
    `drain`, `end`. It also blocks: `receive()`, iteration and `wait_closed()`, where only
    the calling greenlet waits. Both ways may be mixed.
    """

    __slots__ = ("__weakref__", "_inbox")

    event_types = frozenset(("open", "message", "data", "drain", "end", "error", "close"))

    CONNECTING = ReadyState.CONNECTING
    OPEN = ReadyState.OPEN
    CLOSING = ReadyState.CLOSING
    CLOSED = ReadyState.CLOSED

    onopen = event_handler()
    onmessage = event_handler()
    onerror = event_handler()
    onclose = event_handler()

    def __init__(self, inbox: Inbox) -> None:
        super().__init__()
        self._inbox = inbox

    def begin(self) -> None:
        """Begin to open the connection, if that has not happened, and do not wait.

        What waits for a connection, such as `receive()`, does this by itself.
        """

    # The standard attributes

    @property
    def url(self) -> str:
        """The URL of the connection; after a redirect, that to which it has led."""
        return self._inbox.endpoint.url

    @property
    def ready_state(self) -> ReadyState:
        """`CONNECTING`, `OPEN`, `CLOSING` or `CLOSED`."""
        return self._inbox.endpoint.ready_state

    @property
    def buffered_amount(self) -> int:
        """The bytes sent that the network has not taken yet, frame headers included."""
        return self._inbox.endpoint.backlog

    @property
    def protocol(self) -> str:
        """The subprotocol in use, or an empty string."""
        return self._inbox.endpoint.driver.protocol or ""

    @property
    def extensions(self) -> str:
        """The extensions in use, as in the header; an empty string when there are none."""
        return self._inbox.endpoint.driver.extensions

    @property
    def version(self) -> str:
        """The version of the protocol: `hybi-13`, or one of the drafts `hixie-76`, `hixie-75`."""
        return self._inbox.endpoint.driver.version

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
        data = message if isinstance(message, (str, bytes)) else check_data(message)
        inbox = self._inbox
        endpoint = inbox.endpoint
        if endpoint.reactor.thread != _get_ident() and is_foreign(inbox):
            exchange = inbox.exchange
            if exchange is not None and exchange.send(endpoint, data):
                return True
            return hand_over(inbox, lambda: self.send(data))
        if endpoint.send(data):
            return not endpoint.is_congested or self._wait_for_drain()
        return self._send_when_open(isinstance(data, str), lambda: endpoint.send(data))

    def send_prepared(self, message: PreparedMessage) -> bool:
        """Send a message of a broadcast, and do not wait: a slow peer is dropped.

        Returns:
            True, or False if the connection is dropped, closing or closed.
        """
        inbox = self._inbox
        endpoint = inbox.endpoint
        if is_foreign(inbox):
            is_open = self.ready_state is ReadyState.OPEN
            return endpoint.reactor.post(self.send_prepared, message) and is_open
        if endpoint.backlog > endpoint.settings.max_backlog:
            logger.debug("a slow peer is dropped by a broadcast")
            endpoint.drop()
            return False
        is_text = message.opcode is Opcode.TEXT
        return endpoint.send_prepared(message) or self._send_when_open(
            is_text, lambda: endpoint.send_prepared(message)
        )

    def _send_when_open(self, is_text: bool, send: Callable[[], object]) -> bool:
        endpoint = self._inbox.endpoint
        return (is_text or not endpoint.driver.is_text_only) and endpoint.when_open(send)

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
        inbox = self._inbox
        if is_foreign(inbox):
            return hand_over(inbox, lambda: self.ping(message, callback))
        data = check_data(message)
        data = data.encode() if isinstance(data, str) else data
        endpoint = inbox.endpoint
        if not endpoint.send_ping(data):
            return self._send_when_open(False, lambda: self.ping(data, callback))
        if callback is not None:
            inbox.expect_pong(data, callback)
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
        inbox = self._inbox
        in_hub(inbox, lambda: inbox.endpoint.close(code, reason))

    def _wait_for_drain(self) -> bool:
        """Wait until the peer has taken what waits for it; tell whether it has."""
        inbox = self._inbox
        endpoint = inbox.endpoint
        if getcurrent() is endpoint.reactor.hub:
            # The hub can't wait, and memory has its bound.
            logger.debug("a slow peer is dropped: the hub can't wait for it")
            endpoint.drop()
            return False
        while endpoint.is_congested and inbox.end is None:
            inbox.readers.waiting.wait()
        return not endpoint.is_congested

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
        self.begin()
        me, inbox = getcurrent(), self._inbox
        deadline = deadline_after(timeout)
        if not is_foreign(inbox):
            return receive(inbox, me, deadline, _NO_MESSAGE)
        if inbox.exchange is not None and find_hub() is None:
            return inbox.exchange.receive(inbox, me, deadline, _NO_MESSAGE)
        return hand_over(
            inbox, lambda: receive(inbox, me, NEVER, ""), deadline, _NO_MESSAGE, inbox.give_back
        )

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
        self.begin()
        me, inbox = getcurrent(), self._inbox
        deadline = deadline_after(timeout)
        if is_foreign(inbox):
            end = hand_over(inbox, lambda: wait_closed(inbox, me, NEVER, ""), deadline, _NOT_CLOSED)
        else:
            end = wait_closed(inbox, me, deadline, _NOT_CLOSED)
        return CloseEvent("close", self, *end)

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
        in_hub(self._inbox, lambda: self._inbox.pause(True))

    def resume(self) -> None:
        """Let messages come again."""
        in_hub(self._inbox, lambda: self._inbox.pause(False))

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

    # For the listeners

    def listeners_changed(self) -> None:
        """Look what there is for the listeners to hear."""
        self._inbox.listeners_changed(self)

    def listener_raised(self, error: BaseException) -> None:
        """Log what a listener raised, and close with 1011."""
        self._inbox.listening.contain(error)


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
