"""The client's end of an event stream (WHATWG HTML, 9.2).

    CONNECTING --> OPEN --> CONNECTING --> ...     the connection is lost, or can't be made
         `------------------------> CLOSED         by close(), or an answer that is final

One greenlet connects, reads, and calls the listeners, so a listener that blocks, or an
iteration that takes its time, keeps the stream waiting, and in the end the server. HTTP is
that of `requests`.

Invariants: nothing of the stream is lost between two connections, if the server
remembers what came after the last event ID. What will fail for ever is not tried again.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

import gevent
from gevent import GreenletExit
from greenlet import getcurrent

from ..constants import DEFAULT_CONNECT_TIMEOUT, DEFAULT_MAX_LENGTH, NEVER, ReadyState
from ..errors import EventStreamError, EventStreamLost
from ..event_stream.format import check_field
from ..event_stream.header import is_event_stream_type
from ..event_stream.parser import EventTooLong, Parser, StreamEvent
from ..events import ErrorEvent, Event, EventTarget, StreamMessageEvent, event_handler
from ..runtime.background import place_of_client
from ..runtime.handing_over import hand_over
from ..runtime.log import logger
from ..runtime.seconds import check_seconds, deadline_after
from ..runtime.waiting import WaitQueue
from .adapter import IS_INSTALLED
from .request import REQUEST_OPTIONS, StreamRequest

_T = TypeVar("_T")

# Answers after which a server may come round. Browsers give up after any but 200; a script has
# nobody who would reload the page when the server has restarted.
_PASSING_STATUSES = frozenset((408, 425, 429, 500, 502, 503, 504))
# The server's own events, however they are called, are not among these.
_OWN_TYPES = frozenset(("open", "error"))
# Events that wait for whoever iterates, before the server has to.
_MAX_QUEUE = 4
_LONGEST_DELAY = 60.0
# What a server may set: it is not to make us spin, nor to be forgotten.
_LEAST_RETRY = 0.1
_LONGEST_RETRY = 3600.0
# Seconds that a listener has to end after `close()` has killed it, before that goes on.
_CLOSE_GRACE = 1.0

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
        self._request = StreamRequest(
            url,
            method,
            headers or {},
            session,
            check_seconds("connect_timeout", connect_timeout),
            None if timeout is None else check_seconds("timeout", timeout),
            options,
        )
        self._max_length = max_length
        self._state = ReadyState.CONNECTING
        self._failures = 0
        self._error: EventStreamError | None = None
        self._events: deque[StreamMessageEvent] = deque()
        self._is_iterated = False
        self._reactor, self._thread = place_of_client()
        # Who waits for an event, for room for one, or for the end.
        self._waiting = WaitQueue(self._reactor.hub)
        self._greenlet: gevent.Greenlet[[], None] | None = None
        if not self._reactor.is_foreign():
            self._begin()
        elif not self._reactor.post(self._begin):
            raise RuntimeError("the process ends, so no stream can begin")

    def _begin(self) -> None:
        if not self._is_closed():
            self._reactor.members.add(self)
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

    def wait_closed(self, timeout: float | None = None) -> None:
        """Wait until the stream is closed.

        Raises:
            TimeoutError: it is not closed after `timeout` seconds.
            EventStreamError: the server has given a final answer.
        """
        deadline = deadline_after(timeout)
        if self._reactor.is_foreign():
            self._hand_over(lambda: self._wait_closed(None), deadline, _NOT_CLOSED)
        else:
            self._wait_closed(timeout)

    def close(self) -> None:
        """End the stream, at once, whatever it is doing. Closing again does nothing.

        A listener that waits for something in the hub of the stream is killed: it gets a
        `GreenletExit`.
        """
        if self._reactor.is_foreign():
            self._hand_over(self._close)
        else:
            self._close()

    def __enter__(self) -> EventSourceClient:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    # What others ask for, in the thread of the hub

    def _hand_over(
        self,
        function: Callable[[], _T],
        deadline: float = NEVER,
        failure: str = "",
        give_back: Callable[[_T], object] | None = None,
    ) -> _T:
        """Call a function in the hub of the stream, and return what it returns."""
        return hand_over(
            self._reactor,
            function,
            forget=self.forget,
            deadline=deadline,
            failure=failure,
            give_back=give_back,
        )

    def _next(self, timeout: float | None) -> StreamMessageEvent | None:
        deadline = deadline_after(timeout)
        if not self._reactor.is_foreign():
            return self._take_event(timeout)
        return self._hand_over(lambda: self._take_event(None), deadline, _NO_EVENT, self._give_back)

    def _take_event(self, timeout: float | None) -> StreamMessageEvent | None:
        self._is_iterated = True
        if not self._waiting.wait_until(lambda: bool(self._events) or self._is_closed(), timeout):
            raise TimeoutError(_NO_EVENT)
        if self._events:
            event = self._events.popleft()
            self._waiting.notify()
            return event
        if self._error is not None:
            raise self._error
        return None

    def _give_back(self, event: StreamMessageEvent | None) -> None:
        if event is not None:
            self._events.appendleft(event)
            self._waiting.notify()

    def _wait_closed(self, timeout: float | None) -> None:
        if not self._waiting.wait_until(self._is_closed, timeout):
            raise TimeoutError(_NOT_CLOSED)
        if self._error is not None:
            raise self._error

    def _close(self) -> None:
        if self._is_closed():
            return
        # What was not asked for before it was closed, nobody wants any more.
        self._events.clear()
        self._end(None)
        me = getcurrent()
        if self._greenlet is not None and me is not self._greenlet:
            # The hub can't wait until the connection is closed, which takes no time.
            self._greenlet.kill(block=me is not self._reactor.hub, timeout=_CLOSE_GRACE)

    def _is_closed(self) -> bool:
        return self._state is ReadyState.CLOSED

    def _end(self, error: EventStreamError | None) -> None:
        self._state = ReadyState.CLOSED
        self._error = error
        self._reactor.members.discard(self)
        self._waiting.notify()

    # For the reactor

    def leave(self) -> None:
        """End the stream, since the process ends."""
        if not self._is_closed():
            self._end(None)
        if self._greenlet is not None:
            self._greenlet.kill(block=False)

    def cut_off(self) -> None:
        """End the stream: the process has no more time."""
        self.leave()

    def forget(self) -> None:
        """Let go of the stream, which belongs to another process, or to nobody."""
        self._state = ReadyState.CLOSED
        if self._greenlet is not None and not self._reactor.is_foreign():
            self._greenlet.kill(block=False)

    def disown(self) -> None:
        """Forget the stream and its events, which are another process's."""
        self.forget()
        self._events.clear()

    # The greenlet

    def _run(self) -> None:
        try:
            while not self._is_closed():
                self._reconnect(self._read_stream())
        except GreenletExit:
            """Closed from elsewhere."""
        except EventStreamError as error:
            self._fail(error)
        except Exception as error:
            # From requests, say for a redirect to what is no URL, or from what the user has
            # put into it. Whoever waits for the stream has to hear of it.
            failure = EventStreamError(f"the stream can't be had: {error}", None)
            failure.__cause__ = error
            self._fail(failure)
        finally:
            if not self._is_closed():
                # A signal may raise its exception here as well as anywhere.
                self._end(EventStreamError("the stream was interrupted", None))

    def _read_stream(self) -> EventStreamLost:
        """Read one connection to its end, and return why it has ended.

        Raises:
            EventStreamError: there will be no other.
        """
        parser = Parser(self.last_event_id, self._max_length)
        try:
            origin = self._open()
            while not self._is_closed() and (data := self._request.read()):
                for event in parser.receive_data(data):
                    self.last_event_id = event.last_event_id
                    self._deliver(event, origin)
                    if self._is_closed():
                        break
                else:
                    # The ID counts even if there was no event with it.
                    self.last_event_id = parser.last_event_id
        except EventTooLong as error:
            raise EventStreamError(str(error), self.status_code) from error
        except EventStreamLost as error:
            return error
        finally:
            if parser.retry is not None:
                self.retry = min(max(parser.retry, _LEAST_RETRY), _LONGEST_RETRY)
            self._request.close()
        return EventStreamLost("the server has ended the connection")

    def _open(self) -> str:
        """Connect, and return the origin of the stream."""
        response = self._request.send(self.last_event_id)
        self.status_code = response.status_code
        if self.status_code in _PASSING_STATUSES:
            raise EventStreamLost(_describe(response))
        if self.status_code != 200:
            raise EventStreamError(_describe(response), self.status_code)
        # Fields of one name are joined by commas there, of which this takes account.
        content_type = response.headers.get("Content-Type", "")
        if not is_event_stream_type([content_type]):
            said = f"the server sends no event stream, but {content_type[:100] or 'something'!r}"
            raise EventStreamError(said, self.status_code)
        self._state = ReadyState.OPEN
        self._call_listeners(Event("open", self))
        return _origin_of(response.url)

    def _deliver(self, event: StreamEvent, origin: str) -> None:
        # A connection that brings nothing is no success, however it was answered.
        self._failures = 0
        message = StreamMessageEvent(event.type, self, event.data, event.last_event_id, origin)
        if self.has_listener(event.type):
            self._call_listeners(message)
        elif self._is_iterated or not self._hears_events():
            # Here the stream waits for whoever iterates.
            self._waiting.wait_until(self._has_room, None)
            self._events.append(message)
            self._waiting.notify()

    def _has_room(self) -> bool:
        return len(self._events) < _MAX_QUEUE

    def _hears_events(self) -> bool:
        return any(entry[0] not in _OWN_TYPES for entry in self._listeners)

    def _reconnect(self, reason: EventStreamLost) -> None:
        """Say that the connection is lost, and wait until it is time for the next."""
        if self._is_closed():
            return
        self._state = ReadyState.CONNECTING
        logger.debug("an event stream is lost: %s", reason)
        self._call_listeners(ErrorEvent("error", self, reason))
        # `retry` is the least: by chance longer, so that clients do not all come back at once.
        longest = max(self.retry, _LONGEST_DELAY)
        delay = min(self.retry * 2 ** min(self._failures, 16), longest)
        self._failures += 1
        if not self._is_closed():
            gevent.sleep(min(delay * random.uniform(1.0, 1.5), longest))

    def _fail(self, error: EventStreamError) -> None:
        if not self._is_closed():
            self._end(error)
            self._call_listeners(ErrorEvent("error", self, error))

    # To listeners

    def _call_listeners(self, event: Event) -> None:
        if self._thread is None:
            self.dispatch_event(event)
        elif self.has_listener(event.type):
            self._thread.call(self._reactor, self.dispatch_event, event)

    def listener_raised(self, error: BaseException) -> None:
        if isinstance(error, GreenletExit):
            logger.debug("a listener was killed")
            if self._is_closed() and self._error is None:
                # By `close()`, which means the whole greenlet.
                raise error
            return
        logger.error("a listener raised", exc_info=error)
        if isinstance(error, (KeyboardInterrupt, SystemExit, SystemError)):
            if self._thread is not None:
                raise error
            self._reactor.hub.handle_system_error(type(error), error, error.__traceback__)

    def _check_type(self, type: str) -> None:
        if not isinstance(type, str) or not type:
            raise ValueError(f"not a type of events: {type!r}")


def _describe(response: Any) -> str:
    sentence = f"the server answered {response.status_code} {response.reason or ''}".rstrip()
    if response.status_code == 204:
        # 9.2.3: a client is told so "to stop reconnecting".
        sentence += ": there is nothing to wait for"
    return sentence


def _origin_of(url: str) -> str:
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.partition('/')[0].rpartition('@')[2]}"
