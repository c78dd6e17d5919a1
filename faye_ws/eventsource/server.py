"""The server's end of an event stream: a response to a WSGI request.

    send() ping() comment() --> queue --> __next__ --> the WSGI server --> the client

The stream goes the way of every response, through `start_response` and an iterable, so that
middleware may add to it, and any WSGI server can serve it. Where the server's socket can be
found it is watched, but not touched: a client that goes away is noticed at once, elsewhere
by the next write.

Invariants:
- Senders wait for nothing but a client that does not read, and then in their own greenlet.
- The stream ends once; when it is cut off, the server is not left writing to it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from gevent import GreenletExit
from greenlet import getcurrent

from ..constants import DEFAULT_MAX_BACKLOG, DEFAULT_SEND_TIMEOUT, NEVER, ReadyState
from ..driver.http import HeaderFields, Headers
from ..event_stream.format import format_comment, format_event
from ..events import Event, event_handler
from ..runtime.log import logger
from ..runtime.seconds import LOOKS, check_optional_seconds, deadline_after
from ..wsgi.request import (
    Environ,
    StartResponse,
    is_eventsource,
    read_http_url,
    read_last_event_id,
)
from ..wsgi.socket import find_socket
from ..wsgi.stopping import watch_for_stop
from .announcing import Announcer
from .client import EventSourceClient
from .presence import Presence

_DEFAULT_HEADERS = {
    "Content-Type": "text/event-stream; charset=utf-8",
    # `no-transform` keeps proxies from compressing the stream, and so from holding it back.
    "Cache-Control": "no-cache, no-transform",
    # nginx would hold the stream back, too.
    "X-Accel-Buffering": "no",
}
# What is the server's to say, and what makes an event stream one.
_RESERVED = frozenset(("content-type", "content-length", "transfer-encoding", "connection"))


class EventSource(Announcer):
    """An event stream that a WSGI request asks for, and the response to it.

    Return `es(environ, start_response)` from a WSGI application, or `es` from a Flask view.
    The stream opens then, and with it the `open` event; what is sent before waits for that.
    The `close` event comes when it ends, whoever has ended it.

    Args:
        environ: the environ of the request.
        headers: header fields to add to the response. `Cache-Control` and
            `X-Accel-Buffering` replace those that are sent by default.
        ping: send a comment when nothing was sent for so many seconds, so that nobody on the
            way takes the stream for dead; None for never.
        retry: after how many seconds a client that has lost the connection is to connect
            again; None leaves that to the client.
        send_timeout: drop a client that takes nothing of what waits for it in so many
            seconds; None for never.
        max_backlog: bytes that may wait for a slow client before `send` waits.

    Raises:
        TypeError, ValueError: an option is not what it should be.

    Attributes:
        url: the URL that the client has asked for.
        last_event_id: the ID of the last event that the client has seen, or an empty string.
    """

    __slots__ = (
        "_backlog",
        "_given",
        "_headers",
        "_last_write",
        "_looked",
        "_max_backlog",
        "_opened",
        "_ping",
        "_presence",
        "_queue",
        "_send_timeout",
        "_slot",
        "_state",
        "_taken",
        "last_event_id",
        "url",
    )

    event_types = frozenset(("open", "close", "drain"))

    Client = EventSourceClient

    CONNECTING = ReadyState.CONNECTING
    OPEN = ReadyState.OPEN
    CLOSED = ReadyState.CLOSED

    onopen = event_handler()
    onclose = event_handler()

    def __init__(
        self,
        environ: Environ,
        *,
        headers: HeaderFields = (),
        ping: float | None = 10,
        retry: float | None = 5,
        send_timeout: float | None = DEFAULT_SEND_TIMEOUT,
        max_backlog: int = DEFAULT_MAX_BACKLOG,
    ) -> None:
        self._headers = _complete(Headers(headers))
        self._ping = check_optional_seconds("ping", ping)
        self._send_timeout = check_optional_seconds("send_timeout", send_timeout)
        if max_backlog < 1:
            raise ValueError(f"max_backlog must be at least 1 byte, not {max_backlog}")
        self._max_backlog = max_backlog
        # The first bytes make servers send the head at once.
        first = format_comment() if retry is None else format_event(None, retry=retry)
        super().__init__()
        self.url = read_http_url(environ)
        self.last_event_id = read_last_event_id(environ)
        self._state = ReadyState.CONNECTING
        self._opened = False
        # What waits for the server, and how much waits in all: here, or in its hands.
        self._queue: list[bytes] = [first]
        self._backlog = len(first)
        self._last_write = 0.0
        # Since when the server has something to write of which the client takes nothing; how
        # much the client had taken in all when last looked, and when that was.
        self._given = NEVER
        self._taken = 0
        self._looked = 0.0
        self._presence: Presence | None = None
        self._slot: int | None = None

    @staticmethod
    def is_eventsource(environ: Environ) -> bool:
        """Tell whether a request asks for an event stream: a GET that accepts one."""
        return is_eventsource(environ)

    @property
    def ready_state(self) -> ReadyState:
        """`CONNECTING`, `OPEN` or `CLOSED`."""
        return self._state

    @property
    def buffered_amount(self) -> int:
        """The bytes sent that the WSGI server has not passed on yet."""
        return self._backlog

    # The response

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Open the stream: the WSGI application that answers the request.

        Raises:
            RuntimeError: it has answered a request before.
        """
        if self._opened:
            raise RuntimeError("an EventSource answers one request")
        self._opened = True
        start_response("200 OK", list(self._headers))
        if environ.get("REQUEST_METHOD") == "HEAD":
            # RFC 9110, 9.3.2: "the server MUST NOT send content in the response".
            self.close()
            return []
        sock = find_socket(environ)
        watch_for_stop(environ, self._reactor)
        self._in_hub(lambda: self._begin(sock))
        return _Stream(self)

    def _begin(self, sock: Any) -> None:
        self._reactor.members.add(self)
        self._presence = Presence(self._reactor.loop, sock, self._look)
        if self._state is ReadyState.CONNECTING:
            self._state = ReadyState.OPEN
            self._announce(Event("open", self))
        self._last_write = time.monotonic()
        self._set_heartbeat()
        if self._reactor.is_leaving:
            self.leave()

    def _next_chunk(self) -> bytes | None:
        """Return what there is to write, when there is something; None at the end."""
        if self._is_foreign():
            return self._hand_over(self._next_chunk)
        # Whoever asks for more has passed on what there was before.
        self._given = NEVER
        self._backlog = sum(map(len, self._queue))
        if not self._backlog and self._opened:
            self._drained()
        while not self._queue:
            if self._state is ReadyState.CLOSED:
                return None
            self._waiting.wait()
        chunk = b"".join(self._queue)
        self._queue.clear()
        self._last_write = self._given = time.monotonic()
        return chunk

    def _drained(self) -> None:
        if self._waiting:
            self._waiting.notify()
        self._announce(Event("drain", self))

    def _release(self) -> None:
        """Take note that the server has done with the response."""
        self._in_hub(self._part)

    def _part(self) -> None:
        """Let go of the response."""
        if self._presence is not None:
            self._presence.close()
            self._presence = None
            self._cancel_heartbeat()
            self._left()
            self._reactor.members.discard(self)

    def _in_hub(self, function: Callable[[], object]) -> None:
        if self._is_foreign():
            self._hand_over(function)
        else:
            function()

    # Sending

    def send(
        self,
        data: str | None,
        event: str | None = None,
        id: str | int | None = None,
        retry: float | None = None,
    ) -> bool:
        """Send an event (WHATWG HTML, 9.2.5).

        When more than `max_backlog` bytes wait for a slow client, the calling greenlet waits
        until they are gone.

        Args:
            data: what it carries; lines may end as they like. With None there is no event,
                but its id and retry count.
            event: its type; None is `message`.
            id: the new last event ID; an empty one resets it.
            retry: seconds before the client connects again when the connection is lost.

        Returns:
            True, or False if the stream is closed: then nothing is sent.

        Raises:
            TypeError: an argument is of another type.
            ValueError: a line break or NUL in `event` or `id`, or `retry` is negative.
        """
        return self._write(format_event(data, event=event, id=id, retry=retry))

    def comment(self, text: str) -> bool:
        """Send a comment, which clients ignore. Return False if the stream is closed."""
        return self._write(format_comment(text))

    def ping(self) -> bool:
        """Send an empty comment. Return False if the stream is closed."""
        return self._write(format_comment())

    def send_chunk(self, chunk: bytes | Callable[[], bytes]) -> bool:
        """Send a part of a stream that has been formatted, and do not wait.

        For a broadcast: a client for which more than `max_backlog` bytes wait is dropped.
        A function is called in the thread of the stream, and what it returns is sent: so who
        sends from several threads can say what comes first there. Return False if the client
        is dropped, or the stream is closed.
        """
        if self._is_foreign():
            is_open = self._state is not ReadyState.CLOSED
            return self._reactor.post(self.send_chunk, chunk) and is_open
        if self._backlog > self._max_backlog:
            logger.debug("a slow client is dropped by a broadcast")
            self._left()
        return self._append(chunk if isinstance(chunk, bytes) else chunk())

    def _write(self, chunk: bytes) -> bool:
        if self._state is ReadyState.CLOSED:
            # Its thread may be gone, too.
            return False
        if self._is_foreign():
            return self._hand_over(lambda: self._write(chunk))
        if not self._append(chunk):
            return False
        if self._backlog > self._max_backlog and getcurrent() is self._reactor.hub:
            logger.debug("a slow client is dropped: the hub can't wait for it")
            self._left()
        while self._backlog > self._max_backlog and self._opened:
            self._waiting.wait()
            if self.ready_state is ReadyState.CLOSED:
                return False
        return True

    def _append(self, chunk: bytes) -> bool:
        if self._state is ReadyState.CLOSED:
            return False
        if not chunk:
            # A server may take it for the end of the response.
            return True
        self._backlog += len(chunk)
        self._queue.append(chunk)
        if len(self._queue) == 1:
            self._waiting.notify()
        return True

    # The end

    def close(self) -> None:
        """End the stream when all that was sent is on its way. Clients connect again then:
        to tell one to stop, answer its next request with 204."""
        if self._state is ReadyState.CLOSED:
            return
        self._in_hub(self._end)

    def wait_closed(self, timeout: float | None = None) -> None:
        """Wait until the stream is closed.

        Raises:
            TimeoutError: it is not closed after `timeout` seconds.
        """
        if self._state is ReadyState.CLOSED:
            return
        if self._is_foreign():
            deadline = deadline_after(timeout)
            self._hand_over(self.wait_closed, deadline, "the stream is not closed")
        elif not self._waiting.wait_until(lambda: self._state is ReadyState.CLOSED, timeout):
            raise TimeoutError("the stream is not closed")

    def _end(self) -> None:
        if self._state is ReadyState.CLOSED:
            return
        self._state = ReadyState.CLOSED
        # In this order: who waits goes on at once, and the server may have done with us then.
        self._announce(Event("close", self))
        self._waiting.notify()

    def _left(self) -> None:
        """Take note that nobody will read what has not been written."""
        self._queue.clear()
        self._backlog = 0
        if self._presence is not None and self._given != NEVER:
            # The server is not left writing what nobody reads.
            self._presence.cut()
        self._end()

    # A stream

    def write(self, data: str) -> bool:
        """Send an event; the same as `send`."""
        return self.send(data)

    def end(self, data: str | None = None) -> None:
        """Send a last event, if there is one, and close."""
        if data is not None:
            self.send(data)
        self.close()

    # For the reactor

    def beat(self, now: float) -> None:
        """Do what is due. From the heartbeat, in the hub."""
        self._slot = None
        self._look()
        if self._send_timeout is not None and self._given != NEVER:
            self._check_progress(now, self._send_timeout)
        if self._ping is not None and now >= self._last_write + self._ping:
            self._last_write = now
            if not self._queue:
                self._append(format_comment())
        self._set_heartbeat()

    def _check_progress(self, now: float, send_timeout: float) -> None:
        if now < self._looked + send_timeout / LOOKS:
            return
        self._looked = now
        taken = 0 if self._presence is None else self._presence.taken()
        if taken > self._taken:
            self._taken = taken
            self._given = now
        elif now >= self._given + send_timeout:
            logger.debug("a client that takes nothing is dropped")
            self._left()
            self._given = NEVER

    def _look(self) -> None:
        """Look whether the client is there, where it can't be watched."""
        presence = self._presence
        if presence is not None and not presence.is_watched:
            if presence.is_gone():
                self._left()
            self._set_heartbeat()

    def _set_heartbeat(self) -> None:
        self._cancel_heartbeat()
        deadline = NEVER if self._ping is None else self._last_write + self._ping
        if self._presence is not None:
            deadline = min(deadline, self._presence.next_look())
        if self._send_timeout is not None:
            # What is given to the server from now on has more time than that.
            deadline = min(deadline, time.monotonic() + self._send_timeout / LOOKS)
        if deadline != NEVER and self._presence is not None:
            self._slot = self._reactor.heartbeat.add(self, deadline)

    def _cancel_heartbeat(self) -> None:
        if self._slot is not None:
            self._reactor.heartbeat.discard(self, self._slot)
            self._slot = None

    def leave(self) -> None:
        """End the stream, since the process ends: its client comes back to another."""
        self._end()

    def cut_off(self) -> None:
        """End the stream, whatever waits for its client."""
        self._left()

    def forget(self) -> None:
        """Let go of the stream, which belongs to another process, or to nobody."""
        self._state = ReadyState.CLOSED
        self._queue.clear()
        self._notices = None
        self._busy = False
        if self._presence is not None:
            self._presence.close()
            self._presence = None

    def disown(self) -> None:
        """Forget the stream, which is another process's."""
        self.forget()


class _Stream:
    """The body of the response."""

    __slots__ = ("_source",)

    def __init__(self, source: EventSource) -> None:
        self._source = source

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        try:
            chunk = self._source._next_chunk()
        except GreenletExit:
            # The server is being stopped.
            chunk = None
        if chunk is None:
            raise StopIteration
        return chunk

    def close(self) -> None:
        """Take note that the server has done with the response, read to its end or not."""
        self._source._release()

    def __del__(self) -> None:
        # wsgiref, for one, does not say so when the client has gone.
        source = self._source
        source._reactor.post(source._part)


def _complete(extra: Headers) -> Headers:
    for name, _ in extra:
        if name.lower() in _RESERVED:
            raise ValueError(f"the header {name} belongs to the stream itself")
    headers = Headers([pair for pair in _DEFAULT_HEADERS.items() if pair[0] not in extra])
    for name, value in extra:
        headers.append(name, value)
    return headers
