"""What a history remembers and replays, by itself, across threads and over a fork.

A stream here is the response to an environ, and its reader takes what a server would write.
"""

from __future__ import annotations

import gc
import re
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import gevent
import pytest

from faye_ws import EventHistory, EventSource
from faye_ws.eventsource.history import begin_anew_after_fork
from support import native
from support.serving import wait_for

DEADLINE = 30.0
EVENT = re.compile(r"(?:event: tick\n)?id: (.*)\n(?:data: (.*)\n)?")


class Reader:
    """A client and the server before it: it reads one stream."""

    def __init__(self, last_event_id: str = "", **options: Any) -> None:
        environ = {"REQUEST_METHOD": "GET", "HTTP_LAST_EVENT_ID": last_event_id}
        self.source = EventSource(environ, ping=None, retry=None, **options)

    def read_events(self) -> list[tuple[str, str]]:
        """Close the stream, and return the ID and data of each event that was in it."""
        self.source.close()
        body = self.source({"REQUEST_METHOD": "GET"}, lambda status, headers: None)
        return EVENT.findall(b"".join(body).decode())


def ids_of(events: list[tuple[str, str]]) -> list[str]:
    return [name for name, data in events if data]


def test_ids_are_an_epoch_and_an_offset_and_no_two_histories_share_one() -> None:
    one, other = EventHistory(), EventHistory()
    assert one.epoch != other.epoch
    assert re.fullmatch("[0-9a-f]{16}", one.epoch)
    assert [one.append("a"), one.append("b")] == [f"{one.epoch}-1", f"{one.epoch}-2"]
    assert other.append("a") == f"{other.epoch}-1"


@pytest.mark.parametrize("method", [EventHistory.replay, EventHistory.subscribe])
@pytest.mark.parametrize(
    ("seen", "answer", "data"),
    [
        ("", True, []),
        ("E-5", True, []),
        ("E-4", True, ["event 5"]),
        ("E-2", True, ["event 3", "event 4", "event 5"]),
        ("E-1", False, []),
        ("E-6", False, []),
        ("5", False, []),
        ("F-5", False, []),
        ("unknown", False, []),
    ],
)
def test_what_came_after_the_last_that_was_seen_is_sent(
    method: Callable[[EventHistory, EventSource], bool], seen: str, answer: bool, data: list[str]
) -> None:
    history = EventHistory(max_events=3, epoch="E")
    for number in range(1, 6):
        history.append(f"event {number}", event="tick")
    assert len(history) == 3
    reader = Reader(seen)
    assert method(history, reader.source) is answer
    assert [text for _, text in reader.read_events() if text] == data


def test_a_history_is_bounded_in_bytes_and_takes_ids_of_the_users_own() -> None:
    history = EventHistory(max_events=100, max_bytes=100, epoch="E")
    for number in range(50):
        history.append("x" * 20, id=f"id-{number}")
    assert 1 <= len(history) <= 3
    assert history.append("x" * 1000) == "E-51"
    assert len(history) == 0
    reader = Reader("E-51")
    assert history.replay(reader.source)


@pytest.mark.parametrize(
    ("id", "message"),
    [
        ("E-1", "new"),
        ("a\nb", "line break"),
        ("a\rb", "line break"),
        ("a\0b", "NUL"),
        ("", "empty"),
        # Servers and clients strip them from header fields: another ID would come back.
        (" 5", "spaces"),
        ("5\t", "spaces"),
        ("5\u00a0", "spaces"),
    ],
)
def test_an_id_that_would_not_come_back_as_it_was_is_refused(id: str, message: str) -> None:
    history = EventHistory(epoch="E")
    history.append("first")
    with pytest.raises(ValueError, match=message):
        history.append("x", id=id)
    with pytest.raises(ValueError, match=message):
        history.publish("x", id=id)
    assert history.append("second") == "E-2"


@pytest.mark.parametrize(
    "options",
    [
        {"max_events": 0},
        {"max_bytes": 0},
        {"offset": -1},
        {"epoch": ""},
        {"epoch": " a"},
        {"epoch": "a\nb"},
        {"epoch": 1},
    ],
)
def test_a_wrong_option_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises((TypeError, ValueError)):
        EventHistory(**options)


def test_a_stored_history_goes_on_where_it_was() -> None:
    before = EventHistory()
    stored = [(before.append(text), text) for text in ("one", "two", "three")]
    after = EventHistory(epoch=before.epoch, offset=1)
    assert [(after.append(text), text) for _, text in stored[1:]] == stored[1:]
    reader = Reader(stored[1][0])
    assert after.replay(reader.source)
    assert reader.read_events() == [stored[2]]
    assert after.append("four") == f"{before.epoch}-4"


# Subscribers


def test_subscribers_get_each_event_until_they_are_closed() -> None:
    history = EventHistory()
    readers = [Reader(), Reader()]
    for reader in readers:
        assert history.subscribe(reader.source)
    first = history.publish("first", event="tick")
    events = readers[0].read_events()
    second = history.publish("second")
    assert ids_of(events) == [first]
    assert ids_of(readers[1].read_events()) == [first, second]


def test_a_subscriber_that_has_seen_no_event_yet_misses_none_when_it_comes_back() -> None:
    history = EventHistory()
    history.append("before it came")
    reader = Reader()
    assert history.subscribe(reader.source)
    [(place, data)] = reader.read_events()
    assert data == ""
    missed = history.publish("while it was away")
    again = Reader(place)
    assert history.subscribe(again.source)
    assert ids_of(again.read_events()) == [missed]


def test_a_client_that_has_missed_some_is_told_where_it_is_now() -> None:
    history = EventHistory(max_events=1)
    names = [history.append("x") for _ in range(3)]
    reader = Reader(names[0])
    assert not history.subscribe(reader.source)
    assert reader.read_events() == [(names[-1], "")]


def test_a_stream_that_never_becomes_a_response_is_not_kept() -> None:
    history = EventHistory()
    reader = Reader()
    history.subscribe(reader.source)
    gone = weakref.ref(reader.source)
    del reader
    gc.collect()
    assert gone() is None
    history.publish("x")


def test_what_was_appended_alone_is_sent_with_the_next_that_is_published() -> None:
    history = EventHistory()
    reader = Reader()
    history.subscribe(reader.source)
    names = [history.append("one"), history.publish("two")]
    assert ids_of(reader.read_events()) == names


def test_a_long_replay_does_not_count_as_a_slow_client() -> None:
    history = EventHistory()
    first, *missed = [history.append("x" * 1000) for _ in range(100)]
    for method in (history.replay, history.subscribe):
        reader = Reader(first, max_backlog=2000)
        assert method(reader.source)
        assert ids_of(reader.read_events()) == missed


def test_a_stream_whose_thread_fell_behind_ends_so_that_its_client_is_told_of_the_gap() -> None:
    # So the stream lives in this thread.
    gevent.get_hub()
    history = EventHistory(max_events=2)
    reader = Reader()
    history.subscribe(reader.source)
    name = history.publish("seen")

    def publish_many() -> None:
        for _ in range(3):
            history.publish("x")

    # The thread of the stream waits, so that it comes to none of the three.
    thread = threading.Thread(target=publish_many)
    thread.start()
    thread.join()
    with gevent.Timeout(DEADLINE):
        reader.source.wait_closed()
    assert ids_of(reader.read_events()) == [name]
    again = Reader(name)
    assert not history.subscribe(again.source)


# Threads


@contextmanager
def frequent_switches() -> Iterator[None]:
    """Let threads interrupt each other as often as the interpreter can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def test_threads_get_ids_of_their_own_and_replays_are_whole() -> None:
    history = EventHistory(max_events=50)
    start = threading.Barrier(4)

    def append() -> list[str]:
        start.wait(DEADLINE)
        return [history.append("x") for _ in range(2000)]

    with ThreadPoolExecutor(3) as pool, frequent_switches():
        futures = [pool.submit(append) for _ in range(3)]
        start.wait(DEADLINE)
        while not all(future.done() for future in futures):
            name = history.append("y")
            reader = Reader(name)
            if history.replay(reader.source):
                seen = int(name.rpartition("-")[2])
                offsets = [int(name.rpartition("-")[2]) for name, _ in reader.read_events()]
                assert offsets == list(range(seen + 1, seen + 1 + len(offsets)))
    names = [name for future in futures for name in future.result()]
    assert len(set(names)) == 3 * 2000


def test_a_subscriber_has_no_gap_and_no_duplicate_whichever_threads_publish() -> None:
    # Three threads and the stream's own publish, while the client comes and goes.
    history = EventHistory(max_events=10**6, max_bytes=2**30)
    got = [history.append("x")]
    start = threading.Barrier(4)

    def publish() -> None:
        start.wait(DEADLINE)
        for _ in range(2000):
            history.publish("x")

    def listen() -> None:
        reader = Reader(got[-1], max_backlog=2**30)
        assert history.subscribe(reader.source)
        for _ in range(10):
            history.publish("x")
            # What other threads have published comes in the hub, between these.
            gevent.sleep(0)
        got.extend(ids_of(reader.read_events()))

    with ThreadPoolExecutor(3) as pool, frequent_switches():
        futures = [pool.submit(publish) for _ in range(3)]
        start.wait(DEADLINE)
        while not all(future.done() for future in futures):
            listen()
    listen()
    assert got == [f"{history.epoch}-{offset}" for offset in range(1, len(got) + 1)]
    assert len(got) > 3 * 2000


# Forks

FORKS = """
import os
import sys
import threading

from faye_ws import EventHistory

options = {"epoch": sys.argv[1]} if len(sys.argv) > 1 else {}
history = EventHistory(**options)
seen = history.append("before the fork")


def append_always():
    while True:
        history.append("x")


# It holds the lock most of the time, and whoever forks while it does must not wait for it.
threading.Thread(target=append_always, daemon=True).start()
for _ in range(20):
    child = os.fork()
    if not child:
        print(history.epoch, len(history), history.append("after the fork"))
        sys.stdout.flush()
        os._exit(0)
    os.waitpid(child, 0)
print(history.epoch, seen)
"""


@pytest.mark.parametrize("options", [[], ["given"]])
def test_after_a_fork_each_child_has_an_empty_history_with_an_epoch_of_its_own(
    options: list[str],
) -> None:
    # Python 3.12 and later warn that there are threads when they fork.
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORKS, *options]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=DEADLINE * 3, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    *children, parent = [line.split() for line in done.stdout.splitlines()]
    assert len({epoch for epoch, *_ in (*children, parent)}) == 21
    for epoch, length, name in children:
        assert (length, name) == ("0", f"{epoch}-1")
    if options:
        assert parent == ["given", "given-1"]


def test_a_child_begins_anew_whatever_its_parent_had() -> None:
    history = EventHistory(epoch="E", offset=5)
    history.append("a")
    begin_anew_after_fork()
    assert len(history) == 0
    assert history.append("b") == f"{history.epoch}-1"
    assert history.epoch != "E"


def test_an_event_is_not_appended_in_the_middle_of_another() -> None:
    history = EventHistory()

    class Name:
        def __str__(self) -> str:
            return history.append("within")

    with pytest.raises(RuntimeError, match="in the middle of another"):
        history.append("without", id=Name())  # type: ignore[arg-type]
    history.append("afterwards")
    assert len(history) == 1


def test_a_stream_whose_thread_was_too_busy_is_closed_once() -> None:
    history = EventHistory(max_events=1)
    go_on = threading.Event()
    readers: list[Reader] = []

    def serve() -> None:
        gevent.get_hub()
        readers.append(Reader())
        history.subscribe(readers[0].source)
        go_on.wait(DEADLINE)
        gevent.sleep(0)
        gevent.sleep(0)

    thread = native.start(serve)
    wait_for(lambda: readers, "it is subscribed")
    for number in range(3):
        history.publish(f"event {number}")
    go_on.set()
    thread.join(DEADLINE)
    assert readers[0].source.ready_state is EventSource.CLOSED
