"""TLS with peers that mean no good, at both ends."""

from __future__ import annotations

import hashlib
import os
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import gevent
import pytest
import trustme
from cryptography import x509

from faye_ws.connecting.tls import TLSSettings, TLSSocket
from faye_ws.runtime.tls_transport import TLSTransport
from support import key_updates
from support.certificates import Certificates
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


# What is trusted and shown


class Ends:
    """A client's end and a server's, on one connection.

    Args:
        settings: the client's.
        certificates: the server's.
        asks: whether the server wants a certificate of the client.
    """

    def __init__(
        self, settings: TLSSettings, certificates: Certificates, asks: bool = False
    ) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificates.cert, certificates.key)
        context.set_alpn_protocols(["h2", "http/1.1"])
        # So that the last word of the handshake is the server's.
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        if asks:
            context.load_verify_locations(certificates.ca)
            context.verify_mode = ssl.CERT_OPTIONAL
        ours, theirs = socket.socketpair()
        for sock in (ours, theirs):
            sock.setblocking(False)
        name = settings.server_hostname or "localhost"
        self.client = TLSSocket(ours, settings.context, name)
        self.server = context.wrap_socket(theirs, server_side=True, do_handshake_on_connect=False)

    def shake_hands(self) -> None:
        complete(self.client.do_handshake, self.server.do_handshake)

    def close(self) -> None:
        self.client.close()
        self.server.close()


def shown(settings: TLSSettings, certificates: Certificates) -> Any:
    """Shake hands; return the certificate that the client has shown to a server that asks."""
    with closing(Ends(settings, certificates, asks=True)) as ends:
        ends.shake_hands()
        return ends.server.getpeercert()


@pytest.fixture
def mine(certificates: Certificates, tmp_path: Path) -> dict[str, str]:
    """A client's own certificate and key."""
    issued = certificates.authority.issue_cert("me@example.com")
    cert, key = str(tmp_path / "cert"), str(tmp_path / "key")
    issued.cert_chain_pems[0].write_to_path(cert)
    issued.private_key_pem.write_to_path(key)
    return {"cert": cert, "key": key}


def test_by_default_a_server_must_have_a_name_that_the_system_trusts(
    certificates: Certificates,
) -> None:
    for settings in (TLSSettings(None, None), TLSSettings({}, None)):
        assert settings.context.verify_mode is ssl.CERT_REQUIRED
        assert settings.context.check_hostname
        assert settings.server_hostname is None
        with pytest.raises(ssl.SSLCertVerificationError, match="verify failed"):
            shown(settings, certificates)


def test_what_the_system_trusts_is_read_once() -> None:
    context = TLSSettings(None, None).context
    assert TLSSettings({"server_hostname": "h"}, None).context is context
    assert TLSSettings(None, None).without_certificate().context is context  # type: ignore[union-attr]
    assert TLSSettings({"verify": True}, None).context is not context


def test_an_authority_may_be_a_file_and_is_trusted_alone(certificates: Certificates) -> None:
    for settings in (
        TLSSettings({"ca": certificates.ca}, None),
        TLSSettings(None, certificates.ca),
        TLSSettings({"ca": certificates.ca}, certificates.ca),
        TLSSettings({"ca": Path(certificates.ca)}, None),
    ):
        assert shown(settings, certificates) is None
        assert len(settings.context.get_ca_certs()) == 1


def test_authorities_may_be_a_folder(certificates: Certificates, tmp_path: Path) -> None:
    pem = Path(certificates.ca).read_bytes()
    # OpenSSL finds a certificate there by a hash of its subject in lower case.
    subject = x509.load_pem_x509_certificate(pem).subject
    lower = [x509.NameAttribute(one.oid, str(one.value).lower()) for one in subject]
    digest = hashlib.sha1(x509.Name(lower).public_bytes()[2:]).digest()
    settings = TLSSettings({"ca": str(tmp_path)}, None)
    with pytest.raises(ssl.SSLCertVerificationError):
        shown(settings, certificates)
    (tmp_path / f"{int.from_bytes(digest[:4], 'little'):08x}.0").write_bytes(pem)
    assert shown(TLSSettings({"ca": str(tmp_path)}, None), certificates) is None


def test_a_name_other_than_that_of_the_certificate_is_refused(certificates: Certificates) -> None:
    settings = TLSSettings({"ca": certificates.ca, "server_hostname": "example.com"}, None)
    with pytest.raises(ssl.SSLCertVerificationError, match=r"not valid for 'example\.com'"):
        shown(settings, certificates)


def test_without_verifying_anybody_is_trusted(certificates: Certificates) -> None:
    assert shown(TLSSettings({"verify": False}, None), certificates) is None
    for value in (True, None):
        with pytest.raises(ssl.SSLCertVerificationError):
            shown(TLSSettings({"verify": value}, None), certificates)


def test_a_certificate_of_our_own_is_shown_to_whoever_asks(
    certificates: Certificates, mine: dict[str, str]
) -> None:
    certificate = shown(TLSSettings({"ca": certificates.ca, **mine}, None), certificates)
    assert certificate["subjectAltName"] == (("email", "me@example.com"),)
    # The key may be in the same file.
    both = Path(mine["cert"])
    both.write_bytes(Path(mine["key"]).read_bytes() + both.read_bytes())
    settings = TLSSettings({"ca": certificates.ca, "cert": str(both)}, None)
    assert shown(settings, certificates) == certificate


def test_a_context_of_the_application_is_used_as_it_is(certificates: Certificates) -> None:
    settings = TLSSettings(certificates.trusted, None)
    assert settings.context is certificates.trusted
    assert settings.server_hostname is None
    assert shown(settings, certificates) is None


@pytest.mark.parametrize("authority", ["a file", "the context"])
def test_http_is_asked_for_where_the_context_is_ours(
    certificates: Certificates, authority: str
) -> None:
    given = certificates.trusted if authority == "the context" else {"ca": certificates.ca}
    with closing(Ends(TLSSettings(given, None), certificates)) as ends:
        ends.shake_hands()
        wanted = None if authority == "the context" else "http/1.1"
        assert ends.server.selected_alpn_protocol() == wanted


@pytest.mark.parametrize(
    ("tls", "ca", "error", "sentence"),
    [
        ({"y": 1, "x": 2, "ca": "a"}, None, TypeError, "unknown options of tls: x, y"),
        ({"ca": "a"}, "b", ValueError, "two different ca"),
        ({"key": "a"}, None, ValueError, "a key without a cert"),
        (ssl.create_default_context(), "a", ValueError, "belongs into the SSLContext"),
        ({"ca": "/no/such/file"}, None, FileNotFoundError, "No such file"),
        ({"cert": "/no/such/file"}, None, FileNotFoundError, "No such file"),
    ],
)
def test_what_can_not_be_is_an_error_at_once(
    tls: Any, ca: str | None, error: type[Exception], sentence: str
) -> None:
    with pytest.raises(error, match=sentence):
        TLSSettings(tls, ca)


def test_without_certificate_is_whom_to_trust_and_nothing_of_our_own(
    certificates: Certificates, mine: dict[str, str]
) -> None:
    options = {"ca": certificates.ca, "server_hostname": "h", **mine}
    others = TLSSettings(options, None).without_certificate()
    assert others is not None
    assert others.server_hostname is None
    assert shown(others, certificates) is None
    careless = TLSSettings({"verify": False, **mine}, None).without_certificate()
    assert careless is not None
    assert shown(careless, certificates) is None
    # It may have a certificate.
    assert TLSSettings(certificates.trusted, None).without_certificate() is None


# One connection


@pytest.fixture
def ends(certificates: Certificates) -> Iterator[Ends]:
    """Both ends, before the handshake."""
    made = Ends(TLSSettings(None, certificates.ca), certificates)
    yield made
    made.close()


def test_bytes_right_behind_the_handshake_are_there_without_reading(ends: Ends) -> None:
    for step in (ends.client.do_handshake, ends.server.do_handshake, ends.client.do_handshake):
        with pytest.raises(ssl.SSLWantReadError):
            step()
    ends.server.do_handshake()
    ends.server.send(b"early")
    ends.client.do_handshake()
    ends.server.send(b"la")
    ends.server.send(b"te")
    assert ends.client.recv(100) == b"early"
    assert ends.client.recv(100) == b"late"
    with pytest.raises(ssl.SSLWantReadError):
        ends.client.recv(100)


def test_bytes_are_read_before_the_end_is_told(ends: Ends) -> None:
    ends.shake_hands()
    ends.server.send(b"one")
    ends.server.send(b"two")
    with pytest.raises(ssl.SSLWantReadError):
        ends.server.unwrap()
    assert [ends.client.recv(100) for _ in range(3)] == [b"onetwo", b"", b""]


def test_an_end_that_is_not_announced_is_an_end(ends: Ends) -> None:
    ends.shake_hands()
    ends.server.send(b"one")
    ends.server.close()
    assert [ends.client.recv(100) for _ in range(3)] == [b"one", b"", b""]


def test_the_end_of_our_side_is_announced(ends: Ends) -> None:
    ends.shake_hands()
    assert ends.client.send(b"last") == 4
    ends.client.unwrap()
    assert [ends.server.recv(100), ends.server.recv(100)] == [b"last", b""]
    # When the peer has done the same there is nothing to wait for.
    ends.server.unwrap()
    ends.client.unwrap()


def test_nothing_can_be_sent(ends: Ends) -> None:
    ends.shake_hands()
    assert ends.client.send(b"") == 0
    with pytest.raises(ssl.SSLWantReadError):
        ends.server.recv(100)


def test_of_much_64_kib_are_taken_at_once(ends: Ends) -> None:
    ends.shake_hands()
    assert ends.client.send(bytes(2**20)) == 2**16


def test_what_is_of_the_socket_is_passed_on(ends: Ends) -> None:
    ends.shake_hands()
    ends.client.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    assert ends.client.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
    ends.client.settimeout(1.5)
    assert os.get_blocking(ends.client.fileno()) is False
    ends.client.settimeout(None)
    assert os.get_blocking(ends.client.fileno()) is True
    ends.client.shutdown(socket.SHUT_WR)
    assert ends.server.recv(100) == b""
    ends.client.close()
    assert ends.client.fileno() == -1


# Peers that mean no good


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
