"""The command line tails an event stream."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from support import programs
from support.command_line import COMMAND, run

SERVER = """
import gevent
from gevent.pywsgi import WSGIServer
from faye_ws import EventSource

def app(environ, start_response):
    if environ["PATH_INFO"] == "/stop" or environ.get("HTTP_LAST_EVENT_ID") == "4":
        start_response("204 No Content", [])
        return []
    es = EventSource(environ, retry=0.05)

    @es.on("open")
    def opened(event):
        number = int(es.last_event_id or -1) + 1
        es.send(f"event {number} {environ.get('HTTP_X_NAME', '')}", "tick", number)
        es.send("\\u00fc\\ntwo lines", id=number + 1)
        if environ["PATH_INFO"] == "/feed":
            gevent.sleep(1000)
        es.close()

    return es(environ, start_response)

server = WSGIServer(("127.0.0.1", 0), app, log=None)
server.start()
print("port", server.server_port, flush=True)
server.serve_forever()
"""


@pytest.fixture(scope="module")
def http() -> Iterator[str]:
    with programs.Program([sys.executable, "-c", SERVER]) as program:
        yield f"http://127.0.0.1:{program.wait_for_line(r'^port (.+)$')[1]}"


def test_the_data_of_events_is_shown(http: str) -> None:
    status, output, errors = run("-c", "2", "-H", "X-Name: me", f"{http}/feed")
    assert (status, errors) == (0, "")
    assert output == "event 0 me\n\u00fc\ntwo lines\n"


def test_a_stream_is_taken_up_until_a_final_answer(http: str) -> None:
    status, output, errors = run(f"{http}/", "--last-event-id", "0")
    assert status == 1
    assert output == "event 1 \n\u00fc\ntwo lines\nevent 3 \n\u00fc\ntwo lines\n"
    assert errors == "faye-ws: the server answered 204 No Content: there is nothing to wait for\n"


def test_verbose_tells_types_ids_and_what_is_lost(http: str) -> None:
    status, _, errors = run("-v", "-c", "3", f"{http}/")
    assert status == 0
    lost = "faye-ws: the server has ended the connection"
    assert {f"{http}/: 200", "tick 0", "message 1", lost} <= set(errors.splitlines())


def test_what_is_no_stream_is_one_line(http: str) -> None:
    status, output, errors = run(f"{http}/stop")
    assert (status, output, errors.count("\n")) == (1, "", 1)


@pytest.mark.parametrize("url", ["http://", "http:///x"])
def test_what_is_no_url_is_a_wrong_command_line(url: str) -> None:
    status, output, errors = run(url)
    assert (status, output, errors.count("\n")) == (2, "", 1)


def test_an_interrupt_ends_it(http: str) -> None:
    with subprocess.Popen(
        [*COMMAND, f"{http}/feed"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == b"event 0 \n"
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130
        assert process.stderr.read() == b""
