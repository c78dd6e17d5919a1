"""The server's end of an event stream, as the application holds it.

The stream goes the way of every response, through `start_response` and an iterable, so that
middleware may add to it, and any WSGI server can serve it. What is sent waits in a `Response`.

Invariants: whatever is called from another thread than that of the stream's hub is handed over
to it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ..constants import DEFAULT_MAX_BACKLOG, DEFAULT_SEND_TIMEOUT, ReadyState
from ..driver.http import HeaderFields, Headers
from ..event_stream.format import format_comment, format_event
from ..events import EventTarget, event_handler
from ..runtime.seconds import check_optional_seconds, deadline_after
from ..wsgi.request import (
    Environ,
    StartResponse,
    is_eventsource,
    read_http_url,
    read_last_event_id,
)
from ..wsgi.socket import find_socket
from ..wsgi.stopping import watch_for_stop
from .client import EventSourceClient
from .response import NOT_CLOSED, READY_STATES, Body, Response

_DEFAULT_HEADERS = {
    "Content-Type": "text/event-stream; charset=utf-8",
    # `no-transform` keeps proxies from compressing the stream, and so from holding it back.
    "Cache-Control": "no-cache, no-transform",
    # nginx would hold the stream back, too.
    "X-Accel-Buffering": "no",
}
# What is the server's to say, and what makes an event stream one.
_RESERVED = frozenset(("content-type", "content-length", "transfer-encoding", "connection"))


class EventSource(EventTarget):
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

    __slots__ = ("__weakref__", "_headers", "_response", "last_event_id", "url")

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
        super().__init__()
        # Until they are sent.
        self._headers: Headers | None = _complete(Headers(headers))
        if max_backlog < 1:
            raise ValueError(f"max_backlog must be at least 1 byte, not {max_backlog}")
        self.url = read_http_url(environ)
        self.last_event_id = read_last_event_id(environ)
        self._response = Response(
            self,
            # The first bytes make servers send the head at once.
            format_comment() if retry is None else format_event(None, retry=retry),
            check_optional_seconds("ping", ping),
            check_optional_seconds("send_timeout", send_timeout),
            max_backlog,
        )

    @staticmethod
    def is_eventsource(environ: Environ) -> bool:
        """Tell whether a request asks for an event stream: a GET that accepts one."""
        return is_eventsource(environ)

    @property
    def ready_state(self) -> ReadyState:
        """`CONNECTING`, `OPEN` or `CLOSED`."""
        return READY_STATES[self._response.phase]

    @property
    def buffered_amount(self) -> int:
        """The bytes sent that the WSGI server has not passed on yet."""
        return self._response.outflow.backlog

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Open the stream: the WSGI application that answers the request.

        Raises:
            RuntimeError: it has answered a request before.
        """
        headers, self._headers = self._headers, None
        if headers is None:
            raise RuntimeError("an EventSource answers one request")
        start_response("200 OK", list(headers))
        if environ.get("REQUEST_METHOD") == "HEAD":
            # RFC 9110, 9.3.2: "the server MUST NOT send content in the response".
            self.close()
            return []
        response, sock = self._response, find_socket(environ)
        watch_for_stop(environ, response.reactor)
        response.in_hub(lambda: response.begin(sock))
        return Body(response)

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
        return self._send(format_event(data, event=event, id=id, retry=retry))

    def comment(self, text: str) -> bool:
        """Send a comment, which clients ignore. Return False if the stream is closed."""
        return self._send(format_comment(text))

    def ping(self) -> bool:
        """Send an empty comment. Return False if the stream is closed."""
        return self._send(format_comment())

    def send_chunk(self, chunk: bytes | Callable[[], bytes]) -> bool:
        """Send a part of a stream that has been formatted, and do not wait.

        For a broadcast: a client for which more than `max_backlog` bytes wait is dropped.
        A function is called in the thread of the stream, and what it returns is sent: so who
        sends from several threads can say what comes first there. Return False if the client
        is dropped, or the stream is closed.
        """
        return self._response.send_or_drop(chunk)

    def _send(self, chunk: bytes) -> bool:
        response = self._response
        # When it is closed, its thread may be gone, too.
        return not self._is_closed() and response.in_hub(lambda: response.send(chunk))

    # The end

    def close(self) -> None:
        """End the stream when all that was sent is on its way. Clients connect again then:
        to tell one to stop, answer its next request with 204."""
        if not self._is_closed():
            self._response.in_hub(self._response.end)

    def wait_closed(self, timeout: float | None = None) -> None:
        """Wait until the stream is closed.

        Raises:
            TimeoutError: it is not closed after `timeout` seconds.
        """
        response = self._response
        deadline = deadline_after(timeout)
        # When it is closed, its thread may be gone, too.
        if not self._is_closed():
            response.in_hub(lambda: response.wait_closed(deadline), deadline, NOT_CLOSED)

    def _is_closed(self) -> bool:
        return self.ready_state is ReadyState.CLOSED

    # A stream

    def write(self, data: str) -> bool:
        """Send an event; the same as `send`."""
        return self.send(data)

    def end(self, data: str | None = None) -> None:
        """Send a last event, if there is one, and close."""
        if data is not None:
            self.send(data)
        self.close()

    # For the listeners

    def listeners_changed(self) -> None:
        """Look what there is for the listeners to hear."""
        self._response.listening.listeners_changed()

    def listener_raised(self, error: BaseException) -> None:
        """Log what a listener raised."""
        self._response.listening.contain(error)


def _complete(extra: Headers) -> Headers:
    for name, _ in extra:
        if name.lower() in _RESERVED:
            raise ValueError(f"the header {name} belongs to the stream itself")
    headers = Headers([pair for pair in _DEFAULT_HEADERS.items() if pair[0] not in extra])
    for name, value in extra:
        headers.append(name, value)
    return headers
