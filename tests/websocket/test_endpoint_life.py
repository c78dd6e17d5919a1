"""The life of an endpoint, from a socket to none."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from faye_ws import ReadyState
from faye_ws.constants import NEVER
from faye_ws.driver.prepared import PreparedMessage
from faye_ws.runtime.reactor import current_reactor
from faye_ws.websocket.phase import LIMITS, Phase
from support.parts import Parts
from support.serving import close, frame, text, wait_for
from support.wire import ACCEPTANCE, close_payload, unframe


@pytest.fixture
def make() -> Iterator[Callable[..., Parts]]:
    """Make connections with some settings."""
    made: list[Parts] = []

    def make(**settings: object) -> Parts:
        made.append(Parts(**settings))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for parts in made:
        parts.close()
    assert not current_reactor().members


Make = Callable[..., Parts]


def _open(make: Make, **settings: object) -> Parts:
    parts = make(**settings)
    parts.open()
    parts.reads_head()
    return parts


# Before it is open


def test_what_is_asked_for_before_it_is_open_is_done_then_and_a_close_is_the_last(
    make: Make,
) -> None:
    parts = make()
    endpoint = parts.endpoint
    assert endpoint.backlog == 0
    assert endpoint.ready_state is ReadyState.CONNECTING
    assert not endpoint.send("not yet")
    assert endpoint.when_open(lambda: endpoint.send("first"))
    assert endpoint.when_open(lambda: endpoint.send("second"))
    assert endpoint.ready_state is ReadyState.CONNECTING
    endpoint.close(4000, "done")
    endpoint.close(4001, "too late")
    assert endpoint.ready_state is ReadyState.CLOSING
    assert not endpoint.when_open(lambda: endpoint.send("too late"))
    endpoint.flush()
    endpoint.govern_reading()
    parts.open()
    assert endpoint.phase is Phase.CLOSING
    data = parts.reads()
    assert data.startswith(ACCEPTANCE)
    assert unframe(data[len(ACCEPTANCE) :]) == [
        (0x81, b"first"),
        (0x81, b"second"),
        (0x88, close_payload(4000, b"done")),
    ]


def test_one_that_opens_without_a_close_stays_open(make: Make) -> None:
    parts = make()
    assert parts.endpoint.when_open(lambda: parts.endpoint.send("first"))
    parts.open()
    assert unframe(parts.reads()[len(ACCEPTANCE) :]) == [(0x81, b"first")]
    assert parts.endpoint.phase is Phase.OPEN
    parts.endpoint.close(1000, "")
    # The process may end now: the peer has been told that we close.
    parts.endpoint.leave()
    assert unframe(parts.reads()) == [(0x88, close_payload(1000))]


def test_one_that_has_no_socket_is_gone_when_it_is_dropped(make: Make) -> None:
    endpoint = make().endpoint
    endpoint.drop()
    assert endpoint.phase is Phase.GONE
    assert not endpoint.when_open(lambda: None)
    endpoint.drop()
    endpoint.close(1000, "")
    assert endpoint.ready_state is ReadyState.CLOSED


def test_one_that_is_not_open_when_the_process_ends_is_dropped(make: Make) -> None:
    endpoint = make().endpoint
    endpoint.leave()
    assert endpoint.phase is Phase.GONE


def test_one_that_opens_while_the_process_ends_says_so(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = make()
    monkeypatch.setattr(parts.endpoint.reactor, "is_leaving", True)
    parts.open()
    data = parts.reads()
    assert unframe(data[len(ACCEPTANCE) :]) == [(0x88, close_payload(1001))]
    # The peer has a second then, whatever it has else.
    monkeypatch.setitem(LIMITS, Phase.LINGERING, NEVER)
    parts.peer.send(close(1001))
    wait_for(lambda: parts.endpoint.phase is Phase.LINGERING, "it is closed")
    wait_for(lambda: parts.endpoint.phase is Phase.GONE, "it is gone")


# Closing


def test_a_fault_of_ours_closes_with_1011(make: Make) -> None:
    parts = _open(make)
    parts.endpoint.fail("the application raised")
    parts.endpoint.fail("again")
    assert unframe(parts.reads()) == [(0x88, close_payload(1011, b"the application raised"))]


def test_a_peer_that_does_not_answer_our_close_is_dropped(make: Make) -> None:
    parts = _open(make, close_timeout=0.1)
    parts.endpoint.close(1000, "")
    assert parts.endpoint.phase is Phase.CLOSING
    wait_for(lambda: parts.endpoint.phase is Phase.GONE, "it is dropped")
    assert parts.inbox.end == (1006, "", False)


def test_the_end_waits_for_the_application_and_not_longer_than_its_limit(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(LIMITS, Phase.ENDING, 0.1)
    parts = _open(make)
    parts.peer.send(text("nobody receives this") + close(4000))
    wait_for(lambda: parts.endpoint.phase is Phase.ENDING, "the end waits")
    assert parts.endpoint.ready_state is ReadyState.OPEN
    parts.endpoint.expect_end(1000.0)
    assert unframe(parts.reads()) == [(0x88, close_payload(4000))]
    assert parts.endpoint.phase is Phase.LINGERING
    assert parts.inbox.end == (4000, "", True)


def test_the_end_that_waits_is_taken_when_we_close(make: Make) -> None:
    parts = _open(make)
    parts.peer.send(text("a") + close(4000))
    wait_for(lambda: parts.endpoint.phase is Phase.ENDING, "the end waits")
    parts.endpoint.close(4001, "")
    assert unframe(parts.reads()) == [(0x88, close_payload(4001))]
    wait_for(lambda: parts.endpoint.phase is Phase.LINGERING, "it is closed")


def test_one_that_is_forgotten_says_nothing_and_is_gone(make: Make) -> None:
    parts = _open(make, ping=10)
    parts.peer.send(text("a"))
    wait_for(lambda: parts.inbox.messages, "it has come")
    current_reactor().members.discard(parts.endpoint)
    current_reactor().heartbeat.stop()
    parts.endpoint.forget()
    parts.endpoint.forget()
    assert parts.endpoint.phase is Phase.GONE
    assert parts.inbox.end == (1006, "", False)
    assert parts.inbox.messages
    assert parts.reads() == b""
    parts.endpoint.disown()
    assert not parts.inbox.messages


def test_one_that_is_closed_stays_what_it_is_when_it_is_forgotten(make: Make) -> None:
    parts = _open(make)
    parts.peer.send(close(4000))
    wait_for(lambda: parts.endpoint.phase is Phase.LINGERING, "it is closed")
    current_reactor().members.discard(parts.endpoint)
    current_reactor().heartbeat.stop()
    parts.endpoint.forget()
    assert parts.inbox.end == (4000, "", True)


# Sending


def test_what_is_corked_goes_out_together_or_when_it_is_much(make: Make) -> None:
    parts = _open(make, max_backlog=2**20)
    endpoint = parts.endpoint
    first = endpoint.cork()
    second = endpoint.cork()
    endpoint.send("a")
    endpoint.uncork(second)
    with pytest.raises(BlockingIOError):
        parts.peer.recv(100)
    assert endpoint.send_ping(b"b")
    endpoint.uncork(first)
    assert unframe(parts.reads()) == [(0x81, b"a"), (0x89, b"b")]
    first = endpoint.cork()
    endpoint.send(bytes(2**16))
    assert len(parts.reads()) > 2**15
    endpoint.uncork(first)


def test_a_prepared_message_is_sent_while_it_is_open(make: Make) -> None:
    parts = _open(make)
    message = PreparedMessage("news")
    assert parts.endpoint.send_prepared(message)
    assert unframe(parts.reads()) == [(0x81, b"news")]
    parts.endpoint.close(1000, "")
    assert not parts.endpoint.send_prepared(message)
    assert not parts.endpoint.send_ping()
    parts.endpoint.send_pong()
    assert unframe(parts.reads()) == [(0x88, close_payload(1000))]


def test_a_peer_is_slow_until_it_has_taken_all(make: Make) -> None:
    parts = _open(make, send_timeout=None)
    drains: list[object] = []
    parts.target.on("drain", drains.append)
    length = 2**21
    assert parts.endpoint.send(bytes(length))
    assert parts.endpoint.is_congested
    assert parts.endpoint.send("more")
    # Pings of a peer that does not read are answered when it does, and only the last.
    parts.peer.send(frame(0x89, b"first") + frame(0x89, b"last"))
    data = b""
    while not data.endswith(b"\x8a\x04last"):
        data += parts.reads()
    assert len(data) == length + 10 + 6 + 6
    wait_for(lambda: drains, "the listener has heard")
    assert not parts.endpoint.is_congested


def test_a_peer_that_takes_little_is_not_slow_before_that_is_much(make: Make) -> None:
    parts = _open(make, max_backlog=2**22)
    assert parts.endpoint.send(bytes(2**21))
    assert 0 < parts.endpoint.backlog < 2**22
    assert not parts.endpoint.is_congested
    data = b""
    while len(data) < 2**21 + 10:
        data += parts.reads()
    wait_for(lambda: not parts.endpoint.backlog, "all is taken")


# Watching


def test_a_peer_that_takes_nothing_is_dropped(make: Make) -> None:
    parts = _open(make, send_timeout=0.2)
    assert parts.endpoint.send(bytes(2**21))
    wait_for(lambda: parts.endpoint.phase is Phase.GONE, "it is dropped")


def test_a_peer_that_is_not_read_is_sent_a_pong_to_see_whether_it_is_there(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("faye_ws.websocket.watches.LOOK", 0.1)
    parts = _open(make)
    parts.inbox.is_behind = True
    parts.endpoint.govern_reading()
    parts.endpoint.govern_reading()
    assert unframe(parts.reads()) == [(0x8A, b"")]
    parts.inbox.is_behind = False
    parts.endpoint.govern_reading()
    parts.peer.send(text("a"))
    wait_for(lambda: parts.inbox.messages, "it is read again")


def test_a_paused_connection_is_not_read(make: Make) -> None:
    parts = _open(make)
    parts.inbox.pause(True)
    transport = parts.endpoint.transport
    assert transport is not None
    assert transport.is_paused
    # When we close, the peer's close is all that matters.
    parts.endpoint.close(1000, "")
    assert not transport.is_paused


def test_a_connection_that_ends_is_watched_no_more(make: Make) -> None:
    parts = _open(make, ping=5)
    heartbeat = current_reactor().heartbeat
    assert parts.endpoint in set().union(*heartbeat._slots.values())
    parts.endpoint.drop()
    assert parts.endpoint not in set().union(*heartbeat._slots.values())
