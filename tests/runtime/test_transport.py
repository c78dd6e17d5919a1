"""Bytes between a socket and its owner."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Iterator
from typing import Any

import gevent
import pytest
import trustme

from faye_ws.runtime.tls_transport import TLSTransport, open_transport
from faye_ws.runtime.transport import Transport
from support.serving import DEADLINE, wait_for

# More than the kernel takes on its own.
FLOOD = bytes(range(256)) * 2**14


class Owner:
    """Whoever has a transport: it notes what it is told."""

    def __init__(self) -> None:
        self.data = b""
        self.told: list[str] = []

    def data_received(self, data: bytes) -> None:
        """Note it."""
        self.data += data

    def eof_received(self) -> None:
        """Note it."""
        self.told.append("eof")

    def progressed(self) -> None:
        """Take note of nothing: tests look at what has come."""

    def drained(self) -> None:
        """Note it."""
        self.told.append("drained")

    def released(self) -> None:
        """Note it."""
        self.told.append("released")


def _tcp_pair() -> tuple[socket.socket, socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        server, _ = listener.accept()
    return server, client


class Ends:
    """The two ends: a transport with its owner, and the peer's plain socket."""

    def __init__(self, sockets: tuple[Any, Any], keep_socket: bool = False) -> None:
        self.ours, self.peer = sockets
        self.peer.setblocking(False)
        self.owner = Owner()
        self.transport = open_transport(self.ours, gevent.get_hub().loop, self.owner, keep_socket)

    def peer_reads(self, length: int) -> bytes:
        """Return so many bytes, or what comes before the end."""
        data = b""
        while len(data) < length:
            try:
                more = self.peer.recv(length - len(data))
            except (BlockingIOError, ssl.SSLWantReadError):
                gevent.sleep(0.001)
                continue
            if not more:
                break
            data += more
        return data

    def stop(self) -> None:
        """End what is left."""
        self.transport.abort()
        self.peer.close()
        self.ours.close()


@pytest.fixture(params=[socket.socketpair, _tcp_pair], ids=["UNIX", "TCP"])
def ends(request: pytest.FixtureRequest) -> Iterator[Ends]:
    pair = Ends(request.param())
    yield pair
    pair.stop()


def test_bytes_and_their_end_are_told(ends: Ends) -> None:
    ends.peer.send(b"one ")
    wait_for(lambda: ends.owner.data == b"one ", "the first have come")
    ends.peer.send(b"two")
    ends.peer.shutdown(socket.SHUT_WR)
    wait_for(lambda: ends.owner.told, "the end has come")
    assert ends.owner.data == b"one two"
    assert ends.owner.told == ["eof"]
    ends.transport.write(b"still heard")
    assert ends.peer_reads(11) == b"still heard"


def test_a_socket_is_ready_whatever_modes_a_server_has_left_it_in() -> None:
    ours, peer = _tcp_pair()
    ours.settimeout(5)
    ends = Ends((ours, peer))
    assert ours.gettimeout() == 0
    assert ours.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    assert ours.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    ends.stop()


def test_what_the_socket_takes_goes_out_at_once(ends: Ends) -> None:
    ends.transport.write(b"at once")
    assert ends.transport.backlog == 0
    assert ends.peer.recv(100) == b"at once"


def test_what_the_socket_does_not_take_goes_out_when_it_can(ends: Ends) -> None:
    ends.transport.write(FLOOD)
    assert 0 < ends.transport.backlog < len(FLOOD)
    ends.transport.write(b"the end")
    assert ends.owner.told == []
    assert ends.peer_reads(len(FLOOD) + 7) == FLOOD + b"the end"
    wait_for(lambda: ends.owner.told, "the backlog is gone")
    assert ends.owner.told == ["drained"]
    assert ends.transport.backlog == 0


def test_a_transport_that_is_paused_reads_nothing(ends: Ends) -> None:
    ends.transport.pause_reading()
    ends.peer.send(b"waits")
    for _ in range(5):
        gevent.sleep(0.001)
    ends.transport.poll()
    assert ends.owner.data == b""
    ends.transport.resume_reading()
    ends.transport.resume_reading()
    wait_for(lambda: ends.owner.data == b"waits", "they have come")


def test_poll_reads_what_is_there_without_the_loop(ends: Ends) -> None:
    ends.transport.poll()
    assert ends.owner.data == b""
    ends.peer.send(b"there")
    ends.transport.poll()
    assert ends.owner.data == b"there"


def test_close_sends_what_waits_and_lingers_until_the_peer_has_done(ends: Ends) -> None:
    ends.transport.write(FLOOD)
    ends.transport.close()
    ends.transport.write(b"too late")
    assert ends.owner.told == []
    assert ends.peer_reads(len(FLOOD) + 1) == FLOOD
    # Nothing of this is told, and nothing of it answered with a reset.
    ends.peer.send(b"not heard")
    gevent.sleep(0.01)
    assert ends.peer.recv(100) == b""
    assert ends.owner.told == []
    ends.peer.close()
    wait_for(lambda: ends.owner.told == ["released"], "the socket is released")
    assert ends.owner.data == b""
    assert ends.ours.fileno() == -1


def test_bytes_that_nobody_has_read_do_not_reset_the_last_ones_we_sent() -> None:
    ends = Ends(_tcp_pair())
    ends.transport.pause_reading()
    ends.peer.send(bytes(2**16))
    ends.transport.write(FLOOD)
    ends.transport.close()
    assert ends.peer_reads(len(FLOOD) + 1) == FLOOD
    ends.peer.close()
    wait_for(lambda: "released" in ends.owner.told, "the socket is released")
    ends.stop()


def test_close_releases_at_once_when_the_peer_has_done(ends: Ends) -> None:
    ends.peer.shutdown(socket.SHUT_WR)
    wait_for(lambda: ends.owner.told == ["eof"], "the end has come")
    ends.transport.close()
    assert ends.owner.told == ["eof", "released"]
    assert ends.peer_reads(1) == b""


def test_abort_releases_at_once_and_once(ends: Ends) -> None:
    ends.transport.write(FLOOD)
    ends.transport.abort()
    ends.transport.abort()
    ends.transport.close()
    ends.transport.write(b"no")
    ends.transport.pause_reading()
    ends.transport.resume_reading()
    ends.transport.poll()
    gevent.sleep(0)
    assert ends.owner.told == ["released"]
    assert ends.transport.backlog == 0
    assert ends.ours.fileno() == -1


@pytest.mark.parametrize("state", ["reading", "paused", "writing", "closing", "lingering"])
def test_a_reset_ends_every_state(state: str) -> None:
    ends = Ends(_tcp_pair())
    if state == "paused":
        ends.transport.pause_reading()
    if state in ("writing", "closing"):
        ends.transport.write(FLOOD)
    if state in ("closing", "lingering"):
        ends.transport.close()
    ends.peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    ends.peer.close()
    if state == "paused":
        gevent.sleep(0.01)
        assert ends.owner.told == []
        ends.transport.write(b"anybody?")
    if state in ("reading", "paused", "writing"):
        wait_for(lambda: "eof" in ends.owner.told, "the end is told")
        assert ends.owner.told.count("eof") == 1
        ends.transport.write(b"nobody")
        ends.transport.close()
    wait_for(lambda: ends.owner.told[-1:] == ["released"], "the socket is released")
    assert ends.owner.told.count("released") == 1


def test_an_owner_that_fails_loses_its_connection_and_nothing_else(
    ends: Ends, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(data: bytes) -> None:
        raise ZeroDivisionError

    ends.owner.data_received = fail  # type: ignore[method-assign]
    ends.peer.send(b"x")
    wait_for(lambda: ends.owner.told == ["released"], "the connection is dropped")
    (record,) = caplog.records
    assert record.exc_info is not None
    assert record.exc_info[0] is ZeroDivisionError


def test_an_interrupt_in_the_hub_drops_the_connection_and_reaches_the_main_greenlet(
    ends: Ends,
) -> None:
    # The loop stops a watcher whose callback raises: nobody would ever read again.
    def interrupt(data: bytes) -> None:
        raise KeyboardInterrupt

    ends.owner.data_received = interrupt  # type: ignore[method-assign]
    ends.peer.send(b"x")
    with pytest.raises(KeyboardInterrupt):
        gevent.sleep(DEADLINE)
    wait_for(lambda: ends.owner.told == ["released"], "the connection is dropped")


def test_a_socket_that_is_to_be_kept_is_shut_down_and_left_open() -> None:
    ends = Ends(_tcp_pair(), keep_socket=True)
    ends.transport.abort()
    assert ends.owner.told == ["released"]
    assert ends.ours.fileno() != -1
    assert ends.peer_reads(1) == b""
    assert ends.ours.recv(1) == b""
    ends.stop()


def test_forget_closes_our_copy_without_a_word_to_the_peer() -> None:
    ours, peer = _tcp_pair()
    parents = ours.dup()
    ends = Ends((ours, peer))
    ends.transport.forget()
    ends.transport.forget()
    assert ends.owner.told == []
    assert ours.fileno() == -1
    parents.send(b"the parent goes on")
    assert ends.peer_reads(18) == b"the parent goes on"
    parents.close()
    ends.stop()


@pytest.fixture(scope="module")
def contexts() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    authority = trustme.CA()
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(server)
    client = ssl.create_default_context()
    authority.configure_trust(client)
    return server, client


@pytest.fixture
def tls_sockets(
    contexts: tuple[ssl.SSLContext, ssl.SSLContext],
) -> Iterator[tuple[ssl.SSLSocket, ssl.SSLSocket]]:
    ours, peer = _tcp_pair()
    for sock in (ours, peer):
        sock.setblocking(False)
    server = contexts[0].wrap_socket(ours, server_side=True, do_handshake_on_connect=False)
    client = contexts[1].wrap_socket(
        peer, server_hostname="localhost", do_handshake_on_connect=False
    )
    shaking = gevent.spawn(_shake_hands, server.do_handshake)
    _shake_hands(client.do_handshake)
    shaking.get()
    yield server, client
    server.close()
    client.close()


@pytest.fixture
def tls_ends(tls_sockets: tuple[ssl.SSLSocket, ssl.SSLSocket]) -> Iterator[Ends]:
    pair = Ends(tls_sockets)
    yield pair
    pair.stop()


def _shake_hands(do_handshake: Callable[[], None]) -> None:
    while True:
        try:
            do_handshake()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            gevent.sleep(0.001)
        else:
            return


def test_tls_is_read_and_written(tls_ends: Ends) -> None:
    assert isinstance(tls_ends.transport, TLSTransport)
    sent = 0
    data = FLOOD[: 2**20]

    def send() -> None:
        nonlocal sent
        while sent < len(data):
            try:
                sent += tls_ends.peer.send(data[sent:])
            except (ssl.SSLWantWriteError, ssl.SSLWantReadError):
                gevent.sleep(0.001)

    sender = gevent.spawn(send)
    wait_for(lambda: len(tls_ends.owner.data) == len(data), "all has come")
    assert tls_ends.owner.data == data
    sender.get()
    tls_ends.transport.write(FLOOD)
    assert tls_ends.peer_reads(len(FLOOD)) == FLOOD


def test_the_rest_of_a_tls_record_that_a_server_has_read_from_is_read(
    tls_sockets: tuple[ssl.SSLSocket, ssl.SSLSocket],
) -> None:
    # It is in the TLS object: the socket has nothing more to say.
    server, client = tls_sockets
    client.send(b"a head, and the rest of the record")
    head = b""
    while not head:
        try:
            head = server.recv(8)
        except ssl.SSLWantReadError:
            gevent.sleep(0.001)
    ends = Ends((server, client))
    wait_for(lambda: ends.owner.data == b"and the rest of the record", "it has come")
    ends.transport.abort()


def test_a_tls_connection_is_closed_with_a_goodbye(tls_ends: Ends) -> None:
    tls_ends.transport.write(b"goodbye")
    tls_ends.transport.close()
    # Without a close_notify this would raise SSLEOFError.
    assert tls_ends.peer_reads(8) == b"goodbye"
    tls_ends.peer.close()
    wait_for(lambda: tls_ends.owner.told == ["released"], "the socket is released")


@pytest.mark.parametrize("linger", [b"\0\0\0\0\0\0\0\0", b"\1\0\0\0\0\0\0\0"], ids=["end", "reset"])
def test_a_tls_peer_that_leaves_without_a_goodbye_is_the_end(tls_ends: Ends, linger: bytes) -> None:
    tls_ends.peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    tls_ends.peer.close()
    wait_for(lambda: "eof" in tls_ends.owner.told, "the end is told")
    tls_ends.transport.close()
    wait_for(lambda: tls_ends.owner.told[-1] == "released", "the socket is released")
    assert tls_ends.owner.told.count("eof") == 1


def test_garbage_for_tls_is_the_end(tls_ends: Ends) -> None:
    raw = socket.socket(fileno=socket.dup(tls_ends.peer.fileno()))
    raw.send(b"\xff" * 100)
    wait_for(lambda: "eof" in tls_ends.owner.told, "the end is told")
    raw.close()


def test_a_plain_socket_gets_a_plain_transport(ends: Ends) -> None:
    assert type(ends.transport) is Transport
