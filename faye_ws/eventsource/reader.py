"""Reading an event stream, through one connection after the other (WHATWG HTML, 9.2).

    CONNECTING --> OPEN --> CONNECTING --> ...     the connection is lost, or can't be made
         `------------------------> CLOSED         by close(), or an answer that is final

One greenlet connects and reads, by `requests`; what has come goes to the inbox.

Invariants: nothing of the stream is lost between two connections, if the server
remembers what came after the last event ID. What will fail for ever is not tried again.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

import gevent
from gevent import GreenletExit
from greenlet import getcurrent, greenlet

from ..constants import NEVER, ReadyState
from ..errors import EventStreamError, EventStreamLost
from ..event_stream.header import is_event_stream_type
from ..event_stream.parser import EventTooLong, Parser, StreamEvent
from ..events import ErrorEvent, Event, StreamMessageEvent
from ..runtime.handing_over import call_in_hub
from ..runtime.log import logger
from ..runtime.reactor import Reactor
from .inbox import Inbox
from .request import StreamRequest

_T = TypeVar("_T")

# Answers after which a server may come round. Browsers give up after any but 200; a script has
# nobody who would reload the page when the server has restarted.
_PASSING_STATUSES = frozenset((408, 425, 429, 500, 502, 503, 504))
_LONGEST_DELAY = 60.0
# What a server may set: it is not to make us spin, nor to be forgotten.
_LEAST_RETRY = 0.1
_LONGEST_RETRY = 3600.0
# Seconds that the greenlet, in which a session of the application's may be at work, has to end
# after `close()` has killed it, before that goes on.
_CLOSE_GRACE = 1.0


class Source(Protocol):
    """What the application holds, as far as the reader is concerned."""

    last_event_id: str
    retry: float
    status_code: int | None


class _Nobody:
    """The source of a reader that is done: each would hold the other."""

    last_event_id = ""
    retry = 0.0
    status_code: int | None = None


_NOBODY = _Nobody()


class Reader:
    """The greenlet that reads one stream.

    Args:
        source: whose stream it is: the target of the events.
        request: what to ask for.
        inbox: where events go.
        reactor: that of the hub to read in.
        max_length: bytes that a line, or the data of an event, may have.
    """

    def __init__(
        self,
        source: Source,
        request: StreamRequest,
        inbox: Inbox,
        reactor: Reactor,
        max_length: int,
    ) -> None:
        self._source: Source = source
        self._request = request
        self._inbox = inbox
        self._reactor = reactor
        self._max_length = max_length
        # How many connections in a row have brought no event.
        self._failures = 0
        self._greenlet: gevent.Greenlet[[], None] | None = None

    # In the thread of the hub

    def begin(self) -> bool:
        """Begin to connect. From any thread; return False if the hub is gone."""
        if self._reactor.is_foreign():
            return self._reactor.post(self._begin)
        self._begin()
        return True

    def _begin(self) -> None:
        if not self._inbox.is_closed:
            self._reactor.members.add(self)
            self._greenlet = gevent.spawn(self._run)

    def close(self, asker: greenlet) -> None:
        """End the stream at once, for a greenlet that is spared if it is a listener."""
        if self._inbox.is_closed:
            return
        # What was not asked for before it was closed, nobody wants any more.
        self._inbox.clear()
        self._end(None)
        self._inbox.kill_listener(asker)
        self._inbox.let_go()
        me = getcurrent()
        if self._greenlet is not None and me is not self._greenlet:
            # The hub can't wait until the connection is closed, which takes no time.
            self._greenlet.kill(block=me is not self._reactor.hub, timeout=_CLOSE_GRACE)

    def _end(self, error: EventStreamError | None) -> None:
        self._source = _NOBODY
        self._inbox.enter(ReadyState.CLOSED, error)
        self._inbox.look_soon()
        self._reactor.members.discard(self)

    # For the reactor

    def leave(self) -> None:
        """End the stream, since the process ends."""
        if not self._inbox.is_closed:
            self._end(None)
        self._kill()

    def cut_off(self) -> None:
        """End the stream: the process has no more time."""
        self.leave()

    def forget(self) -> None:
        """Let go of the stream, which belongs to another process, or to nobody."""
        if not self._inbox.is_closed:
            self._inbox.enter(ReadyState.CLOSED)
        if not self._reactor.is_foreign():
            self._kill()

    def disown(self) -> None:
        """Forget the stream and its events, which are another process's."""
        self.forget()
        self._inbox.clear()

    def _kill(self) -> None:
        self._inbox.kill_listener(getcurrent())
        if self._greenlet is not None:
            self._greenlet.kill(block=False)

    # From other threads

    def in_hub(
        self,
        function: Callable[[], _T],
        deadline: float = NEVER,
        failure: str = "",
        give_back: Callable[[_T], object] | None = None,
    ) -> _T:
        """Call a function in the hub of the stream, or here where that is the same."""
        return call_in_hub(
            self._reactor,
            function,
            forget=self.forget,
            deadline=deadline,
            failure=failure,
            give_back=give_back,
        )

    # In the greenlet

    def _run(self) -> None:
        inbox = self._inbox
        try:
            while not inbox.is_closed:
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
            if not inbox.is_closed:
                # A signal may raise its exception here as well as anywhere.
                self._end(EventStreamError("the stream was interrupted", None))

    def _fail(self, error: EventStreamError) -> None:
        if not self._inbox.is_closed:
            source = self._source
            self._end(error)
            self._inbox.put(ErrorEvent("error", source, error))

    def _read_stream(self) -> EventStreamLost:
        """Read one connection to its end, and return why it has ended.

        Raises:
            EventStreamError: there will be no other.
        """
        source, inbox = self._source, self._inbox
        parser = Parser(source.last_event_id, self._max_length)
        try:
            origin = self._open()
            while not inbox.is_closed and (data := self._request.read()):
                for event in parser.receive_data(data):
                    if inbox.is_closed:
                        break
                    self._deliver(event, origin)
                if not inbox.is_closed:
                    # The ID counts even if there was no event with it.
                    source.last_event_id = parser.last_event_id
        except EventTooLong as error:
            raise EventStreamError(str(error), source.status_code) from error
        except EventStreamLost as error:
            return error
        finally:
            if parser.retry is not None:
                source.retry = min(max(parser.retry, _LEAST_RETRY), _LONGEST_RETRY)
            self._request.close()
        return EventStreamLost("the server has ended the connection")

    def _open(self) -> str:
        """Connect, and return the origin of the stream."""
        source = self._source
        response = self._request.send(source.last_event_id)
        status = source.status_code = response.status_code
        if status in _PASSING_STATUSES:
            raise EventStreamLost(_describe(response))
        if status != 200:
            raise EventStreamError(_describe(response), status)
        # Fields of one name are joined by commas there, of which this takes account.
        content_type = response.headers.get("Content-Type", "")
        if not is_event_stream_type([content_type]):
            said = f"the server sends no event stream, but {content_type[:100] or 'something'!r}"
            raise EventStreamError(said, status)
        self._inbox.enter(ReadyState.OPEN)
        self._inbox.put(Event("open", source))
        self._inbox.wait_for_room()
        return _origin_of(response.url)

    def _deliver(self, event: StreamEvent, origin: str) -> None:
        # A connection that brings nothing is no success, however it was answered.
        self._failures = 0
        source = self._source
        source.last_event_id = event.last_event_id
        self._inbox.put(
            StreamMessageEvent(event.type, source, event.data, event.last_event_id, origin)
        )
        self._inbox.wait_for_room()

    def _reconnect(self, reason: EventStreamLost) -> None:
        """Say that the connection is lost, and wait until it is time for the next."""
        if self._inbox.is_closed:
            return
        logger.debug("an event stream is lost: %s", reason)
        self._inbox.enter(ReadyState.CONNECTING)
        self._inbox.put(ErrorEvent("error", self._source, reason))
        # `retry` is the least: by chance longer, so that clients do not all come back at once.
        retry = self._source.retry
        longest = max(retry, _LONGEST_DELAY)
        delay = min(retry * 2 ** min(self._failures, 16), longest)
        self._failures += 1
        gevent.sleep(min(delay * random.uniform(1.0, 1.5), longest))


def _describe(response: Any) -> str:
    sentence = f"the server answered {response.status_code} {response.reason or ''}".rstrip()
    if response.status_code == 204:
        # 9.2.3: a client is told so "to stop reconnecting".
        sentence += ": there is nothing to wait for"
    return sentence


def _origin_of(url: str) -> str:
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.partition('/')[0].rpartition('@')[2]}"
