"""What the connections of a hub share: threads, forks, and the end of the process."""

from __future__ import annotations

import os
import sys
import textwrap
import weakref
from functools import partial
from pathlib import Path
from typing import Any

import gevent
import pytest

from faye_ws.runtime.reactor import Reactor, all_reactors, current_reactor
from support import native, programs, serving
from support.serving import Peer, Serving, wait_for

connect = serving.connect


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

    native.call(look)
    assert reactor is current_reactor()
    assert others[0] is not reactor
    assert not reactor.is_foreign()


def test_a_thread_may_end_before_a_call_that_it_has_given_up(
    connect: Serving, caplog: pytest.LogCaptureFixture
) -> None:
    ws, peer = connect()

    def give_up() -> None:
        with pytest.raises(gevent.Timeout), gevent.Timeout(0.05):
            ws.wait_closed()

    native.call(give_up)
    peer.hang_up()
    wait_for(connect.is_idle, "the connection is gone")
    for _ in range(5):
        gevent.sleep(0)
    assert not caplog.records


class Member:
    """A connection, which notes what is asked of it."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    def leave(self) -> None:
        """Say goodbye to the peer."""
        self.heard.append("leave")

    def cut_off(self) -> None:
        """End it without the peer."""
        self.heard.append("cut off")

    def forget(self) -> None:
        """Let go of the descriptor."""
        self.heard.append("forget")
        raise OSError("broken")

    def disown(self) -> None:
        """Forget it, and what has come over it."""
        self.heard.append("disown")


class Call:
    """A call that another thread waits for."""

    is_over = False

    def fail(self) -> None:
        """End it."""
        self.is_over = True


def test_a_reactor_tells_all_its_connections(caplog: pytest.LogCaptureFixture) -> None:
    reactor = Reactor(gevent.get_hub())
    members = Member(), Member()
    reactor.members.update(members)
    call = Call()
    reactor.calls.add(call)
    reactor.leave()
    reactor.cut_off()
    assert not reactor.is_over
    assert not call.is_over
    reactor.end()
    for member in members:
        assert member.heard == ["leave", "cut off", "forget"]
    # That one is broken is no reason to keep the other.
    assert caplog.text.count("a connection can't be forgotten") == 2
    assert not reactor.members
    assert call.is_over
    assert reactor.is_over


def test_what_is_posted_is_called_in_the_hub_from_whatever_thread() -> None:
    reactor = current_reactor()
    called: list[object] = []

    def note(value: object) -> None:
        assert not reactor.is_foreign()
        called.append(value)

    assert reactor.post(note, 1)
    native.call(lambda: reactor.post(note, 2))
    wait_for(lambda: called == [1, 2], "both are called")


@pytest.mark.parametrize("where", ["here", "elsewhere"])
@pytest.mark.parametrize("is_destroyed", [True, False])
def test_nothing_can_be_posted_to_a_hub_that_is_gone(where: str, is_destroyed: bool) -> None:
    def make() -> None:
        reactor = current_reactor()
        if is_destroyed:
            gevent.get_hub().destroy(destroy_loop=True)
        else:
            reactor.end()
        posts: list[bool] = []
        post = partial(reactor.post, pytest.fail)
        run = native.start if where == "elsewhere" else lambda function: function()
        for _ in range(2):
            thread = run(lambda: posts.append(post()))
            if thread is not None:
                thread.join(serving.DEADLINE)
            assert reactor.is_over
        assert posts == [False, False]

    native.call(make)


def test_a_hub_has_another_reactor_when_the_first_is_over() -> None:
    def look() -> None:
        first = current_reactor()
        first.end()
        second = current_reactor()
        assert second is not first
        assert not second.is_over
        assert {first, second} <= set(all_reactors())

    native.call(look)


def test_a_reactor_is_over_when_its_thread_is_and_its_hub_keeps_nothing_of_it() -> None:
    made: list[Any] = []

    def make() -> None:
        current_reactor().calls.add(calls[0])
        made.append(gevent.get_hub())
        made.append(weakref.ref(current_reactor()))

    calls = [Call()]
    thread = native.start(make)
    thread.join(serving.DEADLINE)
    hub, reactor = made
    assert calls[0].is_over
    assert reactor() is None
    hub.loop.destroy()


def test_a_child_begins_anew_with_the_hub_that_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    def begin() -> None:
        reactor = current_reactor()
        member = Member()
        reactor.members.add(member)
        reactor.is_leaving = True
        reactor.heartbeat.add(member, 0.0)  # type: ignore[arg-type]
        workers = reactor.workers
        monkeypatch.setattr(os, "getpid", lambda: -1)
        reactor.begin_anew()
        assert member.heard == ["disown"]
        assert not reactor.is_over
        assert not reactor.is_leaving
        assert reactor.workers is not workers
        gevent.sleep(0)
        # From now on it is this process's.
        other = Member()
        reactor.members.add(other)
        reactor.end()
        assert other.heard == ["forget"]

    native.call(begin)


def test_a_child_has_nothing_of_the_hubs_of_other_threads() -> None:
    def look(reactor: Reactor) -> None:
        reactor.begin_anew()
        assert reactor.is_over

    native.call(lambda: native.call(partial(look, Reactor(gevent.get_hub()))))


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
