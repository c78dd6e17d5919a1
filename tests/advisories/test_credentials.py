"""What is meant for one is shown to no other: credentials, redirects and proxies.

Each test names the advisory of another library whose mistake it looks for.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import gevent.server
import pytest
from gevent.ssl import SSLContext

from faye_ws import Client, HandshakeError
from support.certificates import Certificates

SECRETS = {
    "Authorization": "Bearer s3cret",
    "Cookie": "session=s3cret",
    "Proxy-Authorization": "Basic s3cret",
    "X-Api-Key": "s3cret",
    "Referer": "https://example.com/?s3cret",
}
HARMLESS = {"User-Agent": "mine", "Accept-Language": "de"}
OPEN = b"HTTP/1.1 200 OK\r\n\r\n"


class Visit(NamedTuple):
    """What a client has shown: the heads of its requests, and its certificate, if it has one."""

    heads: list[bytes]
    certificate: bytes | None


class Party:
    """Somebody on the way: it notes what it is shown, gives its answers in turn, and hangs up."""

    def __init__(self, *answers: bytes, context: SSLContext | None = None) -> None:
        self.visits: list[Visit] = []
        self.answers = answers
        options: dict[str, Any] = {} if context is None else {"ssl_context": context}
        self._server = gevent.server.StreamServer(("127.0.0.1", 0), self._receive, **options)
        self._server.start()
        self.port = int(self._server.address[1])

    def _receive(self, sock: Any, address: object) -> None:
        heads: list[bytes] = []
        is_tls = hasattr(sock, "getpeercert")
        self.visits.append(Visit(heads, sock.getpeercert(binary_form=True) if is_tls else None))
        for answer in self.answers:
            heads.append(sock.recv(2**16))
            sock.sendall(answer)
        # What is said to the last answer.
        heads.append(sock.recv(2**16))

    @property
    def shown(self) -> bytes:
        """All that it has seen."""
        return b"".join(head for visit in self.visits for head in visit.heads)

    def stop(self) -> None:
        """Stop."""
        self._server.stop(timeout=0)


Start = Callable[..., Party]


@pytest.fixture
def start() -> Iterator[Start]:
    """Start parties, which are stopped in the end."""
    with ExitStack() as stack:

        def run(*answers: bytes, context: SSLContext | None = None) -> Party:
            party = Party(*answers, context=context)
            stack.callback(party.stop)
            return party

        yield run


def redirect_to(url: str) -> bytes:
    return f"HTTP/1.1 302 Found\r\nLocation: {url}\r\nContent-Length: 0\r\n\r\n".encode()


def visit(url: str, **options: Any) -> HandshakeError:
    """Visit a server which does not open the connection, and return how that ends."""
    with pytest.raises(HandshakeError) as raised:
        Client(url, connect_timeout=10, **options).wait_open()
    return raised.value


@pytest.fixture
def asking(certificates: Certificates) -> SSLContext:
    """A server's context that asks for the client's certificate, and does without."""
    context = SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates.cert, certificates.key)
    context.load_verify_locations(certificates.ca)
    context.verify_mode = ssl.CERT_OPTIONAL
    return context


@pytest.fixture
def mine(certificates: Certificates, tmp_path: Path) -> dict[str, str]:
    """A client's certificate, as the option `tls` takes it."""
    issued = certificates.authority.issue_cert("me@example.com")
    cert, key = str(tmp_path / "cert"), str(tmp_path / "key")
    issued.cert_chain_pems[0].write_to_path(cert)
    issued.private_key_pem.write_to_path(key)
    return {"ca": certificates.ca, "cert": cert, "key": key}


# Redirects


@pytest.mark.parametrize("name", SECRETS)
def test_a_redirect_to_another_origin_carries_nothing_that_may_be_a_secret(
    start: Start, name: str
) -> None:
    """CVE-2026-47848: header fields of one origin are sent to another."""
    other = start()
    first = start(redirect_to(f"ws://127.0.0.1:{other.port}/there"))
    url = f"ws://127.0.0.1:{first.port}/"
    visit(url, headers={name: SECRETS[name], **HARMLESS}, origin="http://o", max_redirects=1)
    assert b"s3cret" in first.shown
    assert other.shown.startswith(b"GET /there HTTP/1.1\r\n")
    assert b"s3cret" not in other.shown
    for field in (b"User-Agent: mine", b"Accept-Language: de", b"Origin: http://o"):
        assert field in other.shown


def test_a_redirect_to_another_origin_carries_no_credentials_of_the_url(start: Start) -> None:
    """CVE-2026-47848, in the URL; those that the redirect itself names are for it."""
    other = start()
    first = start(redirect_to(f"ws://127.0.0.1:{other.port}/"))
    visit(f"ws://u:p@127.0.0.1:{first.port}/", max_redirects=1)
    assert b"Authorization: Basic dTpw\r\n" in first.shown
    assert b"Authorization" not in other.shown


def test_what_a_redirect_has_taken_away_does_not_come_back(start: Start) -> None:
    """CVE-2026-47848, there and back: the way back may be another's choice."""
    first = start(b"")
    other = start(redirect_to(f"ws://127.0.0.1:{first.port}/back"))
    first.answers = (redirect_to(f"ws://localhost:{other.port}/"),)
    visit(f"ws://127.0.0.1:{first.port}/", headers=SECRETS, max_redirects=2)
    (there, back) = (b"".join(seen.heads) for seen in first.visits)
    assert b"s3cret" in there
    assert back.startswith(b"GET /back HTTP/1.1\r\n")
    assert b"s3cret" not in back + other.shown


def test_a_redirect_within_an_origin_keeps_what_is_for_it(start: Start) -> None:
    """CVE-2026-47848, the other side of it."""
    first = start(redirect_to("/there"))
    visit(f"ws://127.0.0.1:{first.port}/", headers=SECRETS, max_redirects=1)
    (_, there) = (b"".join(seen.heads) for seen in first.visits)
    assert there.startswith(b"GET /there HTTP/1.1\r\n")
    assert all(f"{name}: {value}".encode() in there for name, value in SECRETS.items())


def test_our_certificate_is_shown_to_the_origin_that_it_is_for_only(
    start: Start, asking: SSLContext, mine: dict[str, str]
) -> None:
    """CVE-2026-47848, in TLS: whom to trust goes along, what we show does not."""
    other = start(context=asking)
    first = start(redirect_to(f"wss://localhost:{other.port}/"), context=asking)
    tls = {**mine, "server_hostname": "127.0.0.1"}
    visit(f"wss://localhost:{first.port}/", tls=tls, max_redirects=1)
    assert first.visits[0].certificate is not None
    assert other.visits[0].certificate is None
    assert other.shown.startswith(b"GET / HTTP/1.1\r\n")


@pytest.mark.parametrize("way", ["wss", "ws"])
def test_a_context_that_may_have_a_certificate_is_used_for_no_other_origin(
    start: Start, asking: SSLContext, mine: dict[str, str], way: str
) -> None:
    """CVE-2026-47848, where nobody can tell what an SSLContext holds."""
    other = start(context=asking)
    target = redirect_to(f"wss://localhost:{other.port}/")
    first = start(target, context=asking if way == "wss" else None)
    context = ssl.create_default_context(cafile=mine["ca"])
    context.load_cert_chain(mine["cert"], mine["key"])
    error = visit(f"{way}://localhost:{first.port}/", tls=context, max_redirects=1)
    assert "not followed with an SSLContext" in str(error)
    assert other.visits == []


def test_a_context_is_no_matter_where_there_is_no_tls(start: Start) -> None:
    """CVE-2026-47848: what is not used can't be shown."""
    other = start()
    first = start(redirect_to(f"ws://127.0.0.1:{other.port}/"))
    context = ssl.create_default_context()
    visit(f"ws://127.0.0.1:{first.port}/", tls=context, max_redirects=1)
    assert other.shown.startswith(b"GET / HTTP/1.1\r\n")


# Proxies


def test_what_is_for_the_proxy_is_shown_to_the_proxy_only(start: Start) -> None:
    """CVE-2026-107285: the proxy's credentials are sent to the origin, through the tunnel."""
    # It plays the origin, too: whatever comes through the tunnel is for that.
    proxy = start(OPEN, redirect_to("ws://other.example/"))
    visit(
        "ws://one.example/",
        proxy={
            "origin": f"http://u:p@127.0.0.1:{proxy.port}",
            "headers": {"X-Proxy-Key": "s3cret"},
        },
        max_redirects=1,
    )
    (first, second) = (seen.heads for seen in proxy.visits)
    for heads, host in ((first, b"one.example"), (second, b"other.example")):
        assert heads[0].startswith(b"CONNECT " + host + b":80 HTTP/1.1\r\n")
        assert b"Proxy-Authorization: Basic dTpw\r\n" in heads[0]
        assert b"X-Proxy-Key: s3cret\r\n" in heads[0]
        assert heads[1].startswith(b"GET / HTTP/1.1\r\nHost: " + host)
        assert b"Proxy" not in heads[1]
        assert b"dTpw" not in heads[1]


def test_what_is_for_the_origin_is_not_shown_to_the_proxy(start: Start) -> None:
    """CVE-2026-107285, the other way round."""
    proxy = start(OPEN)
    url = f"http://127.0.0.1:{proxy.port}"
    visit("ws://u:p@one.example/path?s3cret", proxy=url, headers=SECRETS)
    (heads,) = (seen.heads for seen in proxy.visits)
    assert heads[0] == b"CONNECT one.example:80 HTTP/1.1\r\nHost: one.example:80\r\n\r\n"
    assert b"s3cret" in heads[1]


def test_the_environments_proxy_keeps_its_credentials_too(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CVE-2026-107285, where the URL of the proxy is the environment's."""
    proxy = start(OPEN)
    monkeypatch.setenv("http_proxy", f"http://u:p@127.0.0.1:{proxy.port}")
    visit("ws://one.example/")
    (heads,) = (seen.heads for seen in proxy.visits)
    assert b"Proxy-Authorization: Basic dTpw\r\n" in heads[0]
    assert b"Authorization" not in heads[1]


@pytest.mark.parametrize("scheme", ["socks5", "socks5h"])
def test_wss_through_socks_is_tls(start: Start, scheme: str) -> None:
    """PYSEC-2026-3844: the request for a wss URL goes through a SOCKS proxy in the clear."""
    proxy = start(b"\x05\x02", b"\x01\0", b"\x05\0\0\x01" + bytes(6))
    url = f"{scheme}://u:p4ss@127.0.0.1:{proxy.port}"
    visit("wss://localhost/path?s3cret", proxy=url, headers=SECRETS)
    (heads,) = (seen.heads for seen in proxy.visits)
    # A record of TLS with a ClientHello in it (RFC 8446, 4).
    assert heads[3][:1] == b"\x16"
    assert heads[3][5:6] == b"\x01"
    assert b"localhost" in heads[3]
    assert b"s3cret" not in proxy.shown
    assert b"p4ss" in heads[1]
    assert b"p4ss" not in heads[3]


def test_ws_through_socks_shows_the_origin_no_credentials_of_the_proxy(start: Start) -> None:
    """CVE-2026-107285, with SOCKS."""
    proxy = start(b"\x05\x02", b"\x01\0", b"\x05\0\0\x01" + bytes(6))
    visit("ws://one.example/", proxy=f"socks5h://u:p4ss@127.0.0.1:{proxy.port}")
    (heads,) = (seen.heads for seen in proxy.visits)
    assert heads[3].startswith(b"GET / HTTP/1.1\r\nHost: one.example\r\n")
    assert b"p4ss" not in heads[3]
    assert b"Authorization" not in heads[3]
