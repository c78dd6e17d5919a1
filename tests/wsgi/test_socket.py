"""Taking a socket from a WSGI server, and what is left to the server of it."""

from __future__ import annotations

import errno
import io
import socket as plain_socket
import ssl
from collections.abc import Iterator
from typing import Any

import gevent.socket
import gevent.ssl
import pytest

from faye_ws.errors import UnsupportedServer
from faye_ws.wsgi.socket import find_socket, take_socket
from support.certificates import Certificates


def _ignore(data: bytes) -> None:
    """Ignore what a server writes."""


@pytest.fixture(params=[gevent.socket, plain_socket], ids=["gevent", "threads"])
def pair(request: pytest.FixtureRequest) -> Iterator[Any]:
    """Two connected sockets, of each kind that servers use."""
    ours, peer = request.param.socketpair()
    yield ours, peer
    ours.close()
    peer.close()


class _PywsgiInput:
    """What pywsgi gives as `wsgi.input`, unless it sees that an upgrade is asked for."""

    def __init__(self, rfile: Any) -> None:
        self.rfile = rfile


def test_a_server_reads_the_end_and_writes_to_nobody(pair: Any) -> None:
    ours, peer = pair
    heads: list[bytes] = []
    taken = take_socket({"gunicorn.socket": ours, "wsgi.input": None}, heads.append)
    peer.sendall(b"a frame")
    # gunicorn looks for another request, if it was stopped in the middle of this one.
    assert ours.recv(100) == b""
    assert ours.recv_into(bytearray(100)) == 0
    with pytest.raises(BrokenPipeError) as caught:
        ours.sendall(b"HTTP/1.1 500 Internal Server Error")
    assert caught.value.errno == errno.EPIPE
    # It is told once, by the first bytes.
    with pytest.raises(BrokenPipeError):
        ours.send(b"the page")
    assert heads == [b"HTTP/1.1 500 Int"]
    taken.socket.settimeout(5.0)
    assert taken.socket.recv(100) == b"a frame"
    taken.socket.send(b"an answer")
    assert peer.recv(100) == b"an answer"
    taken.socket.close()


def test_what_a_server_sends_from_a_file_tells_nothing(pair: Any) -> None:
    ours, _ = pair
    heads: list[bytes] = []
    taken = take_socket({"gunicorn.socket": ours, "wsgi.input": None}, heads.append)
    with pytest.raises(BrokenPipeError):
        ours.sendfile(io.BytesIO(b"a file"))
    assert heads == []
    taken.socket.close()


def test_only_a_socket_of_gevents_is_detached(pair: Any) -> None:
    ours, _ = pair
    taken = take_socket({"gunicorn.socket": ours, "wsgi.input": None}, _ignore)
    assert taken.detached is (type(pair[1]) is gevent.socket.socket)
    assert (ours.fileno() == -1) is taken.detached
    taken.socket.close()


def test_werkzeug_keeps_its_descriptor() -> None:
    ours, peer = gevent.socket.socketpair()
    taken = take_socket({"werkzeug.socket": ours}, _ignore)
    assert not taken.detached
    assert ours.fileno() == taken.socket.fileno() >= 0
    taken.socket.close()
    peer.close()


def test_pywsgis_socket_is_found_behind_its_reader_with_what_was_read_early() -> None:
    ours, peer = gevent.socket.socketpair()
    peer.sendall(b"GET\r\na frame")
    reader = ours.makefile("rb")
    assert reader.readline() == b"GET\r\n"
    environ = {"wsgi.input": _PywsgiInput(reader)}
    assert find_socket(environ) is ours
    taken = take_socket(environ, _ignore)
    assert (taken.early, taken.detached) == (b"a frame", True)
    taken.socket.close()
    peer.close()


def test_nobody_waits_for_early_bytes() -> None:
    ours, peer = gevent.socket.socketpair()
    reader = ours.makefile("rb")
    taken = take_socket({"wsgi.input": reader}, _ignore)
    assert taken.early == b""
    taken.socket.close()
    peer.close()


def test_a_socket_that_is_broken_has_no_early_bytes() -> None:
    ours, peer = gevent.socket.socketpair()

    class Broken:
        raw = type("Raw", (), {"_sock": ours})

        def peek(self) -> bytes:
            raise ConnectionResetError

    taken = take_socket({"wsgi.input": Broken()}, _ignore)
    assert taken.early == b""
    taken.socket.close()
    peer.close()


def test_gunicorns_early_bytes_are_in_its_reader(pair: Any) -> None:
    class Body:
        class reader:
            class unreader:
                buf = io.BytesIO(b"a frame")

    taken = take_socket({"gunicorn.socket": pair[0], "wsgi.input": Body()}, _ignore)
    assert taken.early == b"a frame"
    taken.socket.close()


@pytest.mark.parametrize(
    ("environ", "name"),
    [({}, "an unknown WSGI server"), ({"SERVER_SOFTWARE": "waitress"}, "waitress")],
)
def test_a_server_that_hides_its_sockets_is_named(environ: dict[str, Any], name: str) -> None:
    environ["wsgi.input"] = io.BytesIO()
    assert find_socket(environ) is None
    with pytest.raises(UnsupportedServer, match=f"^{name} keeps its sockets"):
        take_socket(environ, _ignore)


def test_a_tls_connection_can_still_be_ended_by_us(certificates: Certificates) -> None:
    ours, peer = gevent.socket.socketpair()
    server = gevent.ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificates.cert, certificates.key)
    client = gevent.ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.load_verify_locations(certificates.ca)
    accepting = gevent.spawn(server.wrap_socket, ours, server_side=True)
    secure_peer = client.wrap_socket(peer, server_hostname="localhost")
    secure = accepting.get(timeout=10)
    taken = take_socket({"gunicorn.socket": secure, "wsgi.input": None}, _ignore)
    assert not taken.detached
    taken.socket.send(b"an answer")
    assert secure_peer.recv(100) == b"an answer"
    ending = gevent.spawn(taken.socket.unwrap)
    secure_peer.unwrap().close()
    ending.get(timeout=10).close()
