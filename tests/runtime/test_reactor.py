"""What the connections of a hub share: threads, forks, and the end of the process."""

from __future__ import annotations

import sys
import textwrap
import threading
from collections.abc import Callable
from pathlib import Path

import gevent
import pytest
from gevent._hub_local import get_hub_if_exists

from faye_ws.runtime.background import (
    find_background_reactor,
    place_of_client,
    place_of_request,
)
from faye_ws.runtime.handing_over import hand_over
from faye_ws.runtime.reactor import Reactor, current_reactor
from faye_ws.runtime.threads import current_thread
from support import programs, serving
from support.serving import Peer, Serving, wait_for

connect = serving.connect


def _in_thread(function: Callable[[], object]) -> None:
    """Call a function in a native thread, and raise here what it raises."""
    errors: list[BaseException] = []

    def run() -> None:
        try:
            function()
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    wait_for(lambda: not thread.is_alive(), "the thread is done")
    if errors:
        raise errors[0]


def _script(tmp_path: Path, code: str, *arguments: str) -> programs.Program:
    """Run a script that may import what tests share; its warnings are errors."""
    path = tmp_path / "script.py"
    path.write_text(textwrap.dedent(code))
    folders = f"{programs.ROOT}:{programs.ROOT / 'tests'}"
    return programs.Program(
        [sys.executable, "-u", "-W", "error", path, *arguments], env={"PYTHONPATH": folders}
    )


def test_a_hub_has_one_reactor_and_another_thread_another() -> None:
    reactor = current_reactor()
    others: list[Reactor] = []

    def look() -> None:
        others.append(current_reactor())
        assert others == [current_reactor()]
        assert reactor.is_foreign()
        assert not others[0].is_foreign()
        gevent.get_hub().destroy(destroy_loop=True)

    _in_thread(look)
    assert reactor is current_reactor()
    assert others[0] is not reactor
    assert not reactor.is_foreign()


def test_a_thread_without_a_hub_is_left_without_one() -> None:
    def use() -> None:
        reactor, thread = place_of_client()
        assert reactor is find_background_reactor()
        assert thread is current_thread()
        assert place_of_request()[0] is reactor
        assert get_hub_if_exists() is None

    _in_thread(use)


def test_a_thread_with_a_hub_uses_it() -> None:
    def use() -> None:
        hub = gevent.get_hub()
        reactor, thread = place_of_client()
        assert reactor.hub is hub
        assert thread is None
        gevent.sleep(0)
        hub.destroy(destroy_loop=True)

    _in_thread(use)


def test_a_call_that_is_handed_over_runs_in_the_thread_of_the_hub() -> None:
    reactor = current_reactor()
    seen: list[int] = []

    def call() -> None:
        value = hand_over(reactor, lambda: (seen.append(threading.get_ident()), "value")[1])
        assert value == "value"
        with pytest.raises(ZeroDivisionError):
            hand_over(reactor, lambda: 1 / 0)

    _in_thread(call)
    assert seen == [threading.get_ident()]


def test_a_hub_that_hands_over_a_call_does_not_wait_for_it() -> None:
    reactor = current_reactor()
    called = threading.Event()

    def call() -> None:
        results: list[object] = []
        hub = gevent.get_hub()
        hub.loop.run_callback(lambda: results.append(hand_over(reactor, called.set)))
        while not results:
            gevent.sleep(0.001)
        assert results == [None]
        hub.destroy(destroy_loop=True)

    _in_thread(call)
    wait_for(called.is_set, "it is called")


def test_a_thread_may_end_before_a_call_that_it_has_given_up(
    connect: Serving, caplog: pytest.LogCaptureFixture
) -> None:
    ws, peer = connect()

    def give_up() -> None:
        with pytest.raises(gevent.Timeout), gevent.Timeout(0.05):
            ws.wait_closed()
        gevent.get_hub().destroy(destroy_loop=True)

    _in_thread(give_up)
    peer.hang_up()
    wait_for(connect.is_idle, "the connection is gone")
    for _ in range(5):
        gevent.sleep(0)
    assert not caplog.records


_PATCHING = """
    import sys

    patched = sys.argv[1] == "patched"
    if patched:
        from gevent import monkey
        monkey.patch_all()

    import os, select, signal, socket, ssl, subprocess, threading, time, _thread

    def snapshot():
        modules = os, select, signal, socket, ssl, subprocess, threading, time, _thread
        return [(module.__name__, dict(vars(module))) for module in modules]

    before = snapshot()
    import faye_ws
    assert snapshot() == before
    from gevent import monkey
    assert bool(monkey.saved) is patched

    import gevent
    from support import serving
    from faye_ws import WebSocket

    def accept(ws):
        ws.on("message", lambda event: ws.send(event.data))

    server = serving.Serving()
    ws, peer = server(accept, ping=0.1)
    assert peer.read_frame()[0] == serving.PING
    assert peer.echoes("hello")

    # A thread, which is a greenlet where it is patched; and one that is native always.
    thread = threading.Thread(target=ws.send, args=("from a thread",))
    thread.start()
    native = gevent.get_hub().threadpool.spawn(ws.send, "from a native thread")
    texts = set()
    while len(texts) < 2:
        first, payload = peer.read_frame()
        if first == serving.TEXT:
            texts.add(payload.decode())
    assert texts == {"from a thread", "from a native thread"}
    assert native.get() is True
    thread.join()

    other, silent = server(max_backlog=1000)
    sender = gevent.spawn(other.send, bytes(2**21))
    assert len(silent.read_frame()[1]) == 2**21
    assert sender.get()
    silent.send(serving.text("question"))
    assert other.receive(serving.DEADLINE) == "question"
    peer.send(serving.close())
    ws.wait_closed(serving.DEADLINE)
    server.stop()
    print("done")
"""


@pytest.mark.parametrize("patched", ["plain", "patched"])
def test_importing_patches_nothing_and_all_works_with_and_without(
    tmp_path: Path, patched: str
) -> None:
    with _script(tmp_path, _PATCHING, patched) as program:
        program.wait_for_line("^done$")
        assert program.process.wait(15) == 0
        assert program.errors() == ""


_FORK = """
    import atexit, os, signal, sys

    # The last thing to happen, since it was registered first.
    atexit.register(lambda: childs.close())

    import gevent
    from support import serving
    from gevent import socket
    from faye_ws.runtime.reactor import current_reactor

    def converse(peer):
        for number in range(50):
            peer.send(serving.text(str(number)))
            while (frame := peer.read_frame())[0] != serving.TEXT:
                assert frame == (serving.PING, b""), frame
            assert frame[1] == str(number).encode(), frame
            gevent.sleep(0.01)

    def accept(ws):
        ws.on("message", lambda event: ws.send(event.data))

    signal.alarm(30)
    server = serving.Serving()
    ws, peer = server(accept, ping=0.1, ping_timeout=None)
    assert peer.echoes("before the fork")
    ours, childs = socket.socketpair()
    if sys.argv[1] == "gevent":
        child = gevent.os.fork() == 0
    else:
        child = os.fork() == 0
        if child:
            gevent.reinit()
    if child:
        signal.alarm(30)
        ours.close()
        assert not current_reactor().members
        own = serving.Serving()
        _, other = own(accept, ping=0.1)
        converse(other)
        childs.send(b"done")
        # Not with os._exit(): what runs at the exit must leave the peers of the parent alone.
        sys.exit()

    childs.close()
    converse(peer)
    assert ours.recv(100) == b"done"
    assert ours.recv(100) == b""
    ours.close()
    peer.send(serving.text("after the fork") + serving.close())
    while (frame := peer.read_frame())[0] != serving.TEXT:
        assert frame == (serving.PING, b""), frame
    assert frame[1] == b"after the fork"
    assert peer.read_close() == (1000, "")
    assert ws.wait_closed(serving.DEADLINE).was_clean
    server.stop()
    print("done")
"""


@pytest.mark.parametrize("fork", ["os", "gevent"])
def test_a_forked_child_begins_anew_and_its_parent_goes_on(tmp_path: Path, fork: str) -> None:
    with _script(tmp_path, _FORK, fork) as program:
        program.wait_for_line("^done$", timeout=30)
        assert program.process.wait(15) == 0
        assert program.errors() == ""


_FORKED = """
    import os, signal

    import gevent
    from support import serving
    from faye_ws import ConnectionClosed, ReadyState

    signal.alarm(30)
    server = serving.Serving()
    ws, peer = server()
    if os.fork() == 0:
        gevent.reinit()
        assert ws.ready_state is ReadyState.CLOSED, ws.ready_state
        assert ws.send("not from here") is False
        assert ws.wait_closed(1).code == 1006
        try:
            ws.receive(1)
        except ConnectionClosed:
            print("closed")
        os._exit(0)
    assert os.wait()[1] == 0
    ws.send("from here")
    assert peer.read_text() == "from here"
    peer.hang_up()
    ws.wait_closed(serving.DEADLINE)
    server.stop()
    print("done")
"""


def test_a_connection_of_the_parent_is_closed_to_the_child(tmp_path: Path) -> None:
    with _script(tmp_path, _FORKED) as program:
        program.wait_for_line("^closed$")
        program.wait_for_line("^done$")
        assert program.process.wait(15) == 0
        assert program.errors() == ""


_EXIT = """
    import gevent
    from support import serving

    server = serving.Serving()
    path = server.expect(lambda ws: ws.on("message", lambda event: exits.set()))
    exits = gevent.event.Event()
    print(server.port, flush=True)
    exits.wait()
"""


def test_a_process_that_ends_says_that_it_is_going_away(tmp_path: Path) -> None:
    with _script(tmp_path, _EXIT) as program:
        peer = Peer(int(program.wait_for_line(r"^\d+$")[0]))
        peer.open(serving.handshake("/0"))
        peer.send(serving.text("exit"))
        assert peer.read_close() == (1001, "")
        peer.hang_up()
        assert program.process.wait(15) == 0
        assert program.errors() == ""


_NAN = """
    from support import serving

    server = serving.Serving()
    ws, peer = server()
    for verb in (ws.receive, ws.wait_closed):
        try:
            verb(float("nan"))
        except ValueError:
            print("refused")
"""


def test_a_timeout_that_is_no_number_is_refused(tmp_path: Path) -> None:
    # The loop would never come back from a timer that is due at such a time.
    with _script(tmp_path, _NAN) as program:
        program.wait_for_line("refused")
        program.wait_for_line("refused")
