"""The way of a client to its server: redirects, proxies, and who is trusted on it."""

from __future__ import annotations

import datetime
import socket as plain_socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import gevent
import pytest
import trustme
from gevent import socket
from gevent.pywsgi import WSGIServer
from gevent.server import StreamServer

from faye_ws import Client, ConnectionFailed, HandshakeError, InvalidStatus
from support import programs
from support.certificates import Certificates
from support.redirecting import context_of, redirecting, serve

DEADLINE = 15.0


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    yield from serve(redirecting)


@pytest.fixture(scope="module")
def other_port() -> Iterator[int]:
    yield from serve(redirecting)


@pytest.fixture(scope="module")
def secure_port(certificates: Certificates) -> Iterator[int]:
    yield from serve(redirecting, ssl_context=context_of(certificates.cert, certificates.key))


def visit(url: str, **options: Any) -> tuple[str, str]:
    """Return where a connection has led, and what was seen of it there."""
    with Client(url, **options) as ws:
        return ws.url, str(ws.receive(DEADLINE)).strip()


def refusal(url: str, **options: Any) -> HandshakeError:
    """Return why a connection can't be opened."""
    with pytest.raises(HandshakeError) as raised, Client(url, **options):
        pytest.fail("it is open")
    return raised.value


# Redirects


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_followed_when_that_is_asked_for(port: int, status: int) -> None:
    host = f"ws://127.0.0.1:{port}"
    url, seen = visit(f"{host}/{status}//there", max_redirects=1)
    assert (url, seen) == (f"{host}/there", "/there")


@pytest.mark.parametrize("scheme", ["ws", "http"])
def test_a_redirect_may_name_a_whole_url(port: int, other_port: int, scheme: str) -> None:
    target = f"{scheme}://127.0.0.1:{other_port}/there%23fragment"
    assert visit(f"ws://127.0.0.1:{port}/302/{target}", max_redirects=1) == (
        f"ws://127.0.0.1:{other_port}/there",
        "/there",
    )


def test_redirects_are_not_followed_by_default(port: int) -> None:
    error = refusal(f"ws://127.0.0.1:{port}/302//there")
    assert isinstance(error, InvalidStatus)
    assert error.status == 302


@pytest.mark.parametrize("status", [302, 403])
def test_to_a_server_that_refuses_there_is_one_connection(status: int) -> None:
    visits: list[object] = []

    def converse(sock: Any, address: object) -> None:
        visits.append(address)
        sock.recv(2**12)
        sock.sendall(f"HTTP/1.1 {status} No\r\nContent-Length: 0\r\n\r\n".encode())

    server = StreamServer(("127.0.0.1", 0), converse)
    server.start()
    error = refusal(f"ws://127.0.0.1:{server.server_port}/", connect_timeout=0.5)
    server.stop(timeout=0)
    assert isinstance(error, InvalidStatus)
    assert len(visits) == 1


def test_too_many_redirects_end_with_the_last_of_them(port: int) -> None:
    url = f"ws://127.0.0.1:{port}/307//308//there"
    assert visit(url, max_redirects=2)[1] == "/there"
    assert "308" in str(refusal(url, max_redirects=1))


def test_credentials_stay_with_their_origin(port: int, other_port: int) -> None:
    headers = {"Cookie": "a=b"}
    for target, seen in (
        ("/there", "/there Basic dTpw a=b"),
        (f"http://127.0.0.1:{port}/there", "/there Basic dTpw a=b"),
        (f"http://127.0.0.1:{other_port}/there", "/there"),
        (f"http://localhost:{port}/there", "/there"),
    ):
        url = f"ws://u:p@127.0.0.1:{port}/302/{target}"
        assert visit(url, max_redirects=1, headers=headers)[1] == seen
    # Those of the header, as those of the URL; and what was taken away does not come back.
    there_and_back = f"http://localhost:{port}/302/http://127.0.0.1:{port}/there"
    headers["Authorization"] = "Bearer secret"
    url = f"ws://127.0.0.1:{port}/302/"
    assert visit(url + "/there", max_redirects=2, headers=headers)[1] == "/there Bearer secret a=b"
    assert visit(url + there_and_back, max_redirects=2, headers=headers)[1] == "/there"


def test_a_redirect_never_leads_from_wss_to_ws(
    port: int, secure_port: int, certificates: Certificates
) -> None:
    options = {"max_redirects": 3, "ca": certificates.ca}
    to_plain = f"http://127.0.0.1:{port}/there"
    to_secure = f"https://localhost:{secure_port}/302/"
    error = refusal(f"wss://localhost:{secure_port}/302/{to_plain}", **options)
    assert "from wss to ws" in str(error)
    # Nor on a way that begins in the open.
    assert "from wss to ws" in str(
        refusal(f"ws://127.0.0.1:{port}/302/{to_secure}{to_plain}", **options)
    )
    assert visit(f"ws://127.0.0.1:{port}/302/{to_secure}/there", **options)[1] == "/there"


@pytest.mark.parametrize("location", ["", "ftp://127.0.0.1/", "http://a b/", "ws://[::1"])
def test_a_redirect_that_leads_nowhere_is_an_error_that_says_so(port: int, location: str) -> None:
    error = refusal(f"ws://127.0.0.1:{port}/302/{location}", max_redirects=1)
    assert "redirect" in str(error)


def test_a_redirect_to_several_places_is_not_followed() -> None:
    def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        headers = [("Location", "/a"), ("Location", "/a"), ("Content-Length", "0")]
        start_response("302 Found", headers)
        return [b""]

    for port in serve(application):
        error = refusal(f"ws://127.0.0.1:{port}/", max_redirects=1)
        assert str(error) == "a redirect to several places"


def test_a_redirect_may_bring_credentials_of_its_own(port: int) -> None:
    for target in ("v:q@127.0.0.1", "v:q@localhost"):
        url = f"ws://u:p@127.0.0.1:{port}/302/http://{target}:{port}/there"
        assert visit(url, max_redirects=1)[1] == "/there Basic djpx"


def test_who_asks_and_in_which_language_every_server_is_told(port: int, other_port: int) -> None:
    told: list[dict[str, Any]] = []

    def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        told.append(environ)
        return redirecting(environ, start_response)

    headers = {"User-Agent": "mine", "Accept-Language": "fr", "Origin": "null", "X-Token": "t"}
    for there in serve(application):
        url = f"ws://127.0.0.1:{port}/302/http://localhost:{there}/401"
        refusal(url, max_redirects=1, headers=headers)
    (environ,) = told
    names = ("HTTP_USER_AGENT", "HTTP_ACCEPT_LANGUAGE", "HTTP_ORIGIN", "HTTP_X_TOKEN")
    assert [environ.get(name) for name in names] == ["mine", "fr", "null", None]


def test_a_context_that_may_hold_a_certificate_is_for_its_origin_only(
    port: int, secure_port: int, certificates: Certificates
) -> None:
    here, there = f"localhost:{secure_port}", f"127.0.0.1:{secure_port}"
    options: dict[str, Any] = {"max_redirects": 2, "tls": certificates.trusted}
    assert visit(f"wss://{here}/302//there", **options)[1] == "/there"
    for start in (f"wss://{here}", f"ws://127.0.0.1:{port}/302/http://localhost:{port}"):
        error = refusal(f"{start}/302/https://{there}/there", **options)
        assert "with an SSLContext" in str(error)
        assert f"wss://{there}/there" in str(error)
    # Where there is no TLS it is shown to nobody.
    url = f"ws://127.0.0.1:{port}/302/http://localhost:{port}/there"
    assert visit(url, **options)[1] == "/there"
    # What is only whom to trust goes along.
    options["tls"] = {"ca": certificates.ca, "server_hostname": "localhost"}
    assert visit(f"wss://{here}/302/https://{there}/there", **options)[1] == "/there"


@pytest.mark.parametrize("value", [-1, True, 1.5, "1"])
def test_a_number_of_redirects_that_is_none_is_refused(value: Any) -> None:
    with pytest.raises((TypeError, ValueError), match="max_redirects"):
        Client("ws://localhost/", max_redirects=value)


# Who is trusted


@pytest.fixture(scope="module")
def bad_servers(
    certificates: Certificates, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, int]]:
    """Servers that nobody should trust."""
    folder = tmp_path_factory.mktemp("bad certificates")
    past = datetime.datetime(2001, 1, 1, tzinfo=datetime.timezone.utc)
    issued = {
        "wrong host": certificates.authority.issue_cert("example.com"),
        "expired": certificates.authority.issue_cert("localhost", not_after=past, not_before=past),
        "unknown": trustme.CA().issue_cert("localhost"),
    }
    running = []
    for name, certificate in issued.items():
        cert, key = folder / f"{name}.cert", folder / f"{name}.key"
        for blob in certificate.cert_chain_pems:
            blob.write_to_path(str(cert), append=True)
        certificate.private_key_pem.write_to_path(str(key))
        running.append(serve(redirecting, ssl_context=context_of(str(cert), str(key))))
    yield dict(zip(issued, map(next, running), strict=True))
    for server in running:
        next(server, None)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("wrong host", "Hostname mismatch, certificate is not valid for 'localhost'"),
        ("expired", "certificate has expired"),
        ("unknown", "unable to get local issuer certificate"),
    ],
)
def test_a_bad_certificate_is_refused_with_the_reason(
    bad_servers: dict[str, int], certificates: Certificates, name: str, reason: str
) -> None:
    error = refusal(f"wss://localhost:{bad_servers[name]}/", ca=certificates.ca)
    assert reason in str(error)
    assert isinstance(error, ConnectionFailed)
    assert isinstance(error.__cause__, ssl.SSLCertVerificationError)


def test_a_self_signed_certificate_is_refused_and_called_that(
    certificates: Certificates, tmp_path: Path
) -> None:
    cert, key = tmp_path / "cert", tmp_path / "key"
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(cert))
    authority.private_key_pem.write_to_path(str(key))
    for port in serve(redirecting, ssl_context=context_of(str(cert), str(key))):
        error = refusal(f"wss://localhost:{port}/", ca=certificates.ca)
        assert "self-signed certificate" in str(error).replace("self signed", "self-signed")


def test_a_server_may_ask_for_our_certificate(certificates: Certificates, tmp_path: Path) -> None:
    mine = certificates.authority.issue_cert("me@example.com")
    cert, key = str(tmp_path / "cert"), str(tmp_path / "key")
    mine.cert_chain_pems[0].write_to_path(cert)
    mine.private_key_pem.write_to_path(key)
    context = context_of(certificates.cert, certificates.key)
    context.load_verify_locations(certificates.ca)
    context.verify_mode = ssl.CERT_REQUIRED
    for port in serve(redirecting, ssl_context=context):
        tls = {"ca": certificates.ca, "cert": cert, "key": key}
        assert visit(f"wss://localhost:{port}/there", tls=tls)[1] == "/there"
        # In TLS 1.3 the server refuses when we have done our part.
        assert refusal(f"wss://localhost:{port}/there", ca=certificates.ca)


def test_the_server_sees_the_name_and_the_protocol_that_are_wanted(
    certificates: Certificates,
) -> None:
    names: list[str | None] = []
    protocols: list[str | None] = []
    context = context_of(certificates.cert, certificates.key)
    context.set_alpn_protocols(["h2", "http/1.1"])
    seen: list[Any] = []

    def note(sock: Any, name: str | None, context: Any) -> None:
        seen.append(sock)
        names.append(name)

    def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        protocols.append(seen[-1].selected_alpn_protocol())
        return redirecting(environ, start_response)

    context.sni_callback = note
    for port in serve(application, ssl_context=context):
        visit(f"wss://localhost:{port}/", ca=certificates.ca)
        visit(f"wss://localhost:{port}/", tls=certificates.trusted)
        tls = {"ca": certificates.ca, "server_hostname": "localhost"}
        visit(f"wss://127.0.0.1:{port}/", tls=tls)
    assert names == ["localhost"] * 3
    assert protocols == ["http/1.1", None, "http/1.1"]


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"tls": {"what": 1}}, TypeError),
        ({"tls": {"key": "x"}}, ValueError),
        ({"tls": {"ca": "a"}, "ca": "b"}, ValueError),
        ({"tls": {"ca": "/no/such/file"}}, OSError),
        ({"tls": ssl.create_default_context(), "ca": "x"}, ValueError),
        ({"proxy": {"headers": {}}}, TypeError),
        ({"proxy": {"origin": "http://h", "what": 1}}, TypeError),
        ({"proxy": "ftp://h"}, ValueError),
        ({"proxy": "http://"}, ValueError),
        ({"proxy": {"origin": "socks5://h", "headers": {"a": "b"}}}, ValueError),
        ({"proxy": 1}, TypeError),
        ({"net": 1}, TypeError),
        ({"net": "x", "max_redirects": 1}, ValueError),
        ({"connect_timeout": 0}, ValueError),
        ({"headers": {"Host": "x"}}, ValueError),
        ({"what": 1}, TypeError),
    ],
)
def test_a_wrong_option_is_an_error_at_once(
    options: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        Client("wss://localhost/", **options)


# Sockets of the application's


def test_a_path_is_that_of_a_unix_socket(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        server = WSGIServer(listener, redirecting, log=None, error_log=None, environ={})
        server.start()
        for net in (path, str(path)):
            assert visit("ws://example.com/there", net=net)[1] == "/there"
        server.stop()


def test_a_path_that_leads_nowhere_is_an_error(tmp_path: Path) -> None:
    error = refusal("ws://example.com/", net=tmp_path / "socket")
    assert isinstance(error, ConnectionFailed)
    assert isinstance(error.__cause__, FileNotFoundError)


def test_a_socket_that_is_connected_is_used(port: int) -> None:
    with plain_socket.create_connection(("127.0.0.1", port)) as net:
        assert visit("ws://example.com/there", net=net)[1] == "/there"


# Proxies


def pass_on(source: Any, target: Any) -> None:
    """Pass on what comes, and its end."""
    with suppress(OSError):
        while data := source.recv(2**16):
            target.sendall(data)
        target.shutdown(plain_socket.SHUT_WR)


@contextmanager
def tunnelling(**options: Any) -> Iterator[tuple[int, list[bytes]]]:
    """A proxy that opens tunnels: its port, and the heads of its requests."""
    heads: list[bytes] = []

    def converse(sock: Any, address: object) -> None:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += sock.recv(1)
        heads.append(head)
        host, _, port = head.split()[1].decode().rpartition(":")
        with socket.create_connection((host.strip("[]"), int(port))) as there:
            sock.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            gevent.joinall([gevent.spawn(pass_on, sock, there), gevent.spawn(pass_on, there, sock)])

    server = StreamServer(("127.0.0.1", 0), converse, **options)
    server.start()
    try:
        yield int(server.server_port or 0), heads
    finally:
        server.stop(timeout=0)


def test_it_goes_through_a_proxy_that_is_asked_for_a_tunnel(
    port: int, secure_port: int, certificates: Certificates
) -> None:
    with tunnelling() as (proxy_port, heads):
        proxy = {"origin": f"http://u:p@127.0.0.1:{proxy_port}", "headers": {"X": "y"}}
        assert visit(f"ws://127.0.0.1:{port}/there", proxy=proxy)[1] == "/there"
        url = f"wss://localhost:{secure_port}/there"
        assert visit(url, proxy=proxy, ca=certificates.ca)[1] == "/there"
    for head, host in zip(heads, (f"127.0.0.1:{port}", f"localhost:{secure_port}"), strict=True):
        # The proxy's credentials are for the proxy, and nothing of the request is.
        assert head.decode() == (
            f"CONNECT {host} HTTP/1.1\r\nHost: {host}\r\n"
            "Proxy-Authorization: Basic dTpw\r\nX: y\r\n\r\n"
        )


def test_it_goes_through_a_proxy_that_speaks_tls(
    port: int, secure_port: int, certificates: Certificates
) -> None:
    context = context_of(certificates.cert, certificates.key)
    with tunnelling(ssl_context=context) as (proxy_port, heads):
        origin = f"https://localhost:{proxy_port}"
        proxy = {"origin": origin, "tls": {"ca": certificates.ca}}
        assert visit(f"ws://127.0.0.1:{port}/there", proxy=proxy)[1] == "/there"
        url = f"wss://localhost:{secure_port}/there"
        assert visit(url, proxy=proxy, ca=certificates.ca)[1] == "/there"
        # Whom the server is trusted by says nothing of the proxy.
        assert "certificate verify failed" in str(refusal(url, proxy=origin, ca=certificates.ca))
    assert len(heads) == 2


def test_each_place_on_the_way_may_have_another_proxy(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with tunnelling() as (proxy_port, heads):
        monkeypatch.setenv("http_proxy", f"127.0.0.1:{proxy_port}")
        monkeypatch.setenv("no_proxy", "localhost")
        url = f"ws://127.0.0.1:{port}/302/http://localhost:{port}/there"
        assert visit(url, max_redirects=1)[1] == "/there"
        assert len(heads) == 1
        url = f"ws://localhost:{port}/302/http://127.0.0.1:{port}/there"
        assert visit(url, max_redirects=1)[1] == "/there"
        assert len(heads) == 2


# SOCKS


@pytest.fixture(scope="module")
def socks() -> Iterator[int]:
    """The port of a SOCKS5 proxy that wants a password."""
    with plain_socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [programs.require("microsocks"), "-i", "127.0.0.1", "-p", str(port)]
    with programs.Program([*command, "-u", "user", "-P", "p@ss"]):
        with gevent.Timeout(DEADLINE):
            while True:
                try:
                    socket.create_connection(("127.0.0.1", port)).close()
                    break
                except ConnectionRefusedError:
                    gevent.sleep(0.02)
        yield port


@pytest.mark.parametrize("scheme", ["socks5", "socks5h"])
def test_it_goes_through_a_socks_proxy(
    socks: int, port: int, secure_port: int, certificates: Certificates, scheme: str
) -> None:
    proxy = f"{scheme}://user:p%40ss@127.0.0.1:{socks}"
    assert visit(f"ws://localhost:{port}/there", proxy=proxy)[1] == "/there"
    url = f"wss://localhost:{secure_port}/there"
    assert visit(url, proxy=proxy, ca=certificates.ca)[1] == "/there"


def test_a_socks_proxy_that_refuses_is_an_error(socks: int, port: int) -> None:
    error = refusal(f"ws://127.0.0.1:{port}/", proxy=f"socks5://user:wrong@127.0.0.1:{socks}")
    assert str(error) == "the proxy refuses the username or the password"
    error = refusal(f"ws://127.0.0.1:{port}/", proxy=f"socks5://127.0.0.1:{socks}")
    assert str(error) == "the proxy wants other credentials"
    proxy = f"socks5h://user:p%40ss@127.0.0.1:{socks}"
    error = refusal("ws://name.invalid:81/", proxy=proxy)
    assert isinstance(error, ConnectionFailed)
    assert "can't connect to name.invalid:81" in str(error)


def test_a_socks_proxy_that_says_nothing_is_given_up(port: int) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        proxy = f"socks5://127.0.0.1:{silent.getsockname()[1]}"
        assert "0.2 seconds" in str(
            refusal(f"ws://127.0.0.1:{port}/", proxy=proxy, connect_timeout=0.2)
        )
