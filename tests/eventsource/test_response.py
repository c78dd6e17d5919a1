"""The response that an event stream is, with a server that does as it is told."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import gevent
import gevent.event
import pytest
from gevent import socket

from faye_ws.constants import NEVER
from faye_ws.events import EventTarget
from faye_ws.eventsource.response import Body, Phase, Response
from faye_ws.runtime.seconds import deadline_after
from support.serving import wait_for
from support.stream_parts import DEADLINE, run_in_thread


class Target(EventTarget):
    """What an application would hold of a stream, and hears of it."""

    event_types = frozenset(("open", "close", "drain"))

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[str] = []
        for type in self.event_types:
            self.on(type, lambda event: self.heard.append(event.type))


class Stream:
    """A response, the socket of its client, and the other end of that."""

    def __init__(self, **options: Any) -> None:
        settings = {"ping": None, "send_timeout": None, "max_backlog": 10, **options}
        self.target = Target()
        self.response = Response(b"first", **settings)
        self.response.listeners_changed(self.target)
        self.socket, self.client = socket.socketpair()

    def open(self) -> Body:
        """Begin to answer, and return the body."""
        self.response.begin(self.socket)
        return Body(self.response)

    def close(self) -> None:
        """Let go of all."""
        self.response.release()
        self.socket.close()
        self.client.close()


@pytest.fixture
def stream(request: pytest.FixtureRequest) -> Iterator[Stream]:
    made = Stream(**getattr(request, "param", {}))
    yield made
    made.close()


def options(**given: Any) -> pytest.MarkDecorator:
    """Give a stream some options."""
    return pytest.mark.parametrize("stream", [given], indirect=True, ids=[""])


def test_what_was_sent_goes_to_the_server_in_one_chunk(stream: Stream) -> None:
    assert stream.response.send(b"a")
    body = stream.open()
    assert stream.response.phase is Phase.OPEN
    assert stream.response.append(b"")
    assert next(body) == b"firsta"
    waiting = gevent.spawn(next, body)
    gevent.sleep(0)
    assert stream.response.append(b"b")
    assert stream.response.append(b"c")
    assert waiting.get(timeout=DEADLINE) == b"bc"
    assert iter(body) is body


def test_its_life_is_told_to_the_listeners(stream: Stream) -> None:
    body = stream.open()
    assert next(body) == b"first"
    waiting = gevent.spawn(list, body)
    wait_for(lambda: stream.target.heard == ["open", "drain"])
    stream.response.end()
    stream.response.end()
    assert waiting.get(timeout=DEADLINE) == []
    assert not stream.response.append(b"late")
    assert not stream.response.send(b"late")
    body.close()
    body.close()
    assert stream.response.phase is Phase.GONE
    gevent.sleep(0)
    assert stream.target.heard == ["open", "drain", "close"]
    assert stream.response not in stream.response.reactor.members


def test_what_was_closed_before_it_has_begun_is_sent_all_the_same(stream: Stream) -> None:
    stream.response.end()
    assert list(stream.open()) == [b"first"]
    gevent.sleep(0)
    assert stream.target.heard == ["close", "drain"]


def test_a_server_that_gives_up_ends_it(stream: Stream) -> None:
    body = stream.open()
    stream.response.append(b"a")
    del body
    wait_for(lambda: stream.target.heard == ["open", "close"])
    assert stream.response.phase is Phase.GONE
    assert stream.response.outflow.backlog == 0


def test_a_server_that_is_stopped_gets_the_end_of_the_body(stream: Stream) -> None:
    body = stream.open()
    next(body)
    served: list[list[bytes]] = []
    serving = gevent.spawn(lambda: served.append(list(body)))
    gevent.sleep(0)
    serving.kill(timeout=DEADLINE)
    assert served == [[]]


# Senders


def test_a_sender_waits_until_the_server_has_passed_on_what_there_is(stream: Stream) -> None:
    body = stream.open()
    sending = gevent.spawn(stream.response.send, b"x" * 11)
    gevent.sleep(0)
    assert next(body) == b"first" + b"x" * 11
    gevent.sleep(0)
    assert not sending.ready()
    serving = gevent.spawn(next, body)
    assert sending.get(timeout=DEADLINE)
    assert stream.response.send(b"y")
    assert serving.get(timeout=DEADLINE) == b"y"


def test_a_sender_that_waits_is_told_of_the_end(stream: Stream) -> None:
    _body = stream.open()
    sending = gevent.spawn(stream.response.send, b"x" * 11)
    gevent.sleep(0)
    stream.response.end()
    assert sending.get(timeout=DEADLINE) is False


def test_the_hub_drops_a_slow_client_since_it_can_not_wait(stream: Stream) -> None:
    body = stream.open()
    stream.response.reactor.post(stream.response.send, b"x" * 11)
    wait_for(lambda: stream.target.heard == ["open", "close"])
    assert list(body) == []


def test_a_broadcast_drops_a_slow_client_and_cuts_what_the_server_writes(stream: Stream) -> None:
    body = stream.open()
    assert stream.response.send_or_drop(b"x" * 11)
    next(body)
    assert not stream.response.send_or_drop(lambda: b"y")
    stream.client.settimeout(DEADLINE)
    assert stream.client.recv(1) == b""


def test_a_broadcast_may_come_from_another_thread(stream: Stream) -> None:
    body = stream.open()
    assert run_in_thread(lambda: stream.response.send_or_drop(lambda: b"x"))
    assert next(body) == b"firstx"
    stream.response.end()
    assert not run_in_thread(lambda: stream.response.send_or_drop(b"y"))
    assert list(body) == []


def test_a_server_with_threads_is_handed_what_there_is(stream: Stream) -> None:
    body = stream.open()
    assert run_in_thread(lambda: next(body)) == b"first"
    run_in_thread(lambda: stream.response.in_hub(stream.response.end))
    assert run_in_thread(lambda: list(body)) == []
    run_in_thread(body.close)
    assert stream.response.phase is Phase.GONE


def test_its_end_can_be_waited_for(stream: Stream) -> None:
    with pytest.raises(TimeoutError, match="not closed"):
        stream.response.wait_closed(deadline_after(0.01))
    waiting = gevent.spawn(stream.response.wait_closed, NEVER)
    gevent.sleep(0)
    stream.response.end()
    waiting.get(timeout=DEADLINE)


# Clients


def test_a_client_that_goes_away_ends_it(stream: Stream) -> None:
    body = stream.open()
    next(body)
    stream.client.close()
    wait_for(lambda: stream.target.heard == ["open", "close"])


def test_a_client_that_sends_something_is_looked_at_now_and_then(stream: Stream) -> None:
    _body = stream.open()
    stream.client.send(b"what is this?")
    gevent.sleep(0.01)
    assert stream.response.phase is Phase.OPEN
    # Between two looks the socket says nothing.
    stream.client.close()
    wait_for(lambda: stream.target.heard == ["open", "close"])


@options(ping=0.1)
def test_a_silent_stream_is_kept_alive_by_comments(stream: Stream) -> None:
    body = stream.open()
    assert next(body) == b"first"
    before = time.monotonic()
    assert next(body) == b":\n\n"
    assert time.monotonic() - before >= 0.1


@options(ping=0.1)
def test_what_waits_for_the_server_is_no_silence(stream: Stream) -> None:
    body = stream.open()
    begun = stream.response.outflow.last_write
    wait_for(lambda: stream.response.outflow.last_write > begun)
    assert next(body) == b"first"


@options(send_timeout=0.2)
def test_a_client_that_takes_nothing_of_what_the_server_writes_is_dropped(stream: Stream) -> None:
    body = stream.open()
    next(body)
    wait_for(lambda: stream.target.heard == ["open", "close"])
    assert list(body) == []


@options(send_timeout=0.2)
def test_a_client_for_which_nothing_waits_may_be_silent(stream: Stream) -> None:
    body = stream.open()
    next(body)
    serving = gevent.spawn(next, body)
    begun = time.monotonic()
    wait_for(lambda: time.monotonic() > begun + 0.6)
    assert stream.response.phase is Phase.OPEN
    stream.response.append(b"a")
    assert serving.get(timeout=DEADLINE) == b"a"


def test_a_server_whose_socket_is_not_found_is_served_without(stream: Stream) -> None:
    stream.response.begin(None)
    body = Body(stream.response)
    next(body)
    stream.response.cut_off()
    assert list(body) == []


def test_a_client_that_has_sent_something_is_left_alone_while_it_is_there(stream: Stream) -> None:
    _body = stream.open()
    stream.client.send(b"what is this?")
    gevent.sleep(0.01)
    stream.response.beat(time.monotonic())
    assert stream.response.phase is Phase.OPEN


@options(ping=0.1)
def test_a_stream_may_be_gone_when_its_heartbeat_is_done(stream: Stream) -> None:
    body = stream.open()
    next(body)

    def serve() -> None:
        # As servers do when the client has gone: at once, from the hub's point of view.
        assert next(body) == b":\n\n"
        body.close()

    serving = gevent.spawn(serve)
    gevent.sleep(0)
    # The hub switches to who waits, and goes on when that is done.
    stream.response.reactor.post(stream.response.beat, time.monotonic() + 1.0)
    serving.get(timeout=DEADLINE)
    gevent.sleep(0)
    assert stream.response.phase is Phase.GONE


# For the reactor


def test_it_is_closed_when_the_process_ends(stream: Stream) -> None:
    body = stream.open()
    stream.response.leave()
    assert list(body) == [b"first"]


def test_it_is_closed_when_it_begins_while_the_process_ends(stream: Stream) -> None:
    reactor = stream.response.reactor
    reactor.is_leaving = True
    try:
        body = stream.open()
    finally:
        reactor.is_leaving = False
    assert list(body) == [b"first"]


@pytest.mark.parametrize("how", ["forget", "disown"])
@pytest.mark.parametrize("begun", [False, True])
def test_nothing_is_told_of_a_stream_that_is_another_process_s(
    stream: Stream, how: str, begun: bool
) -> None:
    body = stream.open() if begun else None
    gevent.sleep(0)
    stream.target.heard.clear()
    for _ in range(2):
        getattr(stream.response, how)()
    assert stream.response.phase is Phase.GONE
    gevent.sleep(0)
    assert stream.target.heard == []
    assert list(body or ()) == []
    stream.response.reactor.members.discard(stream.response)


def test_a_stream_that_is_gone_takes_nobody_for_its_target(stream: Stream) -> None:
    body = stream.open()
    body.close()
    late = Target()
    stream.response.listeners_changed(late)
    gevent.sleep(0)
    assert late.heard == []
