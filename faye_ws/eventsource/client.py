"""The client's end of an event stream, as the application holds it (WHATWG HTML, 9.2).

It has two parts: a `Reader` (the connections), and an `Inbox` (what has come, and who gets it).

Invariants:
- Whatever may wait, waits in the calling greenlet only.
- Whatever is called from another thread than that of the stream's hub is handed over to it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from greenlet import getcurrent

from ..constants import DEFAULT_CONNECT_TIMEOUT, DEFAULT_MAX_LENGTH, ReadyState
from ..errors import EventStreamError
from ..event_stream.format import check_field
from ..events import EventTarget, StreamMessageEvent, event_handler
from ..runtime.background import place_of_client
from ..runtime.seconds import check_optional_seconds, check_seconds, deadline_after
from .adapter import IS_INSTALLED
from .inbox import Inbox
from .reader import Reader
from .request import REQUEST_OPTIONS, StreamRequest

_NO_EVENT = "no event has come"
_NOT_CLOSED = "the stream is not closed"


class EventSourceClient(EventTarget):
    """An event stream that a server sends; `EventSource.Client`.

    It begins to connect at once, without waiting, and connects again whenever the connection
    is lost, until `close()` or a final answer.

        with EventSource.Client("https://example.com/feed") as es:
            for event in es:
                print(event.type, event.data)

    Listeners are called with events of their type: `message`, any other type that the server
    uses, and `open` and `error`. An event goes to the listeners of its type; if there are
    none, to the iteration; it is dropped if there is none either, but listeners for others.

    Args:
        url: an `http` or `https` URL.
        headers: header fields to add to the request.
        last_event_id: where to begin, as of a stream before.
        retry: seconds between a connection and the next, at least; the server may set it, too.
            From failure to failure they double, up to a minute.
        connect_timeout: how many seconds it may take from connecting until the head of the
            response is there; after a redirect they begin again.
        timeout: seconds of silence after which a connection counts as lost; None for never.
        session: a `requests.Session` with your authentication, proxies, cookies, adapters.
        method, data, json, params, auth, cookies, proxies, verify, cert: as of
            `requests.request`. A redirect to another origin carries nothing of all this but
            `verify`, `proxies` and the cookies that the session has for it.
        max_length: bytes that a line, or the data of an event, may have.

    Raises:
        TypeError, ValueError: the URL or an option is not what it should be.
        ImportError: requests is not installed.

    Attributes:
        url: the URL.
        last_event_id: the ID of the last event, or an empty string.
        retry: the delay in force, in seconds.
        status_code: the status of the last response, or None.
    """

    CONNECTING = ReadyState.CONNECTING
    OPEN = ReadyState.OPEN
    CLOSED = ReadyState.CLOSED

    event_types = frozenset()

    onopen = event_handler()
    onmessage = event_handler()
    onerror = event_handler()

    def __init__(
        self,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        last_event_id: str = "",
        retry: float = 3.0,
        connect_timeout: float = DEFAULT_CONNECT_TIMEOUT,
        timeout: float | None = 300.0,
        session: Any = None,
        method: str = "GET",
        max_length: int = DEFAULT_MAX_LENGTH,
        **options: Any,
    ) -> None:
        super().__init__()
        if not IS_INSTALLED:
            raise ImportError("EventSource.Client needs requests: pip install faye_ws[eventsource]")
        unknown = options.keys() - REQUEST_OPTIONS
        if unknown:
            raise TypeError(f"unknown options: {', '.join(sorted(unknown))}")
        self.url = url
        self.last_event_id = check_field("id", last_event_id)
        self.retry = check_seconds("retry", retry)
        self.status_code: int | None = None
        request = StreamRequest(
            url,
            method,
            headers or {},
            session,
            check_seconds("connect_timeout", connect_timeout),
            check_optional_seconds("timeout", timeout),
            options,
        )
        reactor, thread = place_of_client()
        self._inbox = Inbox(self, reactor, thread)
        self._reader = Reader(self, request, self._inbox, reactor, max_length)
        if not self._reader.begin():
            raise RuntimeError("the process ends, so no stream can begin")

    @property
    def ready_state(self) -> ReadyState:
        """`CONNECTING`, `OPEN` or `CLOSED`."""
        return self._inbox.state

    # What comes

    def __iter__(self) -> Iterator[StreamMessageEvent]:
        """Iterate over the events of types that nobody listens to, until `close()`.

        Raises:
            EventStreamError: the server has given a final answer.
        """
        while (event := self._next(None)) is not None:
            yield event

    def receive(self, timeout: float | None = None) -> StreamMessageEvent:
        """Return the next event that an iteration would give.

        Raises:
            TimeoutError: none has come in time. None is lost either.
            EventStreamError: the stream is closed, so none will come.
        """
        event = self._next(timeout)
        if event is None:
            raise EventStreamError("the stream is closed", None)
        return event

    def _next(self, timeout: float | None) -> StreamMessageEvent | None:
        me, inbox = getcurrent(), self._inbox
        deadline = deadline_after(timeout)
        return self._reader.in_hub(
            lambda: inbox.receive(me, deadline, _NO_EVENT), deadline, _NO_EVENT, inbox.give_back
        )

    def wait_closed(self, timeout: float | None = None) -> None:
        """Wait until the stream is closed.

        Raises:
            TimeoutError: it is not closed after `timeout` seconds.
            EventStreamError: the server has given a final answer. Listeners have heard of it by
                then, unless they take longer than a second.
        """
        me, inbox = getcurrent(), self._inbox
        deadline = deadline_after(timeout)
        self._reader.in_hub(
            lambda: inbox.wait_closed(me, deadline, _NOT_CLOSED), deadline, _NOT_CLOSED
        )

    def close(self) -> None:
        """End the stream, at once, whatever it is doing. Closing again does nothing.

        A listener that waits for something in the hub of the stream is killed: it gets a
        `GreenletExit`.
        """
        me, reader = getcurrent(), self._reader
        reader.in_hub(lambda: reader.close(me))

    def __enter__(self) -> EventSourceClient:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    # For the listeners

    def listeners_changed(self) -> None:
        """Look what there is for the listeners to hear."""
        self._inbox.look_soon()

    def listener_raised(self, error: BaseException) -> None:
        """Log what a listener raised."""
        self._inbox.contain(error)

    def check_type(self, type: str) -> None:
        """Raise a `ValueError` unless events may be called so: a server calls them as it likes."""
        if not isinstance(type, str) or not type:
            raise ValueError(f"not a type of events: {type!r}")
