"""Servers that are stopped: every WebSocket is told 1001, every event stream ends, and so does
the process."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

from support import programs, wire
from support.certificates import Certificates

HERE = Path(__file__).parent
# Long after anything that is measured in seconds: who is late here has hung.
DEADLINE = 40.0
GUNICORN = {"gevent": ["-k", "gevent"], "gthread": ["-k", "gthread", "--threads", "20"]}
SERVERS = ["pywsgi", "gevent", "gthread", "werkzeug"]
SIGNALS = [signal.SIGTERM, signal.SIGHUP, signal.SIGINT]
WEBSOCKETS = ["/idle", "/loop", "/ticks"]
STREAMS = ["/idle", "/ticks"]
TROUBLE = re.compile(r"WORKER TIMEOUT|SIGSEGV|SIGKILL|SIGABRT|Exception ignored")

pytestmark = pytest.mark.timeout(180)


class Served:
    """A server that runs."""

    def __init__(
        self, name: str, program: programs.Program, port: int, tls: Certificates | None
    ) -> None:
        self.name = name
        self.program = program
        self._port = port
        self._trust = tls.trusted if tls else None

    def dial(self) -> socket.socket:
        peer = socket.create_connection(("127.0.0.1", self._port), DEADLINE)
        if self._trust is not None:
            return self._trust.wrap_socket(peer, server_hostname="localhost")
        return peer

    def serves_pages(self) -> bool:
        with self.dial() as peer:
            peer.sendall(b"GET / HTTP/1.0\r\n\r\n")
            return b"page" in b"".join(iter(lambda: peer.recv(2**16), b""))

    def serving_pid(self) -> int:
        pid = self.program.process.pid
        if self.name not in GUNICORN:
            return pid
        return int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])

    def wait_for_end(self, pid: int, is_reload: bool) -> None:
        """Wait until the program has ended, or in a reload its old worker."""
        if not is_reload:
            try:
                self.program.process.wait(DEADLINE)
            except subprocess.TimeoutExpired:
                pytest.fail(f"it has not ended after {DEADLINE} s:\n{self.program.errors()}")
            return
        deadline = time.monotonic() + DEADLINE
        while Path(f"/proc/{pid}").exists():
            if time.monotonic() > deadline:
                pytest.fail(f"the worker still runs:\n{self.program.errors()}")
            time.sleep(0.02)


class Peer:
    """A connection to a server that will be stopped."""

    def __init__(self, served: Served) -> None:
        self.socket = served.dial()
        self._data = b""

    def ask(self, request: bytes, status: bytes) -> None:
        self.socket.sendall(request)
        while b"\r\n\r\n" not in self._data:
            assert self._more(), self._data
        head, _, self._data = self._data.partition(b"\r\n\r\n")
        assert status in head.partition(b"\r\n")[0]

    def read_close(self) -> int:
        """Pass over what comes before the close frame, and return its code."""
        while True:
            while len(self._data) < 2 or len(self._data) < 2 + self._data[1]:
                assert self._more(), "the connection ended without a close frame"
            end = 2 + self._data[1]
            frame, self._data = self._data[:end], self._data[end:]
            if frame[0] == wire.CLOSE:
                return int.from_bytes(frame[2:4], "big")

    def answer_close(self) -> None:
        self.socket.sendall(wire.frame(wire.CLOSE, wire.close_payload(1001), wire.KEY))

    def read_to_end(self) -> None:
        """Read until the server has ended the connection, or the body of its response.

        Raises:
            TimeoutError: it does not.
            ConnectionResetError: it throws away what is on its way.
        """
        while not self._data.endswith(b"\r\n0\r\n\r\n") and self._more():
            """Events go on."""

    def _more(self) -> bytes:
        data = self.socket.recv(2**16)
        self._data += data
        return data


@contextmanager
def serve(name: str, tls: Certificates | None) -> Iterator[Served]:
    environment = {"PYTHONPATH": str(programs.ROOT)}
    files = [tls.cert, tls.key] if tls else []
    if name in GUNICORN:
        command = [sys.executable, "-m", "gunicorn", *GUNICORN[name], "-b", "127.0.0.1:0"]
        command += ["-w", "1", "--chdir", str(HERE), "--graceful-timeout", "5", "--timeout", "30"]
        command += ["--no-control-socket", "stopping:app"]
        command += [
            word
            for option in zip(("--certfile", "--keyfile"), files, strict=False)
            for word in option
        ]
    else:
        command = [sys.executable, str(HERE / "stopping.py"), name, *files]
    # In a process group of its own.
    with programs.Program(["setsid", *command], env=environment) as program:
        try:
            served = Served(name, program, wait_for_port(name, program), tls)
            assert served.serves_pages()
            yield served
        finally:
            # A worker outlives an arbiter that is killed.
            with suppress(ProcessLookupError):
                os.killpg(program.process.pid, signal.SIGKILL)


def wait_for_port(name: str, program: programs.Program) -> int:
    if name not in GUNICORN:
        return int(program.wait_for_line(r"^port (\d+)$")[1])
    return program.wait_for_gunicorn(DEADLINE)


@pytest.fixture(params=["plain", "TLS"])
def tls(request: pytest.FixtureRequest, certificates: Certificates) -> Certificates | None:
    return certificates if request.param == "TLS" else None


def connect(served: Served, stack: ExitStack) -> tuple[list[Peer], list[Peer]]:
    """Return WebSockets and event streams, all of which the application has got to know."""
    websockets, streams = [], []
    for path in WEBSOCKETS * 2:
        peer = Peer(served)
        stack.enter_context(peer.socket)
        line = f"GET {path} HTTP/1.1\r\n".encode()
        peer.ask(wire.request(line=line), b" 101 ")
        websockets.append(peer)
    for path in STREAMS * 2:
        peer = Peer(served)
        stack.enter_context(peer.socket)
        line = f"GET {path} HTTP/1.1\r\nHost: localhost\r\n".encode()
        peer.ask(line + b"Accept: text/event-stream\r\n\r\n", b" 200 ")
        streams.append(peer)
    return websockets, streams


def stop(served: Served, signum: signal.Signals, deaf: int = 0) -> None:
    """Send a signal, and see that all ends as it should, though some peers never answer."""
    is_reload = signum is signal.SIGHUP and served.name in GUNICORN
    with ExitStack() as stack:
        websockets, streams = connect(served, stack)
        pid = served.serving_pid()
        served.program.process.send_signal(signum)
        try:
            for number, peer in enumerate(websockets):
                assert peer.read_close() == 1001
                if number >= deaf:
                    peer.answer_close()
            for peer in streams:
                peer.read_to_end()
        except TimeoutError:
            pytest.fail(f"a peer still waits after {DEADLINE} s:\n{served.program.errors()}")
        served.wait_for_end(pid, is_reload)
    trouble = TROUBLE.search(served.program.errors())
    assert trouble is None, served.program.errors()
    if is_reload:
        assert served.serves_pages()


@pytest.mark.parametrize("name", SERVERS)
@pytest.mark.parametrize("signum", SIGNALS, ids=lambda signum: signum.name)
def test_all_are_told_and_the_process_ends(
    name: str, signum: signal.Signals, tls: Certificates | None
) -> None:
    with serve(name, tls) as served:
        stop(served, signum)


@pytest.mark.parametrize("name", SERVERS)
def test_the_process_ends_though_peers_never_answer(name: str, tls: Certificates | None) -> None:
    with serve(name, tls) as served:
        stop(served, signal.SIGTERM, deaf=2)


@pytest.mark.parametrize("name", GUNICORN)
def test_the_worker_ends_in_a_reload_though_peers_never_answer(
    name: str, tls: Certificates | None
) -> None:
    with serve(name, tls) as served:
        stop(served, signal.SIGHUP, deaf=2)
