"""TLS with peers that mean no good, at both ends."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import gevent
import pytest
import trustme

from faye_ws.connecting.tls import TLSSocket
from faye_ws.runtime.transport import TLSTransport
from support import key_updates
from support.serving import wait_for

# So little that answers soon wait.
KERNEL_BUFFER = 2**13
# Their answers are more than anybody holds, and so are they.
UPDATES = 12_000


class Owner:
    """Whoever has a transport: it counts what it is told."""

    def __init__(self) -> None:
        self.data = b""
        self.drained_times = 0

    def data_received(self, data: bytes) -> None:
        """Note it."""
        self.data += data

    def eof_received(self) -> None:
        """Take note of nothing."""

    def progressed(self) -> None:
        """Take note of nothing."""

    def drained(self) -> None:
        """Count it."""
        self.drained_times += 1

    def released(self) -> None:
        """Take note of nothing."""


class Counting(TLSTransport):
    """It counts how often it looks for bytes."""

    __slots__ = ("reads",)

    def _read(self) -> None:
        self.reads = getattr(self, "reads", 0) + 1
        super()._read()


def complete(*steps: Callable[[], object]) -> None:
    """Do the steps of both ends until all of them are done."""
    left = list(steps)
    while left:
        for step in list(left):
            try:
                step()
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError, BlockingIOError):
                continue
            left.remove(step)


class Flood:
    """A transport of ours, and a peer that writes what is to be, and reads when it is told to.

    Args:
        role: what the peer is, `CLIENT` or `SERVER`.
        folder: where the keys are logged.
    """

    def __init__(self, role: str, folder: Path) -> None:
        authority = trustme.CA()
        server_context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        authority.issue_cert("localhost").configure_cert(server_context)
        client_context = ssl.create_default_context()
        authority.configure_trust(client_context)
        key_updates.make_alone(server_context)
        log = folder / "keys"
        (server_context if role == "SERVER" else client_context).keylog_filename = str(log)
        ours, self.peer = socket.socketpair()
        for sock in (ours, self.peer):
            sock.setblocking(False)
            for option in (socket.SO_SNDBUF, socket.SO_RCVBUF):
                sock.setsockopt(socket.SOL_SOCKET, option, KERNEL_BUFFER)
        if role == "SERVER":
            self.ours: Any = TLSSocket(ours, client_context, "localhost")
            self.tls = server_context.wrap_socket(
                self.peer.dup(), server_side=True, do_handshake_on_connect=False
            )
        else:
            self.ours = server_context.wrap_socket(
                ours, server_side=True, do_handshake_on_connect=False
            )
            self.tls = client_context.wrap_socket(
                self.peer.dup(), server_hostname="localhost", do_handshake_on_connect=False
            )
        complete(self.ours.do_handshake, self.tls.do_handshake)
        cipher = self.tls.cipher()
        assert cipher is not None
        assert cipher[0] == key_updates.CIPHER
        secret = key_updates.read_secret(log, role)
        self.left = memoryview(key_updates.make_updates(secret, UPDATES))
        self.owner = Owner()
        self.transport = Counting(self.ours, gevent.get_hub().loop, self.owner)

    def feed(self) -> None:
        """Write as much as goes, until nothing has gone for many turns of the hub."""
        idle = 0
        while self.left and idle < 50:
            idle = 0 if self.feed_some() else idle + 1
            gevent.sleep(0.001)

    def feed_some(self) -> int:
        """Write as much as goes now, and return how much."""
        try:
            sent = self.peer.send(self.left)
        except BlockingIOError:
            return 0
        self.left = self.left[sent:]
        return sent

    def read(self) -> int:
        """Read what has come, and return how much."""
        try:
            return len(self.peer.recv(2**16))
        except BlockingIOError:
            return 0

    def is_read_out(self) -> bool:
        """Read what has come, and tell whether nothing more waits for that."""
        return self.read() == 0 and self.transport.backlog == 0

    def stop(self) -> None:
        """End it all."""
        self.transport.abort()
        self.tls.close()
        self.peer.close()


@pytest.fixture(params=["SERVER", "CLIENT"], ids=lambda role: f"a {role.lower()}")
def flood(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Flood]:
    running = Flood(request.param, tmp_path)
    yield running
    running.stop()


def test_a_peer_that_asks_for_new_keys_and_does_not_read_is_read_no_further(flood: Flood) -> None:
    flood.feed()
    assert flood.left, "all of it was read"
    assert flood.transport.backlog < 2**18
    if isinstance(flood.ours, TLSSocket):
        # What waits for the network is no secret to the application (`buffered_amount`).
        assert flood.transport.backlog > 2**16
    # Nor does it keep the process busy.
    before = flood.transport.reads
    for _ in range(50):
        gevent.sleep(0.001)
    assert flood.transport.reads - before < 10


def test_a_peer_that_reads_after_all_is_read_again(flood: Flood) -> None:
    flood.feed()
    answers = 0

    def is_all_answered() -> bool:
        nonlocal answers
        flood.feed_some()
        answers += flood.read()
        # OpenSSL may answer two that it has met at once with one.
        return not flood.left and answers > UPDATES * 27 * 0.9

    wait_for(is_all_answered, "all is answered")
    wait_for(flood.is_read_out, "nothing waits any more")
    assert flood.owner.drained_times > 0


def test_who_has_paused_is_not_read_again_because_something_was_written(flood: Flood) -> None:
    flood.feed()
    flood.transport.pause_reading()
    wait_for(flood.is_read_out, "nothing waits any more")
    left, reads = len(flood.left), flood.transport.reads
    flood.feed()
    assert flood.transport.reads == reads
    assert left - len(flood.left) < 2**17
    flood.transport.resume_reading()
    wait_for(lambda: flood.transport.reads > reads, "it is read again")


@pytest.mark.parametrize("flood", ["SERVER"], indirect=True)
def test_the_last_words_of_a_peer_that_takes_nothing_any_more_are_heard(flood: Flood) -> None:
    while not flood.ours.unsent:
        flood.ours.send(bytes(2**16))
    flood.tls.send(b"last words")
    flood.tls.close()
    flood.peer.close()
    assert flood.ours.recv(100) == b"last words"


# TLS within TLS


class Within:
    """A server's end of TLS within another TLS connection."""

    def __init__(self, outer: ssl.SSLSocket, context: ssl.SSLContext) -> None:
        self._outer = outer
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)

    def do_handshake(self) -> None:
        """Go on with the handshake."""
        try:
            self._tls.do_handshake()
        finally:
            self._outer.send(self._outgoing.read())
            self._fill()

    def _fill(self) -> None:
        with suppress(ssl.SSLWantReadError):
            self._incoming.write(self._outer.recv(2**16))

    def read(self) -> bytes:
        """Return what has come."""
        self._fill()
        try:
            return self._tls.read(2**20)
        except ssl.SSLWantReadError:
            return b""


def test_what_waits_in_tls_within_tls_is_counted_and_goes_out() -> None:
    authority = trustme.CA()
    server_context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(server_context)
    client_context = ssl.create_default_context()
    authority.configure_trust(client_context)
    ours, theirs = socket.socketpair()
    for sock in (ours, theirs):
        sock.setblocking(False)
    below = TLSSocket(ours, client_context, "localhost")
    peer_below = server_context.wrap_socket(theirs, server_side=True, do_handshake_on_connect=False)
    complete(below.do_handshake, peer_below.do_handshake)
    above = TLSSocket(below, client_context, "localhost")
    peer = Within(peer_below, server_context)
    complete(above.do_handshake, peer.do_handshake)
    for option in (socket.SO_SNDBUF, socket.SO_RCVBUF):
        ours.setsockopt(socket.SOL_SOCKET, option, KERNEL_BUFFER)
    owner = Owner()
    transport = TLSTransport(above, gevent.get_hub().loop, owner)
    # Less than one layer takes at once: nothing but TLS has what the socket does not take.
    data = bytes(range(256)) * 2**7
    transport.write(data)
    assert 0 < transport.backlog < 2 * len(data)
    received = b""

    def has_come() -> bool:
        nonlocal received
        received += peer.read()
        return len(received) >= len(data)

    wait_for(has_come, "all has come")
    assert received == data
    wait_for(lambda: owner.drained_times == 1, "it is told")
    assert transport.backlog == 0
    transport.abort()
    peer_below.close()
