"""The greenlet that reads an event stream, with a request that does as it is told."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import gevent
import gevent.event
import pytest
from greenlet import getcurrent

from faye_ws.constants import NEVER, ReadyState
from faye_ws.errors import EventStreamError, EventStreamLost
from faye_ws.eventsource.inbox import Inbox
from faye_ws.eventsource.reader import Reader
from faye_ws.runtime.reactor import Reactor, current_reactor
from support.serving import wait_for
from support.stream_parts import DEADLINE, Target, run_in_thread

STREAM = SimpleNamespace(
    status_code=200,
    reason="OK",
    headers={"Content-Type": "text/event-stream"},
    url="http://user:secret@example.com:81/feed",
)
STOP = SimpleNamespace(status_code=204, reason="No Content", headers={}, url="")


class Request:
    """A request of which each connection goes as a script says: the response, and the pieces of
    its body; what is callable is called for them."""

    def __init__(self, *scripts: list[Any]) -> None:
        self.scripts = list(scripts)
        self.pieces: list[Any] = []
        self.ids: list[str] = []
        self.closed = 0

    def send(self, last_event_id: str) -> Any:
        """Begin with the next script."""
        self.ids.append(last_event_id)
        self.pieces = list(self.scripts.pop(0)) if self.scripts else [STOP]
        return self._next()

    def read(self) -> Any:
        """Return the next piece."""
        return self._next() if self.pieces else b""

    def _next(self) -> Any:
        piece = self.pieces.pop(0)
        if isinstance(piece, Exception):
            raise piece
        return piece() if callable(piece) else piece

    def close(self) -> None:
        """Count the connections that were closed."""
        self.closed += 1


class Stream:
    """A reader, and what is around it."""

    def __init__(self, *scripts: list[Any], max_length: int = 100) -> None:
        self.target = Target()
        self.request = Request(*scripts)
        self.reactor = current_reactor()
        self.inbox = self.target.inbox = Inbox(self.target, self.reactor, None)
        request: Any = self.request
        self.reader = Reader(self.target, request, self.inbox, self.reactor, max_length)
        self.heard: list[str] = []
        for type in ("open", "message", "error"):
            self.target.on(type, self._note)

    def _note(self, event: Any) -> None:
        self.heard.append(getattr(event, "data", event.type))

    def run(self) -> str:
        """Read until the final answer, and return what it says."""
        assert self.reader.begin()
        with pytest.raises(EventStreamError) as raised, gevent.Timeout(DEADLINE):
            self.inbox.wait_closed(getcurrent(), NEVER, "")
        assert self.reader not in self.reactor.members
        return str(raised.value)


def forever() -> None:
    """Wait until it is killed."""
    gevent.sleep(1000)


def test_one_connection_after_the_other_is_read_from_the_last_id_on() -> None:
    stream = Stream(
        [STREAM, b"id: 1\ndata: a\n\nid: 2\n\n"],
        [STREAM, b"data: b\n\nda", EventStreamLost("broken")],
        [EventStreamLost("refused")],
        [SimpleNamespace(status_code=503, reason=None)],
    )
    assert stream.run() == "the server answered 204 No Content: there is nothing to wait for"
    assert stream.heard == ["open", "a", "error", "open", "b", "error", "error", "error", "error"]
    assert stream.request.ids == ["", "2", "2", "2", "2"]
    assert stream.request.closed == 5
    assert stream.target.status_code == 204


def test_an_event_says_where_it_is_from() -> None:
    stream = Stream([STREAM, b"data: a\n\n"])
    origins: list[str] = []
    stream.target.on("message", lambda event: origins.append(event.origin))
    stream.run()
    assert origins == ["http://example.com:81"]


@pytest.mark.parametrize(
    ("first", "said"),
    [
        (SimpleNamespace(status_code=404, reason="Not Found"), "the server answered 404 Not Found"),
        (
            SimpleNamespace(status_code=200, headers={"Content-Type": "text/html"}),
            "the server sends no event stream, but 'text/html'",
        ),
        (
            SimpleNamespace(status_code=200, headers={}),
            "the server sends no event stream, but 'something'",
        ),
        (LookupError("no credentials"), "the stream can't be had: no credentials"),
        (EventStreamError("no certificate", None), "no certificate"),
    ],
)
def test_what_will_fail_for_ever_is_not_tried_again(first: Any, said: str) -> None:
    stream = Stream([first])
    assert stream.run() == said
    assert stream.heard == ["error"]
    assert len(stream.request.ids) == 1


def test_an_event_that_is_too_long_ends_it() -> None:
    assert "more than 5 bytes" in Stream([STREAM, b"data: long\n\n"], max_length=5).run()


@pytest.mark.parametrize(("said", "kept"), [(b"0", 0.1), (b"130", 0.13), (b"9999999999", 3600.0)])
def test_the_server_may_set_the_delay_within_bounds(
    said: bytes, kept: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    delays: list[float] = []
    monkeypatch.setattr(gevent, "sleep", delays.append)
    stream = Stream([STREAM, b"retry: " + said + b"\ndata: a\n\n"])
    stream.run()
    assert stream.target.retry == kept
    assert kept <= delays[0] <= max(kept, min(kept * 1.5, 60))


def test_the_delay_doubles_until_an_event_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    delays: list[float] = []
    monkeypatch.setattr(gevent, "sleep", delays.append)
    nothing = [STREAM, b": nothing\n\n"]
    stream = Stream(*[nothing] * 9, [STREAM, b"data: a\n\n"])
    stream.target.retry = 1.0
    stream.run()
    for delay, least in zip(delays, [1, 2, 4, 8, 16, 32, 60, 60, 60, 1], strict=True):
        assert least <= delay <= min(least * 1.5, 60)


# The end


@pytest.mark.parametrize("moment", ["not begun", "begun", "reading", "heard", "waiting"])
def test_it_can_be_closed_at_any_moment(moment: str) -> None:
    scripts: dict[str, list[Any]] = {
        "reading": [STREAM, forever],
        "heard": [STREAM, b"data: a\n\ndata: b\n\n"],
        "waiting": [STREAM],
    }
    stream = Stream(scripts.get(moment, [forever]))
    stream.target.retry = 1000.0
    if moment == "heard":
        # In a listener, which goes on.
        stream.target.on("message", lambda event: stream.reader.close(getcurrent()))
    if moment != "not begun":
        stream.reader.begin()
    if moment == "reading":
        wait_for(lambda: stream.heard == ["open"])
    if moment == "waiting":
        wait_for(lambda: stream.heard == ["open", "error"])
    if moment == "heard":
        wait_for(lambda: stream.heard == ["open", "a"] and stream.inbox.is_closed)
    stream.reader.close(getcurrent())
    stream.reader.close(getcurrent())
    assert stream.reader.begin()
    assert stream.inbox.state is ReadyState.CLOSED
    assert stream.reader not in stream.reactor.members
    assert stream.request.closed == len(stream.request.ids)


@pytest.mark.parametrize("how", ["goes on", "has an event", "fails"])
def test_the_request_may_close_it_as_well_as_anybody(how: str) -> None:
    def close() -> Any:
        stream.reader.close(getcurrent())
        if how == "fails":
            raise EventStreamError("too late", None)
        return b"data: a\n\n" if how == "has an event" else b""

    stream = Stream([STREAM, close])
    stream.reader.begin()
    wait_for(lambda: stream.inbox.is_closed and stream.request.closed)
    assert stream.inbox.error is None
    assert stream.heard == ["open"]


def test_the_hub_closes_it_without_waiting() -> None:
    stream = Stream([STREAM, forever])
    stream.reader.begin()
    wait_for(lambda: stream.heard == ["open"])
    stream.reactor.post(stream.reader.close, getcurrent())
    wait_for(lambda: stream.request.closed)
    assert stream.inbox.is_closed


def test_an_interrupt_in_the_middle_of_reading_ends_it() -> None:
    def interrupt() -> None:
        raise error

    error: Any = gevent.Timeout()
    stream = Stream([interrupt])
    hub = gevent.get_hub()
    before, hub.print_exception = hub.print_exception, lambda *args: None  # type: ignore[method-assign]
    try:
        assert stream.run() == "the stream was interrupted"
    finally:
        hub.print_exception = before  # type: ignore[method-assign]


# For the reactor


@pytest.mark.parametrize("how", ["leave", "cut_off", "forget", "disown"])
def test_the_reactor_can_end_it(how: str) -> None:
    stream = Stream([STREAM, b"event: other\ndata: a\n\n", forever])
    gevent.spawn(stream.inbox.receive, getcurrent(), NEVER, "")
    gevent.sleep(0)
    stream.reader.begin()
    assert stream.reader in stream.reactor.members or not stream.request.ids
    wait_for(lambda: len(stream.request.pieces) == 0 and stream.request.ids)
    for _ in range(2):
        getattr(stream.reader, how)()
        assert stream.inbox.is_closed
    wait_for(lambda: stream.request.closed)
    stream.reactor.members.discard(stream.reader)


def test_who_has_not_begun_can_be_ended_too() -> None:
    stream = Stream()
    stream.reader.leave()
    assert stream.inbox.is_closed
    assert stream.reader.begin()
    gevent.sleep(0)
    assert stream.request.ids == []


# From other threads


def test_another_thread_is_handed_over_what_this_one_does_at_once() -> None:
    stream = Stream([STREAM, forever])
    me = getcurrent()
    assert stream.reader.in_hub(getcurrent) is me
    assert run_in_thread(stream.reader.begin)
    wait_for(lambda: stream.heard == ["open"])
    assert run_in_thread(lambda: stream.reader.in_hub(getcurrent)) is not me
    with pytest.raises(TimeoutError, match="too long"):
        run_in_thread(lambda: stream.reader.in_hub(forever, 0.0, "too long"))
    run_in_thread(lambda: stream.reader.in_hub(lambda: stream.reader.close(me)))
    assert stream.inbox.is_closed


def test_it_ends_with_its_hub() -> None:
    stream = Stream([STREAM, forever])
    reactor = Reactor(gevent.get_hub())
    request: Any = stream.request
    reader = Reader(stream.target, request, stream.inbox, reactor, 100)
    reactor.end()
    assert not run_in_thread(reader.begin)
    assert run_in_thread(lambda: reader.in_hub(lambda: stream.inbox.is_closed))
