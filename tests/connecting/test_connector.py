"""A client's way to its server, with servers and proxies that would keep it for ever."""

from __future__ import annotations

import itertools
import os
import socket as plain_socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import gevent
import gevent.server
import pytest
from gevent import socket
from gevent.pywsgi import WSGIServer

from faye_ws import Client, ConnectionFailed, HandshakeError, ReadyState, WebSocket
from faye_ws.connecting.connector import (
    connect_tcp,
    connect_unix,
    find_address,
    open_tunnel,
    shake_hands,
    start_tls,
)
from faye_ws.connecting.tls import TLSSettings
from support.certificates import Certificates

DEADLINE = 30.0
# RFC 5246, 7.4.1.1: "This message will be ignored by the client if the client is currently
# negotiating a session."
HELLO_REQUEST = b"\x16\x03\x03\x00\x04\0\0\0\0"
CHUNK = 2**16

Conversation = Callable[[Any], None]


def flood(sock: Any, piece: bytes) -> None:
    """Send the same again and again, until the other end has had enough."""
    while True:
        sock.sendall(piece * (CHUNK // len(piece)))


@contextmanager
def serve(converse: Conversation) -> Iterator[int]:
    """Have a conversation with each client that comes, in native threads: they hold up nobody."""
    listener = plain_socket.create_server(("127.0.0.1", 0))
    threads: list[threading.Thread] = []

    def talk(sock: Any) -> None:
        with closing(sock):
            sock.settimeout(DEADLINE)
            with suppress(OSError):
                converse(sock)

    def accept() -> None:
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            threads.append(threading.Thread(target=talk, args=(sock,)))
            threads[-1].start()

    acceptor = threading.Thread(target=accept)
    acceptor.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(plain_socket.SHUT_RDWR)
        listener.close()
        for thread in (acceptor, *threads):
            thread.join(DEADLINE)


def refusal(url: str, **options: Any) -> HandshakeError:
    """Return why a connection can't be opened."""
    with pytest.raises(HandshakeError) as raised, Client(url, **options):
        pytest.fail("it is open")
    return raised.value


def read_head(sock: Any) -> bytes:
    """Return what comes until a blank line."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += sock.recv(1)
    return head


# Peers that never pause


class Endless:
    """A socket that always has more."""

    def recv(self, size: int) -> bytes:
        """Return as much as is wanted."""
        return bytes(size)


class Insatiable:
    """A driver for which no bytes are enough, up to what takes seconds."""

    ready_state = ReadyState.CONNECTING
    received = 0

    def start(self) -> None:
        """Begin with nothing."""

    def data_to_send(self) -> bytes:
        """Return nothing."""
        return b""

    def receive_data(self, data: bytes) -> None:
        """Count it."""
        self.received += len(data)
        assert self.received < 2**30, "nobody else has had a turn"


def test_bytes_without_an_end_hold_up_no_timeout() -> None:
    with pytest.raises(gevent.Timeout), gevent.Timeout(0.05):
        shake_hands(Endless(), Insatiable())  # type: ignore[arg-type]


def test_interim_responses_without_an_end_are_given_up_in_time() -> None:
    def converse(sock: Any) -> None:
        flood(sock, b"HTTP/1.1 102 Processing\r\n\r\n")

    with serve(converse) as port, gevent.Timeout(DEADLINE), pytest.raises(HandshakeError):
        Client(f"ws://127.0.0.1:{port}/", connect_timeout=0.5).wait_open()


@pytest.mark.parametrize("way", ["direct", "through a proxy with TLS"])
def test_a_tls_handshake_without_an_end_is_given_up_in_time(
    certificates: Certificates, way: str
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates.cert, certificates.key)

    def converse(sock: Any) -> None:
        with ExitStack() as stack:
            if way != "direct":
                sock = stack.enter_context(context.wrap_socket(sock, server_side=True))
                read_head(sock)
                sock.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            # Its ClientHello, and then nothing but requests for another one.
            sock.recv(CHUNK)
            flood(sock, HELLO_REQUEST)

    with serve(converse) as port:
        options: dict[str, Any] = {}
        if way != "direct":
            origin = f"https://localhost:{port}"
            options["proxy"] = {"origin": origin, "tls": {"ca": certificates.ca}}
        error = refusal(f"wss://127.0.0.1:{port}/", connect_timeout=1, **options)
        assert str(error) == "no connection after 1 seconds"


def test_a_proxy_with_interim_responses_without_an_end_is_given_up() -> None:
    def converse(sock: Any) -> None:
        flood(sock, b"HTTP/1.1 102 Processing\r\n\r\n")

    sentence = "more than 16 interim responses"
    with serve(converse) as port, pytest.raises(HandshakeError, match=sentence):
        Client("ws://127.0.0.1:1/", proxy=f"http://127.0.0.1:{port}").wait_open()


def test_a_request_that_the_socket_does_not_take_at_once_is_sent_when_it_can() -> None:
    received: list[bytes] = []
    allowed = threading.Event()

    def converse(sock: Any) -> None:
        allowed.wait(DEADLINE)
        received.append(read_head(sock))

    with serve(converse) as port:
        ours = plain_socket.socket()
        ours.setsockopt(plain_socket.SOL_SOCKET, plain_socket.SO_SNDBUF, 2**12)
        ours.connect(("127.0.0.1", port))
        ours.setblocking(False)
        # What the kernel takes before it takes no more.
        filler = b"X: " + b"x" * 2**10 + b"\r\n"
        sent = b""
        while True:
            try:
                sent += filler[: ours.send(filler)]
            except BlockingIOError:
                break
        ws = Client("ws://h/", net=ours)
        gevent.sleep(0)
        assert ws.ready_state is ReadyState.CONNECTING
        allowed.set()
        with pytest.raises(ConnectionFailed):
            ws.wait_open()
    assert received[0][len(sent) :].startswith(b"GET / HTTP/1.1\r\n")


# TCP and UNIX sockets


def descriptors() -> set[str]:
    """Return what the process has open, which the hub has a part in."""
    gevent.get_hub()
    return set(os.listdir("/proc/self/fd"))


@pytest.fixture
def listener() -> Iterator[plain_socket.socket]:
    """A socket that listens, and of which nobody accepts anything."""
    with plain_socket.create_server(("127.0.0.1", 0), backlog=0) as sock:
        yield sock


def test_it_connects_from_where_the_application_wants(listener: plain_socket.socket) -> None:
    host, port = listener.getsockname()
    with closing(connect_tcp(host, port, ("127.0.0.2", 0))) as sock:
        assert sock.gettimeout() == 0.0
        assert sock.getsockname()[0] == "127.0.0.2"
        accepted, address = listener.accept()
        accepted.close()
        assert address == sock.getsockname()


def test_a_host_that_refuses_is_an_error(listener: plain_socket.socket) -> None:
    host, port = listener.getsockname()
    listener.close()
    with pytest.raises(ConnectionRefusedError):
        connect_tcp(host, port, None)


def test_of_several_addresses_the_last_failure_is_told(
    monkeypatch: pytest.MonkeyPatch, listener: plain_socket.socket
) -> None:
    infos = [
        (plain_socket.AF_INET, plain_socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))
        # Port 0 is nobody's, and the other one is in use.
        for port in (0, listener.getsockname()[1])
    ]
    monkeypatch.setattr(gevent.socket, "getaddrinfo", lambda *args: infos)
    with pytest.raises(OSError, match="in use"):
        connect_tcp("two.example", 80, listener.getsockname())
    monkeypatch.setattr(gevent.socket, "getaddrinfo", lambda *args: [])
    with pytest.raises(OSError, match="it has no address"):
        connect_tcp("none.example", 80, None)


def test_a_connection_that_is_given_up_leaves_no_socket(listener: plain_socket.socket) -> None:
    host, port = listener.getsockname()
    before = descriptors()
    with ExitStack() as stack:
        # As many as the kernel takes for nobody; then it answers no more.
        for _ in range(20):
            waiting = stack.enter_context(plain_socket.socket())
            waiting.setblocking(False)
            with suppress(BlockingIOError):
                waiting.connect(listener.getsockname())
        held = descriptors()
        with pytest.raises(gevent.Timeout), gevent.Timeout(0.1):
            connect_tcp(host, port, None)
        assert descriptors() <= held
    assert descriptors() <= before


def test_it_connects_to_a_unix_socket(tmp_path: Path) -> None:
    path = str(tmp_path / "socket")
    before = descriptors()
    with pytest.raises(FileNotFoundError):
        connect_unix(path)
    assert descriptors() <= before
    with plain_socket.socket(plain_socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        with closing(connect_unix(path)) as sock:
            accepted, _ = listener.accept()
            with accepted:
                assert sock.gettimeout() == 0.0
                assert sock.send(b"hello") == 5
                assert accepted.recv(100) == b"hello"


def test_an_address_of_a_host_is_of_ipv4_if_it_has_one(monkeypatch: pytest.MonkeyPatch) -> None:
    infos = [
        (plain_socket.AF_INET6, plain_socket.SOCK_STREAM, 6, "", ("::1", 0, 0, 0)),
        (plain_socket.AF_INET, plain_socket.SOCK_STREAM, 6, "", ("127.0.0.1", 0)),
        (plain_socket.AF_INET, plain_socket.SOCK_STREAM, 6, "", ("127.0.0.2", 0)),
    ]
    monkeypatch.setattr(gevent.socket, "getaddrinfo", lambda *args: infos)
    assert find_address("both.example") == "127.0.0.1"
    del infos[1:]
    assert find_address("six.example") == "::1"


# Peers that read late

BUFFER = 2**13


@pytest.fixture
def pair() -> Iterator[tuple[Any, Any]]:
    """Our socket, which takes little at once and does not wait, and the peer's."""
    ours, theirs = plain_socket.socketpair()
    ours.setsockopt(plain_socket.SOL_SOCKET, plain_socket.SO_SNDBUF, BUFFER)
    ours.setblocking(False)
    theirs.settimeout(DEADLINE)
    with ours, theirs:
        yield ours, theirs


def receive_exactly(sock: Any, length: int) -> bytes:
    """Return so many bytes that come."""
    data = b""
    while len(data) < length and (piece := sock.recv(length - len(data))):
        data += piece
    return data


def fill(sock: Any) -> int:
    """Send until the socket takes no more, and return how much that was."""
    filled = 0
    with suppress(BlockingIOError):
        while True:
            filled += sock.send(b"x" * BUFFER)
    return filled


class Asking:
    """A tunnel that asks with so many bytes, and is open when it has an answer."""

    def __init__(self, length: int) -> None:
        self._outgoing = bytes(length)
        self.is_open = False

    def data_to_send(self) -> bytes:
        """Return all of it, once."""
        data, self._outgoing = self._outgoing, b""
        return data

    def receive_data(self, data: bytes) -> None:
        """Take the answer."""
        assert data == b"yes"
        self.is_open = True


def serve_tls(
    certificates: Certificates, sock: Any, filled: int, length: int
) -> tuple[threading.Thread, list[bytes]]:
    """Be the peer in a thread: take what is in the way, shake hands, and answer a request."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates.cert, certificates.key)
    received: list[bytes] = []

    def converse() -> None:
        receive_exactly(sock, filled)
        with context.wrap_socket(sock.dup(), server_side=True) as tls:
            received.append(receive_exactly(tls, length))
            tls.sendall(b"yes")

    thread = threading.Thread(target=converse)
    return thread, received


def test_over_tls_all_is_sent_and_heard_though_the_socket_takes_little(
    certificates: Certificates, pair: tuple[Any, Any]
) -> None:
    ours, theirs = pair
    length = 2**20
    thread, received = serve_tls(certificates, theirs, fill(ours), length)
    settings = TLSSettings({"ca": certificates.ca}, None)

    asking: Any = Asking(length)

    def go() -> None:
        # The dot is not part of the name.
        tls = start_tls(ours, settings, "localhost.")
        open_tunnel(tls, asking)

    # It waits first: nothing of its hello goes.
    client = gevent.spawn(go)
    gevent.sleep(0)
    thread.start()
    client.get(timeout=DEADLINE)
    thread.join(DEADLINE)
    assert received == [bytes(length)]


# Names


@contextmanager
def busy_pool() -> Iterator[None]:
    """Keep all threads in which names are looked up busy, as a resolver does that hangs."""
    pool = gevent.get_hub().threadpool
    released = threading.Event()
    jobs: list[Any] = [pool.spawn(released.wait, DEADLINE) for _ in range(pool.maxsize)]
    try:
        yield
    finally:
        released.set()
        gevent.joinall(jobs)


def echo(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
    ws = WebSocket(environ)
    ws.on("message", lambda event: ws.send(event.data))
    return ws(environ, start_response)


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    server = WSGIServer(("127.0.0.1", 0), echo, log=None, error_log=None)
    server.start()
    yield int(server.address[1])
    server.stop()


def test_a_name_that_nobody_looks_up_is_given_up_in_time(port: int) -> None:
    with busy_pool():
        error = refusal(f"ws://localhost:{port}/", connect_timeout=0.2)
        assert str(error) == "no connection after 0.2 seconds"


def test_an_address_need_not_be_looked_up(port: int) -> None:
    with busy_pool(), Client(f"ws://127.0.0.1:{port}/", connect_timeout=DEADLINE) as ws:
        assert ws.ready_state is ReadyState.OPEN


@pytest.mark.parametrize("host", ["a..b", f"{'x' * 70}.example", "name.invalid"])
def test_a_name_without_an_address_is_an_error_and_nothing_else(
    host: str, capfd: pytest.CaptureFixture[str]
) -> None:
    def redirect(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        start_response("302 Found", [("Location", f"ws://{host}/"), ("Content-Length", "0")])
        return [b""]

    server = WSGIServer(("127.0.0.1", 0), redirect, log=None, error_log=None)
    server.start()
    with pytest.raises(HandshakeError) as raised:
        Client(f"ws://127.0.0.1:{server.server_port}/", max_redirects=1).wait_open()
    server.stop()
    assert host in str(raised.value)
    assert capfd.readouterr().err == ""


def test_all_addresses_of_a_name_are_tried(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def look_up(host: str, *args: Any) -> list[Any]:
        assert host == "two.example"
        return [
            (plain_socket.AF_INET6, plain_socket.SOCK_STREAM, 6, "", ("::1", port, 0, 0)),
            (plain_socket.AF_INET, plain_socket.SOCK_STREAM, 6, "", ("127.0.0.1", port)),
        ]

    # There is no name of this kind on every machine.
    monkeypatch.setattr(gevent.socket, "getaddrinfo", look_up)
    with Client(f"ws://two.example:{port}/") as ws:
        ws.send("hi")
        assert ws.receive(DEADLINE) == "hi"


# SOCKS


@contextmanager
def socks(*answers: bytes, drip: bool = False) -> Iterator[str]:
    """A SOCKS proxy that gives these answers, and the rest of its life nothing, or drop by drop."""

    def converse(sock: Any, address: object) -> None:
        for answer in answers:
            if not sock.recv(1000):
                return
            sock.sendall(answer)
        for _ in itertools.count():
            if not drip:
                sock.recv(1000)
                return
            sock.sendall(b"\0")
            gevent.sleep(0.05)

    server = gevent.server.StreamServer(("127.0.0.1", 0), converse)
    server.start()
    try:
        yield f"socks5h://user:password@127.0.0.1:{server.server_port}"
    finally:
        server.stop(timeout=0)


@pytest.mark.parametrize("drip", [False, True])
def test_socks_proxies_that_take_their_time_hold_up_no_names(drip: bool) -> None:
    # The start of an answer with a name of 255 bytes, of which one comes now and then.
    begun = b"\x05\0\0\x03\xff"
    with socks(b"\x05\0", begun, drip=drip) as proxy:
        # More than there are threads to look up names.
        clients = [
            Client("ws://name.invalid/", proxy=proxy, connect_timeout=0.3) for _ in range(15)
        ]
        for ws in clients:
            with pytest.raises(ConnectionFailed, match=r"no connection after 0\.3 s"):
                ws.wait_open()
        with gevent.Timeout(5):
            assert socket.getaddrinfo("localhost", 80)


@pytest.mark.parametrize(
    ("answers", "sentence"),
    [
        ((b"\x05\xff",), "the proxy wants other credentials"),
        ((b"\x05\x02", b"\x01\x01"), "the proxy refuses the username or the password"),
        ((b"\x05\0", b"\x05\x01"), "the proxy can't connect to name.invalid:80: general failure"),
        ((b"HTTP/1.1 400 Bad Request\r\n\r\n",), "the proxy does not speak SOCKS5"),
    ],
)
def test_what_a_socks_proxy_says_is_one_sentence_and_nothing_else(
    answers: tuple[bytes, ...], sentence: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with socks(*answers) as proxy, pytest.raises(HandshakeError) as raised:
        Client("ws://name.invalid/", proxy=proxy).wait_open()
    assert str(raised.value) == sentence
    assert capfd.readouterr().err == ""


def test_with_socks5_we_look_names_up_and_with_socks5h_the_proxy_does() -> None:
    asked: list[bytes] = []

    def converse(sock: Any, address: object) -> None:
        sock.recv(1000)
        sock.sendall(b"\x05\0")
        asked.append(sock.recv(1000))

    server = gevent.server.StreamServer(("127.0.0.1", 0), converse)
    server.start()
    with ExitStack() as stack:
        stack.callback(server.stop, timeout=0)
        for scheme in ("socks5", "socks5h"):
            ws = Client("ws://localhost:81/", proxy=f"{scheme}://127.0.0.1:{server.server_port}")
            with pytest.raises(ConnectionFailed, match="the proxy closed the connection"):
                ws.wait_open()
    assert asked == [b"\x05\x01\0\x01\x7f\0\0\x01\0\x51", b"\x05\x01\0\x03\x09localhost\0\x51"]
