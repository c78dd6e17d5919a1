"""The client's end of an event stream (WHATWG HTML, 9.2).

    CONNECTING --> OPEN --> CONNECTING --> ...     the connection is lost, or can't be made
         `------------------------> CLOSED         by close(), or an answer that is final

One greenlet connects, reads, and calls the listeners, so a listener that blocks, or an
iteration that takes its time, keeps the stream waiting, and in the end the server. HTTP is
that of `requests`.

The law of this file: nothing of the stream is lost between two connections, if the server
remembers what came after the last event ID. What will fail for ever is not tried again.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

import gevent
from gevent.queue import Empty, Queue
from greenlet import getcurrent

from .constants import DEFAULT_MAX_LENGTH, ReadyState
from .driver.http import Headers
from .errors import EventStreamError, EventStreamLost
from .event_stream.format import check_field
from .event_stream.parser import EventTooLong, Parser, StreamEvent
from .events import ErrorEvent, Event, EventTarget, StreamMessageEvent, event_handler, logger
from .runtime.adapter import IS_INSTALLED
from .runtime.handing_over import hand_over
from .runtime.reactor import current_reactor
from .runtime.seconds import check_seconds
from .runtime.waiting import WaitQueue

if IS_INSTALLED:
    import requests
    from requests.adapters import HTTPAdapter
    from requests.exceptions import ConnectionError as RequestsConnectionError
    from requests.exceptions import RequestException, SSLError, Timeout
    from urllib3.exceptions import HTTPError

    from .runtime.adapter import CooperativeAdapter

_T = TypeVar("_T")

_DEFAULT_HEADERS = {
    "Accept": "text/event-stream",
    "Cache-Control": "no-cache",
    # A compressed stream tends to come late.
    "Accept-Encoding": "identity",
}
# Answers after which a server may come round. Browsers give up after any but 200; a script has
# nobody who would reload the page when the server has restarted.
_PASSING_STATUSES = frozenset((408, 425, 429, 500, 502, 503, 504))
# The server's own events, however they are called, are not among these.
_OWN_TYPES = frozenset(("open", "error"))
_READ_SIZE = 2**16
_MAX_QUEUE = 4
# Seconds that connecting may take.
_CONNECT_TIMEOUT = 10.0
_LONGEST_DELAY = 60.0


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
        timeout: seconds of silence after which a connection counts as lost; None for never.
        session: a `requests.Session` with your authentication, proxies, cookies, adapters.
        method, data, json, params, auth, cookies, proxies, verify, cert: as of
            `requests.request`.
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
        timeout: float | None = 300.0,
        session: Any = None,
        method: str = "GET",
        max_length: int = DEFAULT_MAX_LENGTH,
        **options: Any,
    ) -> None:
        super().__init__()
        if not IS_INSTALLED:
            raise ImportError("EventSource.Client needs requests: pip install faye_ws[eventsource]")
        unknown = options.keys() - _REQUEST_OPTIONS
        if unknown:
            raise TypeError(f"unknown options: {', '.join(sorted(unknown))}")
        self.url = url
        self.last_event_id = check_field("id", last_event_id)
        self.retry = check_seconds("retry", retry)
        self.status_code: int | None = None
        self._timeout = None if timeout is None else check_seconds("timeout", timeout)
        self._session = _cooperate(session)
        self._method = method
        self._headers = {**_DEFAULT_HEADERS, **(headers or {})}
        self._max_length = max_length
        self._options = options
        # The URL and the headers are checked now, not when it is too late to say so.
        requests.Request(method, url, headers=self._headers).prepare()
        _check_headers(self._headers)
        self._state = ReadyState.CONNECTING
        self._failures = 0
        self._error: EventStreamError | None = None
        self._response: Any = None
        self._queue: Queue[StreamMessageEvent | None] = Queue(_MAX_QUEUE)
        self._is_iterated = False
        self._reactor = current_reactor()
        self._waiting = WaitQueue(self._reactor.hub)
        self._greenlet = gevent.spawn(self._run)

    @property
    def ready_state(self) -> ReadyState:
        """`CONNECTING`, `OPEN` or `CLOSED`."""
        return self._state

    # What comes

    def __iter__(self) -> Iterator[StreamMessageEvent]:
        """Iterate over the events of types that nobody listens to, until `close()`.

        Raises:
            EventStreamError: the server has given a final answer.
        """
        self._is_iterated = True
        while (event := self._next(None)) is not None:
            yield event

    def receive(self, timeout: float | None = None) -> StreamMessageEvent:
        """Return the next event that an iteration would give.

        Raises:
            TimeoutError: none has come in time. None is lost either.
            EventStreamError: the stream is closed, so none will come.
        """
        self._is_iterated = True
        event = self._next(timeout)
        if event is None:
            raise EventStreamError("the stream is closed", None)
        return event

    def _next(self, timeout: float | None) -> StreamMessageEvent | None:
        if self._reactor.is_foreign():
            return self._hand_over(lambda: self._next(timeout))
        if self._state is ReadyState.CLOSED and self._queue.empty():
            event = None
        else:
            try:
                event = self._queue.get(timeout=timeout)
            except Empty:
                raise TimeoutError("no event has come") from None
        if event is None and self._error is not None:
            raise self._error
        return event

    def wait_closed(self, timeout: float | None = None) -> None:
        """Wait until the stream is closed.

        Raises:
            TimeoutError: it is not closed after `timeout` seconds.
            EventStreamError: the server has given a final answer.
        """
        if self._reactor.is_foreign():
            self._hand_over(lambda: self.wait_closed(timeout))
            return
        if not self._waiting.wait_until(lambda: self._state is ReadyState.CLOSED, timeout):
            raise TimeoutError("the stream is not closed")
        if self._error is not None:
            raise self._error

    def close(self) -> None:
        """End the stream, at once, whatever it is doing. Closing again does nothing."""
        if self._state is ReadyState.CLOSED:
            return
        if self._reactor.is_foreign():
            self._hand_over(self.close)
            return
        self._end(None)
        me = getcurrent()
        if me is not self._greenlet:
            # The hub can't wait until the connection is closed, which takes no time.
            self._greenlet.kill(block=me is not self._reactor.hub)

    def __enter__(self) -> EventSourceClient:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    # The greenlet

    def _run(self) -> None:
        try:
            while self._state is not ReadyState.CLOSED:
                try:
                    self._read_stream()
                except EventStreamError as error:
                    self._fail(error)
                    return
        except gevent.GreenletExit:
            """Closed from elsewhere."""
        except Exception as error:
            # From requests, say for a redirect to what is no URL, or from what the user has
            # put into it. Whoever waits for the stream has to hear of it.
            failure = EventStreamError(f"the stream can't be had: {error}", None)
            failure.__cause__ = error
            self._fail(failure)
        finally:
            for adapter in self._session.adapters.values():
                if isinstance(adapter, CooperativeAdapter):
                    adapter.close()

    def _read_stream(self) -> None:
        """Read one connection to its end, and wait until it is time for the next.

        Raises:
            EventStreamError: there will be no next.
        """
        parser = Parser(self.last_event_id, self._max_length)
        try:
            self._connect()
            self._open()
            while data := self._response.raw.read1(_READ_SIZE, decode_content=True):
                for event in parser.receive_data(data):
                    self.last_event_id = event.last_event_id
                    self._deliver(event)
                    if self._state is ReadyState.CLOSED:
                        return
                # The ID counts even if there was no event with it.
                self.last_event_id = parser.last_event_id
            reason: Exception = EventStreamLost("the server has ended the connection")
        except EventTooLong as error:
            raise EventStreamError(str(error), self.status_code) from error
        except EventStreamLost as error:
            reason = error
        except (RequestException, HTTPError, OSError) as error:
            reason = _explain(error)
        finally:
            if parser.retry is not None:
                self.retry = parser.retry
            if self._response is not None:
                self._response.close()
                self._response = None
        self._reconnect(reason)

    def _connect(self) -> None:
        headers: dict[str, Any] = dict(self._headers)
        if self.last_event_id:
            # 9.2.4: "encoded as UTF-8".
            headers["Last-Event-ID"] = self.last_event_id.encode()
        self._response = self._session.request(
            self._method,
            self.url,
            headers=headers,
            stream=True,
            timeout=(_CONNECT_TIMEOUT, self._timeout),
            **self._options,
        )
        self.status_code = self._response.status_code
        if self.status_code in _PASSING_STATUSES:
            raise EventStreamLost(_describe(self._response))
        if self.status_code != 200:
            raise EventStreamError(_describe(self._response), self.status_code)
        content_type = self._response.headers.get("Content-Type", "")
        if content_type.partition(";")[0].strip().lower() != "text/event-stream":
            said = f"the server sends no event stream, but {content_type or 'something'!r}"
            raise EventStreamError(said, self.status_code)

    def _open(self) -> None:
        self._state = ReadyState.OPEN
        self._failures = 0
        self.dispatch_event(Event("open", self))

    def _deliver(self, event: StreamEvent) -> None:
        message = StreamMessageEvent(
            event.type, self, event.data, event.last_event_id, _origin_of(self._response.url)
        )
        if self._has_listener(event.type):
            self.dispatch_event(message)
        elif self._is_iterated or not self._hears_events():
            # Here the stream waits for whoever iterates.
            self._queue.put(message)

    def _hears_events(self) -> bool:
        return any(entry[0] not in _OWN_TYPES for entry in self._listeners)

    def _reconnect(self, reason: Exception) -> None:
        if self._state is ReadyState.CLOSED:
            return
        self._state = ReadyState.CONNECTING
        logger.debug("an event stream is lost: %s", reason)
        self.dispatch_event(ErrorEvent("error", self, reason))
        # `retry` is the least: by chance longer, so that clients do not all come back at once.
        longest = max(self.retry, _LONGEST_DELAY)
        delay = min(self.retry * 2 ** min(self._failures, 16), longest)
        self._failures += 1
        gevent.sleep(min(delay * random.uniform(1.0, 1.5), longest))

    def _fail(self, error: EventStreamError) -> None:
        if self._state is not ReadyState.CLOSED:
            self._end(error)
            self.dispatch_event(ErrorEvent("error", self, error))

    def _end(self, error: EventStreamError | None) -> None:
        self._state = ReadyState.CLOSED
        self._error = error
        while error is None and not self._queue.empty():
            # What was not asked for before it was closed, nobody wants any more.
            self._queue.get_nowait()
        while not self._queue.full():
            # For all that wait in an iteration.
            self._queue.put_nowait(None)
        self._waiting.notify()

    def _check_type(self, type: str) -> None:
        if not isinstance(type, str) or not type:
            raise ValueError(f"not a type of events: {type!r}")

    def _hand_over(self, function: Callable[[], _T]) -> _T:
        return hand_over(self._reactor, function)


_REQUEST_OPTIONS = frozenset(
    ("data", "json", "params", "auth", "cookies", "proxies", "verify", "cert")
)


def _check_headers(headers: Mapping[str, Any]) -> None:
    """Refuse what `requests` lets pass: a NUL, and what is not Latin-1."""
    for name, value in headers.items():
        # With None a header of the session is left out.
        if value is not None:
            Headers({name: value.decode("latin-1") if isinstance(value, bytes) else value})


def _cooperate(session: Any) -> Any:
    """Return a session that waits in the calling greenlet only, and shares all that is the
    user's with the one given. Adapters of the user's own are left as they are."""
    ours = requests.Session()
    if session is not None:
        ours = object.__new__(session.__class__)
        ours.__dict__.update(session.__dict__)
        ours.adapters = session.adapters.copy()
    for prefix, adapter in list(ours.adapters.items()):
        if type(adapter) is HTTPAdapter:
            ours.adapters[prefix] = CooperativeAdapter(max_retries=adapter.max_retries)
    return ours


def _explain(error: Exception) -> EventStreamLost:
    """Return what to make of a connection that can't be made, or is lost.

    Raises:
        EventStreamError: it can't be made later either.
    """
    if isinstance(error, SSLError) and "certificate" in str(error).lower():
        raise EventStreamError(str(error), None) from error
    transient = (RequestsConnectionError, Timeout, HTTPError, OSError)
    if isinstance(error, RequestException) and not isinstance(error, transient[:2]):
        raise EventStreamError(str(error), None) from error
    lost = EventStreamLost(str(error))
    lost.__cause__ = error
    return lost


def _describe(response: Any) -> str:
    sentence = f"the server answered {response.status_code} {response.reason or ''}".rstrip()
    if response.status_code == 204:
        # 9.2.3: a client is told so "to stop reconnecting".
        sentence += ": there is nothing to wait for"
    return sentence


def _origin_of(url: str) -> str:
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.partition('/')[0].rpartition('@')[2]}"
