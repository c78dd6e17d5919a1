"""A transport over TLS, and the choice between it and a plain one."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Iterator

import gevent
import pytest
import trustme

from faye_ws.runtime.tls_transport import TLSTransport
from faye_ws.runtime.transport import Transport
from support.serving import wait_for
from support.transports import Ends, tcp_pair

# More than the kernel takes on its own.
FLOOD = bytes(range(256)) * 2**14


def test_a_socket_is_ready_whatever_modes_a_server_has_left_it_in() -> None:
    ours, peer = tcp_pair()
    ours.settimeout(5)
    ends = Ends((ours, peer))
    assert ours.gettimeout() == 0
    assert ours.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    assert ours.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
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
    ours, peer = tcp_pair()
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


def test_a_plain_socket_gets_a_plain_transport() -> None:
    ends = Ends(tcp_pair())
    assert type(ends.transport) is Transport
    ends.stop()


class FakeTLS:
    """A socket that says what TLS may say, and holds what a test gives it to hold."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self.unsent = 0
        self.wants_write = False
        self.fails_to_end = False

    def __getattr__(self, name: str) -> object:
        return getattr(self._socket, name)

    def recv(self, size: int) -> bytes:
        if self.wants_write:
            raise ssl.SSLWantWriteError
        return self._socket.recv(size)

    def send(self, data: bytes) -> int:
        self.wants_write = False
        self.unsent = 0
        return self._socket.send(data)

    def unwrap(self) -> None:
        if self.fails_to_end:
            raise ValueError("no TLS connection any more")


@pytest.fixture
def fake_ends() -> Iterator[Ends]:
    ours, peer = tcp_pair()
    pair = Ends((FakeTLS(ours), peer))
    yield pair
    pair.stop()


def test_what_tls_holds_for_the_socket_is_part_of_the_backlog_until_it_is_sent(
    fake_ends: Ends,
) -> None:
    fake_ends.ours.unsent = 17
    assert fake_ends.transport.backlog == 17
    fake_ends.peer.send(b"what makes it look")
    wait_for(lambda: fake_ends.owner.told == ["drained"], "all is sent")
    assert fake_ends.transport.backlog == 0
    assert fake_ends.owner.data == b"what makes it look"


def test_a_tls_connection_that_has_to_write_first_is_read_when_it_has_written(
    fake_ends: Ends,
) -> None:
    fake_ends.ours.wants_write = True
    fake_ends.peer.send(b"behind what TLS has to write")
    wait_for(lambda: fake_ends.owner.data == b"behind what TLS has to write", "it is read")
    assert fake_ends.owner.told == ["drained"]


def test_a_tls_connection_that_is_paused_while_it_has_to_write_stays_paused(
    fake_ends: Ends,
) -> None:
    fake_ends.ours.wants_write = True
    fake_ends.peer.send(b"behind what TLS has to write")
    # It finds that it has to write, and the application pauses it before it has.
    fake_ends.transport.poll()
    fake_ends.transport.pause_reading()
    wait_for(lambda: fake_ends.owner.told == ["drained"], "it has written")
    assert fake_ends.transport.is_paused
    assert fake_ends.owner.data == b""
    fake_ends.transport.resume_reading()
    wait_for(lambda: fake_ends.owner.data == b"behind what TLS has to write", "it is read")


def test_what_waits_is_tried_again_when_something_is_read(fake_ends: Ends) -> None:
    fake_ends.transport.write(FLOOD)
    fake_ends.peer.send(b"hello")
    assert fake_ends.peer_reads(len(FLOOD)) == FLOOD
    wait_for(lambda: fake_ends.owner.data == b"hello", "it is read")
    wait_for(lambda: fake_ends.owner.told == ["drained"], "all is sent")


def test_a_connection_is_shut_down_though_tls_can_say_no_goodbye(fake_ends: Ends) -> None:
    fake_ends.ours.fails_to_end = True
    fake_ends.transport.close()
    assert fake_ends.peer_reads(1) == b""


def test_a_tls_connection_that_is_gone_before_its_first_look_is_not_read(
    fake_ends: Ends,
) -> None:
    fake_ends.transport.abort()
    gevent.sleep(0)
    assert fake_ends.owner.told == ["released"]
