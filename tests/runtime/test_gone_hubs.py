"""Connections whose hub is gone, as those see them who still hold them."""

from __future__ import annotations

import os
import signal
import threading
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gevent
import pytest

from faye_ws import Client, ConnectionClosed, EventSource, WebSocket, broadcast
from support import scripts, serving
from support.parts import inbox_of
from support.scripts import ScriptPeer
from support.serving import DEADLINE, Serving, wait_for


@pytest.fixture
def connect() -> Iterator[Serving]:
    """Open connections; the descriptors of hubs that tests leave behind are not counted."""
    server = Serving()
    yield server
    server.stop()
    wait_for(server.is_idle, "all connections are gone")


def _in_thread(function: Callable[[], object]) -> None:
    thread = threading.Thread(target=function, daemon=True)
    thread.start()
    wait_for(lambda: not thread.is_alive(), "the thread is done")


def _client_of_a_hub_that_ends(connect: Serving, destroy: bool) -> Client:
    """Return a client whose thread, with a hub of its own, has ended without closing it."""
    clients: list[Client] = []

    def work() -> None:
        gevent.get_hub()
        ws = Client(f"ws://127.0.0.1:{connect.port}{path}")
        ws.wait_open()
        clients.append(ws)
        if destroy:
            gevent.get_hub().destroy(destroy_loop=True)

    path = connect.expect()
    _in_thread(work)
    return clients[0]


@pytest.mark.parametrize("destroy", [False, True], ids=["left", "destroyed"])
def test_a_connection_whose_hub_is_gone_is_closed_for_all_who_ask(
    connect: Serving, destroy: bool
) -> None:
    ws = _client_of_a_hub_that_ends(connect, destroy)
    assert ws.send("anybody?") is False
    assert ws.ping() is False
    ws.close()
    assert ws.wait_closed(DEADLINE).code == 1006
    with pytest.raises(ConnectionClosed):
        ws.receive(DEADLINE)


@pytest.mark.parametrize("destroy", [False, True], ids=["left", "destroyed"])
def test_a_broadcast_passes_over_a_connection_whose_hub_is_gone(
    connect: Serving, destroy: bool
) -> None:
    stale = _client_of_a_hub_that_ends(connect, destroy)
    ws, peer = connect()
    # What belongs to another thread is counted before it is tried.
    assert broadcast([stale, ws, stale], "news") <= 2
    assert peer.read_text() == "news"
    assert broadcast([stale, ws], "more") == 1


def test_who_waits_for_a_hub_that_ends_waits_no_longer(connect: Serving) -> None:
    ws, _ = connect()
    ended: list[object] = []
    waits = threading.Event()

    def hold() -> None:
        gevent.get_hub()
        other = Client(f"ws://127.0.0.1:{connect.port}{path}")
        other.wait_open()

        def receive() -> None:
            waits.set()
            try:
                other.receive()
            except ConnectionClosed as error:
                ended.append(error.code)

        threading.Thread(target=receive, daemon=True).start()
        # Until the call has come to this hub, and waits there.
        with gevent.Timeout(DEADLINE):
            while not inbox_of(other).readers.waiting:
                gevent.sleep(0.01)

    path = connect.expect()
    _in_thread(hold)
    assert waits.is_set()
    wait_for(lambda: ended == [1006], "the receiver is told")
    assert ws.ready_state is WebSocket.OPEN


def test_connections_can_be_referenced_weakly(connect: Serving) -> None:
    ws, _ = connect()
    room: weakref.WeakSet[object] = weakref.WeakSet()
    room.add(ws)
    client = Client(f"ws://127.0.0.1:{connect.port}{connect.expect()}")
    room.add(client)
    room.add(EventSource({"REQUEST_METHOD": "GET"}))
    assert set(room) == {ws, client}
    client.close()
    client.wait_closed(DEADLINE)


_FEEDING = """
    import os, sys, threading
    from gevent.pywsgi import WSGIServer
    from faye_ws import WebSocket

    def app(environ, start_response):
        ws = WebSocket(environ)

        def feed():
            try:
                while ws.send("news"):
                    pass
            except InterruptedError:
                # The signal came in the middle of it.
                pass
            os.write(1, b"the feeder has ended\\n")

        # No daemon: the interpreter waits for it.
        ws.on("open", lambda event: start(feed))
        return ws(environ, start_response)

    def start(function):
        threading.Thread(target=function).start()

    import gevent
    server = WSGIServer(("127.0.0.1", 0), app, log=None)
    server.start()
    print("port", server.server_port)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        os.write(1, b"interrupted\\n")
"""


def test_an_interrupt_ends_a_server_whose_connections_are_fed_by_threads(tmp_path: Path) -> None:
    with scripts.run(tmp_path, _FEEDING) as script:
        port = int(script.wait_for_line(r"port (\d+)")[1])
        peer = serving.Peer(port)
        peer.open()
        assert peer.read_text() == "news"
        os.kill(script.process.pid, signal.SIGINT)
        while (frame := peer.read_frame())[1] == b"news":
            """All that was sent before it."""
        assert frame == (serving.CLOSE, b"\x03\xe9")
        peer.hang_up()
        ends = "interrupted", "the feeder has ended"
        assert {script.wait_for_line("|".join(ends))[0] for _ in ends} == set(ends)
        assert script.process.wait(15) == 0


_STREAM_AND_FORK = """
    import os, sys, gevent
    from faye_ws import EventSource, Client, ReadyState

    if sys.argv[2] == "hub":
        gevent.sleep(0)
    es = EventSource.Client(sys.argv[1])
    assert es.receive(10).data == "0"
    # Half-open: the server does not answer.
    waiting = Client(sys.argv[3], connect_timeout=60)
    gevent_or_not = gevent.sleep if sys.argv[2] == "hub" else __import__("time").sleep
    gevent_or_not(0.2)
    pid = os.fork()
    if pid == 0:
        if sys.argv[2] == "hub":
            gevent.reinit()
        assert es.ready_state is ReadyState.CLOSED
        gevent.sleep(1)
        targets = [os.readlink(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd")
                   if os.path.exists(f"/proc/self/fd/{fd}")]
        print("sockets of the child:", sum("socket" in target for target in targets))
        os._exit(0)
    numbers = [event.data for event in (es.receive(10) for _ in range(100))]
    os.waitpid(pid, 0)
    print("numbers", numbers[-1])
    es.close()
    waiting.close()
    os._exit(0)
"""


@pytest.mark.parametrize("kind", ["script", "hub"])
def test_a_child_takes_nothing_of_its_parents_streams(tmp_path: Path, kind: str) -> None:
    from gevent.pywsgi import WSGIServer

    go_on = gevent.event.Event()

    def app(environ: dict[str, Any], start_response: Any) -> Any:
        es = EventSource(environ, ping=None)

        def stream(event: object) -> None:
            es.send("0")
            go_on.wait()
            for number in range(1, 101):
                es.send(str(number))
                gevent.sleep(0.01)

        es.on("open", stream)
        return es(environ, start_response)

    server = WSGIServer(("127.0.0.1", 0), app, log=None)
    server.start()
    with ScriptPeer() as silent:
        url = f"http://127.0.0.1:{server.server_port}/"
        with scripts.run(tmp_path, _STREAM_AND_FORK, url, kind, silent.url) as script:
            gevent.spawn_later(1.0, go_on.set)
            wait_for(lambda: script.process.poll() is not None, "the script is done")
            script.wait_for_line("sockets of the child: 0")
            script.wait_for_line("numbers 100")
            assert script.errors() == ""
    server.stop()
