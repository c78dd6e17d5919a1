"""Greenlets that run listeners, and are used again."""

from __future__ import annotations

import weakref

import gevent
import pytest
from gevent.event import Event
from greenlet import getcurrent, greenlet

from faye_ws.runtime.workers import Job, Workers
from support.serving import count_objects, wait_for


@pytest.fixture
def workers() -> Workers:
    return Workers(gevent.get_hub())


def _run_in_hub(workers: Workers, *jobs: Job) -> None:
    """Let the hub hand out jobs, and return when it has."""
    done: list[bool] = []

    def run() -> None:
        for job in jobs:
            workers.run(job)
        done.append(True)

    gevent.get_hub().loop.run_callback(run)
    wait_for(lambda: done, "the hub has handed out the jobs")


def test_a_job_is_done_before_the_hub_goes_on(workers: Workers) -> None:
    order: list[str] = []
    _run_in_hub(
        workers,
        lambda: order.append("first"),
        lambda: order.append("second"),
    )
    assert order == ["first", "second"]


def test_the_same_worker_does_job_after_job(workers: Workers) -> None:
    seen: set[greenlet] = set()
    for _ in range(3):
        _run_in_hub(workers, *[lambda: seen.add(getcurrent())] * 10)
    assert len(seen) == 1


def test_a_job_that_blocks_keeps_its_worker_and_the_next_gets_another(workers: Workers) -> None:
    go_on = Event()
    order: list[str] = []

    def block() -> None:
        go_on.wait()
        order.append("blocked")

    _run_in_hub(workers, block, lambda: order.append("other"))
    assert order == ["other"]
    go_on.set()
    wait_for(lambda: order == ["other", "blocked"], "it goes on")


def test_a_worker_at_rest_keeps_nothing_of_its_jobs(workers: Workers) -> None:
    class Thing:
        def work(self) -> None:
            pass

    for _ in range(2):
        thing = Thing()
        gone = weakref.ref(thing)
        _run_in_hub(workers, thing.work)
        del thing
        wait_for(lambda gone=gone: gone() is None, "what the job belonged to is gone")


def test_after_a_burst_only_so_many_workers_are_kept(workers: Workers) -> None:
    before = count_objects(greenlet)
    go_on = Event()
    running: list[int] = []

    def block() -> None:
        running.append(1)
        go_on.wait()
        running.pop()

    _run_in_hub(workers, *[block] * 200)
    assert count_objects(greenlet) - before >= 200
    go_on.set()
    wait_for(lambda: not running, "all are done")
    wait_for(lambda: count_objects(greenlet) - before <= 64, "the others are gone")
    _run_in_hub(workers, lambda: running.append(1))
    assert running == [1]


@pytest.mark.parametrize("error", [ValueError, gevent.GreenletExit])
def test_a_job_that_raises_is_logged_and_its_worker_goes_on(
    workers: Workers, caplog: pytest.LogCaptureFixture, error: type[BaseException]
) -> None:
    seen: list[greenlet] = []

    def fail() -> None:
        seen.append(getcurrent())
        raise error

    _run_in_hub(workers, fail, lambda: seen.append(getcurrent()))
    assert seen[0] is seen[1]
    (record,) = caplog.records
    assert record.exc_info is not None
    assert record.exc_info[0] is error
    caplog.clear()


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_what_a_signal_raises_in_a_job_reaches_the_main_greenlet(
    workers: Workers, error: type[BaseException]
) -> None:
    def be_interrupted() -> None:
        # As a handler would, wherever in the job a signal finds us.
        raise error

    gevent.get_hub().loop.run_callback(workers.run, be_interrupted)
    with pytest.raises(error):
        gevent.sleep(5)


def test_a_worker_that_was_killed_at_rest_is_replaced(workers: Workers) -> None:
    seen: list[greenlet] = []
    _run_in_hub(workers, lambda: seen.append(getcurrent()))
    gevent.kill(seen[0])
    wait_for(lambda: seen[0].dead, "it is dead")
    _run_in_hub(workers, lambda: seen.append(getcurrent()))
    assert seen[1] is not seen[0]
