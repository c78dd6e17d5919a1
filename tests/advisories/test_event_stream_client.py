"""Event streams from servers that want what is not theirs, or our time, or our memory.

Each test names the advisory of another library whose mistake it looks for, or is like.
"""

from __future__ import annotations

import gzip
import tracemalloc
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import gevent.server
import pytest
import requests
from gevent.ssl import CERT_OPTIONAL

from faye_ws import EventStreamError
from faye_ws.eventsource.client import EventSourceClient
from support.certificates import Certificates
from support.redirecting import context_of
from support.stream_servers import HEAD, STOP, Script

DEADLINE = 30.0
SECRET = b"s3cret"
SECRETS = {
    "Authorization": "Bearer s3cret",
    "Cookie": "session=s3cret",
    "Proxy-Authorization": "Basic s3cret",
    "X-Api-Key": "s3cret",
    "Referer": "https://example.com/?s3cret",
}


def redirect(url: str, status: int = 302, more: str = "") -> list[Any]:
    """Return a script that leads to a URL."""
    return [f"HTTP/1.1 {status} Moved\r\nLocation: {url}\r\n{more}\r\n".encode()]


def end_of(url: str, **options: Any) -> EventStreamError:
    """Return why a stream has ended."""
    es = EventSourceClient(url, retry=0.02, **options)
    with pytest.raises(EventStreamError) as raised:
        es.wait_closed(DEADLINE)
    return raised.value


@pytest.fixture
def other() -> Iterator[Script]:
    """Another origin: another port of the same host."""
    with Script(STOP) as server:
        yield server


def given(session: requests.Session) -> dict[str, dict[str, Any]]:
    """Return the ways to give secrets; some are in the session."""
    session.headers.update(SECRETS)
    session.auth = ("user", "s3cret")
    session.cookies.set("session", "s3cret")
    return {
        "headers": {"headers": SECRETS},
        "auth": {"auth": ("user", "s3cret")},
        "cookies": {"cookies": {"session": "s3cret"}},
        "session": {"session": session},
    }


# CVE-2022-1650 (eventsource for Node), CVE-2023-32681 and CVE-2018-18074 (requests),
# CVE-2026-47848: credentials go along to wherever a redirect leads.


@pytest.mark.parametrize("way", ["headers", "auth", "cookies", "session"])
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_secret_goes_to_another_origin(way: str, status: int, other: Script) -> None:
    options = given(requests.Session())[way]
    with Script(redirect(other.url, status)) as server:
        end_of(server.url, **options)
        assert SECRET in server.heads[0] or b"dXNlcjpzM2NyZXQ=" in server.heads[0]
    head = other.heads[0]
    assert SECRET not in head
    for name in (b"authorization:", b"cookie:", b"x-api-key:", b"referer:"):
        assert name not in head.lower()


def test_no_secret_of_a_url_goes_to_another_origin(other: Script) -> None:
    with Script(redirect(other.url)) as server:
        end_of(server.url.replace("//", "//user:s3cret@"), params={"key": "s3cret"})
        assert b"Authorization: Basic dXNlcjpzM2NyZXQ=" in server.heads[0]
    assert b"Authorization" not in other.heads[0]
    assert SECRET not in other.heads[0]


def test_no_secret_of_a_netrc_goes_to_another_origin(
    other: Script, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # CVE-2024-47081 (requests). `default` is for hosts that the user asks for.
    netrc = tmp_path / "netrc"
    netrc.write_text("default login user password s3cret\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    with Script(redirect(other.url)) as server:
        end_of(server.url)
        assert b"Authorization" in server.heads[0]
    assert b"Authorization" not in other.heads[0]


def test_no_secret_comes_back_on_a_detour() -> None:
    # CVE-2024-45336 (Go's net/http): sent again when a later redirect stays where it is.
    with Script([]) as first, Script([]) as second:
        second.scripts = [redirect("/again"), redirect(first.url)]
        first.scripts = [redirect(second.url), STOP]
        end_of(first.url, headers=SECRETS, auth=("user", "s3cret"))
        heads = [*second.heads, first.heads[1]]
    assert len(heads) == 3
    assert not any(SECRET in head or b"uthorization" in head for head in heads)


def test_what_is_no_secret_goes_along(other: Script) -> None:
    headers = {"User-Agent": "mine", "Accept-Language": "de"}
    with Script(redirect(other.url)) as server:
        end_of(server.url, headers=headers, last_event_id="7")
    for line in (
        b"User-Agent: mine",
        b"Accept-Language: de",
        b"Accept: text/event-stream",
        b"Cache-Control: no-cache",
        # The stream is that of the other origin, which can't go on without it.
        b"Last-Event-ID: 7",
    ):
        assert line + b"\r\n" in other.heads[0]


def test_all_goes_along_within_an_origin() -> None:
    with Script(redirect("/there"), STOP) as server:
        end_of(server.url, headers={"X-Api-Key": "s3cret"}, auth=("user", "s3cret"))
        head = server.heads[1]
    assert head.startswith(b"GET /there ")
    assert b"X-Api-Key: s3cret\r\n" in head
    assert b"Authorization: Basic dXNlcjpzM2NyZXQ=\r\n" in head


def test_cookies_go_to_the_hosts_that_they_are_of(other: Script) -> None:
    session = requests.Session()
    session.cookies.set("theirs", "1", domain="127.0.0.1")
    session.cookies.set("another's", "s3cret", domain="example.com")
    set_cookie = "Set-Cookie: visited=2; Path=/\r\n"
    with Script(redirect(other.url, more=set_cookie)) as server:
        end_of(server.url, session=session)
    # Cookies know hosts, but no ports (RFC 6265, 8.5).
    assert b"theirs=1" in other.heads[0]
    assert b"visited=2" in other.heads[0]
    assert SECRET not in other.heads[0]


@pytest.mark.parametrize("status", [307, 308])
def test_no_body_goes_to_another_origin(status: int, other: Script) -> None:
    with Script(redirect(other.url, status)) as server:
        error = end_of(server.url, method="POST", json={"key": "s3cret"})
        assert "a redirect of a POST to another origin is not followed" in str(error)
        assert error.status == status
    assert other.heads == []
    with Script(redirect("/there", status), STOP) as server:
        end_of(server.url, method="POST", data="key")
        assert server.heads[1].startswith(b"POST /there ")


@pytest.mark.parametrize("status", [302, 303])
def test_a_post_may_lead_to_a_stream_elsewhere(status: int, other: Script) -> None:
    with Script(redirect(other.url, status)) as server:
        end_of(server.url, method="POST", data="s3cret")
    assert other.heads[0].startswith(b"GET ")
    assert SECRET not in other.heads[0]
    assert b"content-" not in other.heads[0].lower()


class SecureServer:
    """Answers each request over TLS with the same, and notes which certificates it was shown."""

    def __init__(self, certificates: Certificates, answer: bytes) -> None:
        self.shown: list[bytes | None] = []
        self._answer = answer
        context = context_of(certificates.cert, certificates.key)
        context.load_verify_locations(certificates.ca)
        context.verify_mode = CERT_OPTIONAL
        self._server = gevent.server.StreamServer(("127.0.0.1", 0), self._talk, ssl_context=context)
        self._server.start()
        self.url = f"https://localhost:{self._server.server_port}/"

    def _talk(self, sock: Any, address: object) -> None:
        self.shown.append(sock.getpeercert(binary_form=True))
        sock.recv(2**16)
        sock.sendall(self._answer)

    def __enter__(self) -> SecureServer:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._server.stop(timeout=0)


@pytest.mark.parametrize("in_session", [False, True], ids=["", "in the session"])
def test_no_certificate_is_shown_to_another_origin(
    certificates: Certificates, in_session: bool
) -> None:
    session = requests.Session()
    cert = (certificates.cert, certificates.key)
    options: dict[str, Any] = {"session": session} if in_session else {"cert": cert}
    if in_session:
        session.cert = cert
    with ExitStack() as stack:
        other = stack.enter_context(SecureServer(certificates, STOP[0]))
        answer = redirect(other.url)[0]
        server = stack.enter_context(SecureServer(certificates, answer))
        end_of(server.url, verify=certificates.ca, **options)
        assert server.shown[0] is not None
        assert other.shown == [None]


def test_it_does_not_leave_tls_for_a_redirect(certificates: Certificates, other: Script) -> None:
    with SecureServer(certificates, redirect(other.url)[0]) as server:
        error = end_of(server.url, verify=certificates.ca)
    assert "a redirect away from https is not followed" in str(error)
    assert other.heads == []


@pytest.mark.parametrize(
    "location", ["file:///etc/passwd", "gopher://127.0.0.1/", "http://h:99999/", "http://", "//"]
)
def test_a_redirect_leads_to_http_only(location: str) -> None:
    with Script(redirect(location)) as server:
        assert end_of(server.url) is not None


def test_redirects_in_a_circle_end() -> None:
    with Script(redirect("/again")) as server:
        assert "too many redirects" in str(end_of(server.url))
        assert len(server.heads) == 31


# CVE-2026-86252, -43968, -84378: what a stream says is taken for something else.


@pytest.mark.parametrize("id", [b" 5", b"\t5", b"\v5", b"5\xe2\x80\xa6", b"\x1c5", b"\xff5", b"5 "])
def test_any_id_comes_back_as_one_field_of_one_request(id: bytes) -> None:
    with Script([HEAD, b"id: " + id + b"\ndata: a\n\n"], STOP) as server:
        assert end_of(server.url).status == 204
        lines = server.heads[1].split(b"\r\n")
    (line,) = [line for line in lines if line.startswith(b"Last-Event-ID: ")]
    sent = line.removeprefix(b"Last-Event-ID: ")
    assert sent.decode() == id.decode(errors="replace").strip(" \t\v")


def test_a_bare_cr_ends_a_line_and_forges_no_header() -> None:
    stream = b"id: 5\rX-Forged: yes\rdata: a\r\r"
    with Script([HEAD, stream], STOP) as server, EventSourceClient(server.url, retry=0.02) as es:
        event = es.receive(DEADLINE)
        assert (event.data, event.last_event_id) == ("a", "5")
        with pytest.raises(EventStreamError):
            es.wait_closed(DEADLINE)
        assert b"Forged" not in server.heads[1]


# PYSEC-2026-4389, CVE-2026-84378: time or memory out of proportion.


def test_a_line_in_tiny_pieces_is_read_in_linear_time() -> None:
    head = HEAD.replace(b"Connection", b"Transfer-Encoding: chunked\r\nConnection")
    # Each was added to all that came before, it would take minutes.
    pieces = b"1\r\nx\r\n" * 2**18
    script = [head, b"5\r\ndata:\r\n", pieces, b"2\r\n\n\n\r\n", 1000]
    with Script(script) as server, EventSourceClient(server.url) as es:
        assert es.receive(60).data == "x" * 2**18


@pytest.mark.parametrize("layers", [1, 2])
def test_what_was_compressed_takes_no_more_memory_than_what_was_not(layers: int) -> None:
    body = (b":" + b" " * 2**16 + b"\n") * 2**11
    for _ in range(layers):
        body = gzip.compress(body)
    encoding = b", ".join([b"gzip"] * layers)
    head = HEAD.replace(b"Connection", b"Content-Encoding: " + encoding + b"\r\nConnection")
    tracemalloc.start()
    try:
        with Script([head + body], STOP) as server:
            end_of(server.url)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    # Of 128 MiB.
    assert peak < 2**23


def test_the_body_of_a_refusal_is_not_read(other: Script) -> None:
    # Whoever asks for digests reads it.
    auth = requests.auth.HTTPDigestAuth("user", "s3cret")
    refusal = b'HTTP/1.1 401 No\r\nWWW-Authenticate: Digest realm="a", nonce="b"\r\n\r\n'
    with Script([refusal, 1000], STOP) as server:
        assert end_of(server.url, auth=auth, connect_timeout=5).status == 204
        assert b"Authorization: Digest" in server.heads[1]
