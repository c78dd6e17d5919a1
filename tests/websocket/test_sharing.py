"""A connection that other threads use, as its own does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from threading import get_ident

import pytest

from faye_ws.websocket.phase import Phase
from faye_ws.websocket.sharing import hand_over, in_hub, is_foreign
from support.parts import Parts
from support.serving import DEADLINE, wait_for


@pytest.fixture
def parts() -> Iterator[Parts]:
    parts = Parts()
    yield parts
    parts.close()


@pytest.fixture
def elsewhere() -> Iterator[Callable[[Callable[[], object]], object]]:
    """Call a function in another thread, while the hub of the test runs."""
    with ThreadPoolExecutor(1) as pool:

        def call(function: Callable[[], object]) -> object:
            answer: Future[object] = pool.submit(function)
            wait_for(answer.done, "the thread is done")
            return answer.result(DEADLINE)

        yield call


Elsewhere = Callable[[Callable[[], object]], object]


def test_a_connection_is_foreign_to_other_threads_until_it_is_over(
    parts: Parts, elsewhere: Elsewhere
) -> None:
    assert not is_foreign(parts.inbox)
    assert elsewhere(lambda: is_foreign(parts.inbox)) is True
    parts.endpoint.drop()
    assert elsewhere(lambda: is_foreign(parts.inbox)) is False


def test_calls_run_in_the_hub_of_the_connection_and_return_what_they_return(
    parts: Parts, elsewhere: Elsewhere
) -> None:
    assert elsewhere(lambda: hand_over(parts.inbox, get_ident)) == get_ident()
    with pytest.raises(ZeroDivisionError):
        elsewhere(lambda: hand_over(parts.inbox, lambda: 1 // 0))


def test_a_call_may_be_here_already(parts: Parts, elsewhere: Elsewhere) -> None:
    threads: list[int] = []
    in_hub(parts.inbox, lambda: threads.append(get_ident()))
    elsewhere(lambda: in_hub(parts.inbox, lambda: threads.append(get_ident())))
    assert threads == [get_ident()] * 2


def test_a_call_to_a_hub_that_is_gone_finds_the_connection_closed(
    parts: Parts, elsewhere: Elsewhere, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts.open()
    reactor = parts.endpoint.reactor
    monkeypatch.setattr(reactor, "is_over", True)
    assert elsewhere(lambda: hand_over(parts.inbox, lambda: parts.endpoint.phase)) is Phase.GONE
    monkeypatch.undo()
    reactor.members.discard(parts.endpoint)
