"""The thread of ours that runs a hub for whoever has none, and who lives in it."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import gevent
import pytest
from gevent._hub_local import get_hub_if_exists

from faye_ws.runtime import background
from faye_ws.runtime.background import (
    find_background_reactor,
    forget_background_after_fork,
    place_of_client,
    place_of_request,
    stop_background,
)
from faye_ws.runtime.handing_over import hand_over
from faye_ws.runtime.reactor import current_reactor
from faye_ws.runtime.threads import ClientThread, ListenerPool
from support import native
from support.serving import DEADLINE


@pytest.fixture(autouse=True)
def own_background(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Keep the thread that other tests may use."""
    monkeypatch.setattr(background, "_background", None)
    yield
    stop_background(DEADLINE)


def test_a_thread_without_a_hub_is_left_without_one() -> None:
    def use() -> None:
        reactor, thread = place_of_client()
        assert reactor is find_background_reactor()
        assert reactor.is_foreign()
        assert isinstance(thread, ClientThread)
        assert get_hub_if_exists() is None

    assert find_background_reactor() is None
    native.call(use)


def test_requests_are_heard_in_a_pool() -> None:
    def use() -> None:
        reactor, pool = place_of_request()
        assert reactor is place_of_client()[0]
        assert isinstance(pool, ListenerPool)
        seen: list[int] = []
        hand_over(
            reactor,
            lambda: pool.call(reactor, lambda: seen.append(threading.get_ident())),
            forget=pytest.fail,
        )
        assert seen
        assert seen[0] != threading.get_ident()

    native.call(use)


def test_a_thread_with_a_hub_uses_it() -> None:
    def use() -> None:
        assert place_of_client() == (current_reactor(), None)
        assert place_of_request() == (current_reactor(), None)
        assert find_background_reactor() is None

    native.call_with_hub(use)


def test_a_hub_that_is_only_there_for_listeners_is_not_used() -> None:
    def use() -> None:
        current_reactor().is_made_for_waiting = True
        reactor, thread = place_of_client()
        assert reactor is find_background_reactor()
        assert isinstance(thread, ClientThread)

    native.call_with_hub(use)


def test_the_main_thread_of_a_patched_program_will_have_a_hub(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def use() -> None:
        monkeypatch.setattr(background, "_main_thread", threading.get_ident())
        assert place_of_client() == (current_reactor(), None)

    monkeypatch.setattr(background, "is_module_patched", {"socket": True}.get)
    native.call(use)


def test_the_thread_ends_with_the_process_and_what_it_had() -> None:
    native.call(place_of_client)
    reactor = find_background_reactor()
    assert reactor is not None
    stop_background(DEADLINE)
    assert reactor.is_over
    # Nobody waits for one that has ended.
    stop_background(DEADLINE)


def test_a_child_has_no_copy_of_the_thread() -> None:
    native.call(place_of_client)
    kept = background._background
    forget_background_after_fork()
    assert find_background_reactor() is None
    stop_background(0.0)
    assert kept is not None
    kept.stop(DEADLINE)
    assert gevent.get_hub() is not kept.reactor.hub
