"""Clients of programs that run no hub: scripts, notebooks, executors."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import scripts, serving
from support.scripts import CLOSE, PING, TEXT, ScriptPeer


@pytest.fixture
def peer() -> Iterator[ScriptPeer]:
    with ScriptPeer() as peer:
        yield peer


_BUSY = """
    import sys, time
    from gevent._hub_local import get_hub_if_exists
    from faye_ws import Client

    with Client(sys.argv[1]) as ws:
        print("busy")
        sys.stdin = None
        while not sys.argv[0].endswith("/done") and not ws._inbox.messages:
            sum(range(1000))
        print(ws.receive(5))
        assert get_hub_if_exists() is None
    print("done")
"""


def test_pings_are_answered_while_the_script_computes(tmp_path: Path, peer: ScriptPeer) -> None:
    with scripts.run(tmp_path, _BUSY, peer.url) as script:
        peer.accept()
        script.wait_for_line("busy")
        for _ in range(3):
            assert peer.is_alive()
        peer.send(TEXT, b"enough")
        script.wait_for_line("enough")
        assert peer.read_frame() == (CLOSE, b"\x03\xe8")
        peer.send(CLOSE, b"\x03\xe8")
        script.wait_for_line("done")
        assert script.process.wait(15) == 0
        assert script.errors() == ""


_LISTENERS = """
    import sys, threading, time
    from faye_ws import Client

    heard = []
    ws = Client(sys.argv[1])

    @ws.on("message")
    def message(event):
        assert threading.current_thread() is threading.main_thread()
        heard.append(event.data)
        if event.data == "block":
            # This listener waits for us; the other client's goes on.
            ws.receive(5)
            heard.append("unblocked")

    ws.wait_open()
    print("open")
    # Another thread waits, but it has not made the client.
    thread = threading.Thread(target=lambda: ws.wait_closed(10))
    thread.start()
    while not ws._inbox.messages and not ws._inbox.listening.worker:
        time.sleep(0.001)
    assert heard == [], heard
    other = Client(sys.argv[2])
    other.on("message", lambda event: (heard.append("other"), other.close()))
    assert other.wait_closed(10).code == 1000
    # Which of the two connections is the first to call its listener is chance.
    print(sorted(heard))
    ws.wait_closed(10)
    thread.join()
    print(heard)
"""


def test_listeners_are_called_in_the_thread_that_made_the_client_while_it_waits(
    tmp_path: Path, peer: ScriptPeer
) -> None:
    with ScriptPeer() as second, scripts.run(tmp_path, _LISTENERS, peer.url, second.url) as script:
        peer.accept()
        script.wait_for_line("open")
        peer.send(TEXT, b"a")
        peer.send(TEXT, b"block")
        second.accept()
        second.send(TEXT, b"b")
        assert second.read_frame()[0] == CLOSE
        second.send(CLOSE, b"\x03\xe8")
        script.wait_for_line(r"\['a', 'block', 'other'\]")
        peer.send(TEXT, b"answer")
        peer.send(CLOSE, b"\x03\xe8")
        script.wait_for_line(r"\['a', 'block', 'other', 'unblocked'\]")
        assert script.process.wait(15) == 0
        assert script.errors() == ""


_TO_THREAD = """
    import asyncio, sys
    from faye_ws import Client

    ws = Client(sys.argv[1])
    ws.wait_open()

    async def main():
        print("waits", flush=True)
        print(await asyncio.to_thread(ws.receive, 10))
        try:
            await asyncio.to_thread(ws.receive, 0.05)
        except TimeoutError as error:
            print(error)

    asyncio.run(main())
    ws.close()
"""


def test_a_client_can_be_read_in_threads_of_asyncio(tmp_path: Path, peer: ScriptPeer) -> None:
    with scripts.run(tmp_path, _TO_THREAD, peer.url) as script:
        peer.accept()
        script.wait_for_line("waits")
        peer.send(TEXT, b"hello")
        script.wait_for_line("hello")
        script.wait_for_line("no message has come")
        assert script.process.wait(15) == 0
        assert script.errors() == ""


_HUB_AND_THREAD = """
    import sys, threading, time
    import gevent
    from faye_ws import Client

    gevent.sleep(0)
    ws = Client(sys.argv[1])
    ws.wait_open()
    ended = threading.Event()

    def receive():
        try:
            ws.receive(timeout=0.1)
        except TimeoutError as error:
            print(error)
        ended.set()

    threading.Thread(target=receive).start()
    # Its hub does not run meanwhile.
    assert ended.wait(10)
    ws.close()
    ws.wait_closed(10)
"""


def test_a_timeout_holds_in_its_thread_though_the_hub_of_the_connection_sleeps(
    tmp_path: Path, peer: ScriptPeer
) -> None:
    with scripts.run(tmp_path, _HUB_AND_THREAD, peer.url) as script:
        peer.accept()
        script.wait_for_line("no message has come")
        assert peer.read_frame() == (CLOSE, b"\x03\xe8")
        peer.send(CLOSE, b"\x03\xe8")
        assert script.process.wait(15) == 0
        assert script.errors() == ""


_INTERRUPTED = """
    import sys
    from faye_ws import Client

    with Client(sys.argv[1]) as ws:
        try:
            print("waits")
            ws.receive()
        except KeyboardInterrupt:
            print("caught")
        print(ws.receive(5))
"""


def test_an_interrupt_that_is_caught_prints_nothing_and_loses_nothing(
    tmp_path: Path, peer: ScriptPeer
) -> None:
    with scripts.run(tmp_path, _INTERRUPTED, peer.url) as script:
        peer.accept()
        script.wait_for_line("waits")
        os.kill(script.process.pid, signal.SIGINT)
        script.wait_for_line("caught")
        peer.send(TEXT, b"hello")
        script.wait_for_line("hello")
        assert peer.read_frame()[0] == CLOSE
        peer.send(CLOSE, b"\x03\xe8")
        assert script.process.wait(15) == 0
        assert script.errors() == ""


_INTERRUPTED_IN_LISTENER = """
    import sys
    from faye_ws import Client

    ws = Client(sys.argv[1])
    ws.on("message", lambda event: (print("listens"), ws.receive()))
    try:
        ws.wait_closed()
    except KeyboardInterrupt:
        print("caught in the main greenlet")
"""


def test_an_interrupt_reaches_the_program_though_a_listener_waits(
    tmp_path: Path, peer: ScriptPeer
) -> None:
    with scripts.run(tmp_path, _INTERRUPTED_IN_LISTENER, peer.url) as script:
        peer.accept()
        peer.send(TEXT, b"a")
        script.wait_for_line("listens")
        os.kill(script.process.pid, signal.SIGINT)
        script.wait_for_line("caught in the main greenlet")
        # 1001, or 1011 if the listener was not yet waiting.
        assert peer.read_frame()[0] == CLOSE
        peer.socket.close()
        assert script.process.wait(15) == 0


_EXITING = """
    import sys, threading
    from faye_ws import Client

    clients = [Client(sys.argv[1])]
    clients[0].wait_open()
    if sys.argv[2] == "thread":
        # It is no daemon, so the interpreter waits for it.
        threading.Thread(target=clients[0].receive).start()
    print("ends")
    if sys.argv[2] == "raises":
        raise SystemExit(7)
"""


@pytest.mark.parametrize("way", ["plain", "thread", "raises"])
def test_a_script_that_ends_says_that_it_is_going_away(
    tmp_path: Path, peer: ScriptPeer, way: str
) -> None:
    with scripts.run(tmp_path, _EXITING, peer.url, way) as script:
        peer.accept()
        script.wait_for_line("ends")
        assert peer.read_frame() == (CLOSE, b"\x03\xe9")
        peer.socket.close()
        assert script.process.wait(15) == (7 if way == "raises" else 0)
        expected = "ConnectionClosed" if way == "thread" else ""
        assert expected in script.errors()
        assert "Fatal" not in script.errors()


_FORKING = """
    import os, sys
    from faye_ws import Client, ConnectionClosed

    ws = Client(sys.argv[1])
    ws.wait_open()
    if os.fork() == 0:
        assert ws.ready_state == ws.CLOSED
        assert ws.send("no") is False
        try:
            ws.receive(5)
        except ConnectionClosed:
            print("closed to the child")
        with Client(sys.argv[2]) as own:
            print(own.receive(5))
        sys.exit()
    assert os.wait()[1] == 0
    print("the child is gone")
    print(ws.receive(5))
    ws.close()
    ws.wait_closed(5)
"""


def test_a_child_has_clients_of_its_own_and_leaves_the_parents_alone(
    tmp_path: Path, peer: ScriptPeer
) -> None:
    with ScriptPeer() as second, scripts.run(tmp_path, _FORKING, peer.url, second.url) as script:
        peer.accept()
        script.wait_for_line("closed to the child")
        second.accept()
        second.send(TEXT, b"for the child")
        script.wait_for_line("for the child")
        assert second.read_frame()[0] == CLOSE
        second.send(CLOSE, b"\x03\xe8")
        script.wait_for_line("the child is gone")
        peer.send(PING, b"still?")
        peer.send(TEXT, b"for the parent")
        script.wait_for_line("for the parent")
        assert peer.read_frame()[1] == b"still?"
        assert peer.read_frame()[0] == CLOSE
        peer.send(CLOSE, b"\x03\xe8")
        assert script.process.wait(15) == 0
        assert script.errors() == ""


_DEAD = """
    import sys, time
    from faye_ws import Client

    ws = Client(sys.argv[1])
    ws.wait_open()
    print("open")
    while ws.ready_state == ws.OPEN:
        time.sleep(0.001)
    print(ws.send("too late"), int(ws.wait_closed(5).code))
"""


def test_a_send_on_a_dead_connection_is_not_told_true(tmp_path: Path, peer: ScriptPeer) -> None:
    with scripts.run(tmp_path, _DEAD, peer.url) as script:
        peer.accept()
        script.wait_for_line("open")
        peer.socket.close()
        script.wait_for_line("False 1006")
        assert script.process.wait(15) == 0
        assert script.errors() == ""


_MANY = """
    import os, sys, threading
    from faye_ws import Client

    clients = [Client(sys.argv[1]) for _ in range(200)]
    for ws in clients:
        ws.wait_open()
    # The program's, ours, and up to ten in which gevent looks names up.
    assert len(os.listdir("/proc/self/task")) <= 12, os.listdir("/proc/self/task")
    for ws in clients:
        ws.close()
    for ws in clients:
        ws.wait_closed(5)
    print("descriptors", len(os.listdir("/proc/self/fd")))
"""


def test_many_clients_of_a_script_share_one_thread(tmp_path: Path) -> None:
    server = serving.Serving()
    path = server.expect()
    with scripts.run(tmp_path, _MANY, f"ws://127.0.0.1:{server.port}{path}") as script:
        serving.wait_for(lambda: script.process.poll() is not None, "the script ends")
        assert int(script.wait_for_line(r"descriptors (\d+)")[1]) < 20
        assert script.errors() == ""
    server.stop()


_LATE_HUB = """
    import sys
    from faye_ws import Client

    ws = Client(sys.argv[1])
    ws.on("message", lambda event: print(event.data))
    ws.wait_open()
    print("open")
    import gevent
    gevent.sleep(0.01)
    # From here on this thread has a hub, and listeners are called in it.
    ws.wait_closed(10)
    print("closed")
"""


def test_a_program_that_makes_a_hub_later_hears_its_messages(
    tmp_path: Path, peer: ScriptPeer
) -> None:
    with scripts.run(tmp_path, _LATE_HUB, peer.url) as script:
        peer.accept()
        script.wait_for_line("open")
        peer.send(TEXT, b"hello")
        script.wait_for_line("hello")
        peer.send(CLOSE, b"\x03\xe8")
        script.wait_for_line("closed")
        assert script.process.wait(15) == 0
        assert script.errors() == ""


_SLEEPING_LISTENER = """
    import sys, time
    import gevent
    from faye_ws import Client

    heard = []
    ws = Client(sys.argv[1])

    @ws.on("message")
    def message(event):
        gevent.sleep(float(event.data))
        ws.ping()
        heard.append(event.data)

    ws.on("close", lambda event: heard.append(int(event.code)))
    ws.wait_open()
    print("open")
    print(int(ws.wait_closed(20).code))
    print(heard)
"""


def test_listeners_may_sleep_as_gevent_does(tmp_path: Path, peer: ScriptPeer) -> None:
    with scripts.run(tmp_path, _SLEEPING_LISTENER, peer.url) as script:
        peer.accept()
        script.wait_for_line("open")
        for _ in range(2):
            peer.send(TEXT, b"0.001")
            assert peer.read_frame()[0] == PING
        peer.send(CLOSE, b"\x03\xe8")
        script.wait_for_line("1000")
        script.wait_for_line(r"\['0.001', '0.001', .*1000.*\]")
        assert script.process.wait(15) == 0
        assert script.errors() == ""


_TIMEOUT_BESIDE_LISTENER = """
    import os, sys, time
    import gevent
    from faye_ws import Client

    ws = Client(sys.argv[1])
    other = Client(sys.argv[2])
    sleeping = []
    ws.on("message", lambda event: (sleeping.append(True), print("sleeps"), gevent.sleep(60)))
    said = None
    while not said:
        begun = bool(sleeping)
        try:
            other.wait_closed(timeout=0.2)
        except TimeoutError as error:
            said = begun and error
    print(said)
    os._exit(0)
"""


def test_a_timeout_is_kept_while_a_listener_sleeps(tmp_path: Path, peer: ScriptPeer) -> None:
    with (
        ScriptPeer() as second,
        scripts.run(tmp_path, _TIMEOUT_BESIDE_LISTENER, peer.url, second.url) as script,
    ):
        peer.accept()
        second.accept()
        peer.send(TEXT, b"a")
        script.wait_for_line("sleeps")
        script.wait_for_line("the connection is not closed")


_SIGNAL_HANDLER = """
    import signal, sys
    from faye_ws import Client

    ws = Client(sys.argv[1])
    ws.wait_open()
    signal.signal(signal.SIGUSR1, lambda *_: ws.close())
    print("waits")
    print(int(ws.wait_closed(10).code))
"""


def test_a_signal_handler_may_use_a_connection_that_the_program_waits_for(
    tmp_path: Path, peer: ScriptPeer
) -> None:
    with scripts.run(tmp_path, _SIGNAL_HANDLER, peer.url) as script:
        peer.accept()
        script.wait_for_line("waits")
        os.kill(script.process.pid, signal.SIGUSR1)
        assert peer.read_frame() == (CLOSE, b"\x03\xe8")
        peer.send(CLOSE, b"\x03\xe8")
        script.wait_for_line("1000")
        assert script.process.wait(15) == 0
        assert script.errors() == ""


_FORKED_INBOX = """
    import os, sys, time
    from faye_ws import Client, ConnectionClosed

    ws = Client(sys.argv[1])
    ws.wait_open()
    while not ws._inbox.messages:
        time.sleep(0.001)
    if os.fork() == 0:
        try:
            print(ws.receive(5))
        except ConnectionClosed:
            print("nothing for the child")
        os._exit(0)
    os.wait()
    print(ws.receive(5))
    os._exit(0)
"""


def test_what_has_come_before_a_fork_is_the_parents_alone(tmp_path: Path, peer: ScriptPeer) -> None:
    with scripts.run(tmp_path, _FORKED_INBOX, peer.url) as script:
        peer.accept().send(TEXT, b"for the parent")
        script.wait_for_line("nothing for the child")
        script.wait_for_line("for the parent")


_FORK_AFTER_LISTENERS = """
    import os, sys, time
    from faye_ws import Client

    ws = Client(sys.argv[1])
    heard = []
    ws.on("message", lambda event: heard.append(event.data))

    def hear(count):
        while len(heard) < count:
            try:
                ws.wait_closed(0.05)
            except TimeoutError:
                pass

    hear(1)
    if os.fork() == 0:
        import gevent
        gevent.sleep(1)
        os._exit(0)
    print("forked")
    hear(50)
    print("heard", len(heard))
    os.wait()
    os._exit(0)
"""


def test_a_child_does_not_run_the_hub_that_its_parents_listeners_have(
    tmp_path: Path, peer: ScriptPeer
) -> None:
    with scripts.run(tmp_path, _FORK_AFTER_LISTENERS, peer.url) as script:
        peer.accept().send(TEXT, b"first")
        script.wait_for_line("forked")
        for number in range(48):
            peer.send(TEXT, str(number).encode())
            assert peer.is_alive()
        peer.send(TEXT, b"last")
        script.wait_for_line("heard 50")
