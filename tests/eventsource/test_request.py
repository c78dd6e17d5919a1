"""The request for an event stream, its redirects, and what becomes of errors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import gevent
import pytest
import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import LocationValueError

from faye_ws.errors import EventStreamError, EventStreamLost
from faye_ws.eventsource.adapter import CooperativeAdapter
from faye_ws.eventsource.request import StreamRequest, explain
from support.certificates import Certificates
from support.redirecting import context_of, serve
from support.stream_servers import HEAD, Script

OK = [HEAD, b"data: a\n\n"]
PACKED = HEAD.replace(b"Connection", b"Content-Encoding: gzip\r\nConnection")


@contextmanager
def request_for(
    url: str,
    method: str = "GET",
    *,
    headers: Any = None,
    session: Any = None,
    connect_timeout: float = 10.0,
    **options: Any,
) -> Iterator[StreamRequest]:
    """Make a request, which is closed afterwards."""
    request = StreamRequest(url, method, headers or {}, session, connect_timeout, 10.0, options)
    try:
        yield request
    finally:
        request.close()


def redirect(url: str, status: int = 302) -> list[Any]:
    """Return a script that leads to a URL."""
    return [f"HTTP/1.1 {status} Moved\r\nLocation: {url}\r\nContent-Length: 0\r\n\r\n".encode()]


def error_of(*scripts: list[Any], method: str = "GET", **options: Any) -> EventStreamError:
    """Return why there will be no response."""
    with Script(*scripts) as server, request_for(server.url, method, **options) as request:
        with pytest.raises(EventStreamError) as caught:
            request.send("")
        return caught.value


def test_it_asks_as_browsers_do_and_reads_what_comes() -> None:
    with Script(OK) as server, request_for(server.url, headers={"X-Name": "value"}) as request:
        assert request.send("\u2026").status_code == 200
        assert request.read() == b"data: a\n\n"
        assert request.read() == b""
        [head] = server.heads
    for field in (b"Accept: text/event-stream", b"X-Name: value", b"Last-Event-ID: \xe2\x80\xa6"):
        assert field + b"\r\n" in head


def test_without_a_last_event_there_is_no_field_for_it() -> None:
    with Script(OK) as server, request_for(server.url) as request:
        request.send("")
        assert b"last-event-id" not in server.heads[0].lower()


def test_it_can_be_sent_again() -> None:
    with Script(OK) as server, request_for(server.url) as request:
        request.send("")
        request.send("1")
        assert len(server.heads) == 2


@pytest.mark.parametrize("value", ["a\0b", "\u20ac", "a\nb", 5, None])
def test_a_field_that_can_not_be_sent_is_refused_at_once(value: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        StreamRequest("http://example.com/", "GET", {"X-Name": value}, None, 1.0, None, {})


def test_a_field_may_be_bytes() -> None:
    fields = {"X-Name": b"caf\xe9"}
    with Script(OK) as server, request_for(server.url, headers=fields) as request:
        request.send("")
        assert b"X-Name: caf\xe9\r\n" in server.heads[0]


def test_redirects_are_followed_with_what_was_given() -> None:
    options: dict[str, Any] = {"headers": {"X-Key": "key"}, "session": requests.Session()}
    with Script(redirect("/there"), OK) as server, request_for(server.url, **options) as request:
        assert request.send("7").url.endswith("/there")
        first, second = server.heads
    assert second.startswith(b"GET /there ")
    for head in (first, second):
        assert b"X-Key: key" in head
        assert b"Last-Event-ID: 7" in head


def test_another_origin_gets_nothing_that_was_given_for_the_first() -> None:
    session = requests.Session()
    session.cookies.set("everybody", "secret")
    session.cookies.set("theirs", "known", domain="127.0.0.1", path="/")
    headers = {"Authorization": "secret", "User-Agent": "harmless"}
    with Script(OK) as other, Script(redirect(other.url)) as server:
        with request_for(server.url, headers=headers, session=session, cert=None) as request:
            assert request.send("7").status_code == 200
        [head] = other.heads
    assert b"secret" not in head
    for said in (b"User-Agent: harmless", b"theirs=known", b"Last-Event-ID: 7"):
        assert said in head


@pytest.mark.parametrize(
    ("location", "method", "said"),
    [
        ("http://127.0.0.2:1/", "POST", "a redirect of a POST to another origin"),
        ("http://[::1", "GET", ""),
        ("/loop", "GET", "too many redirects"),
    ],
)
def test_some_redirects_are_not_followed(location: str, method: str, said: str) -> None:
    error = error_of(redirect(location, 307), method=method)
    assert said in str(error)


def test_a_redirect_to_a_url_that_means_two_things_is_not_followed() -> None:
    class Session(requests.Session):
        """One that does not read URLs as others do."""

        def resolve_redirects(self, response: Any, request: Any, *_: Any, **__: Any) -> Any:  # type: ignore[override]
            following = request.copy()
            following.url = "http://b\u00fccher.example/"
            yield following

    error = error_of(redirect("/"), session=Session())
    assert str(error) == "a redirect to no URL: http://b\u00fccher.example/"


def test_nothing_leads_away_from_https(certificates: Certificates) -> None:
    def app(environ: Any, start_response: Any) -> list[bytes]:
        start_response("302 Found", [("Location", "http://localhost/"), ("Content-Length", "0")])
        return [b""]

    secure = context_of(certificates.cert, certificates.key)
    with contextmanager(serve)(app, ssl_context=secure) as port:
        url = f"https://localhost:{port}/"
        with (
            request_for(url, verify=certificates.ca) as request,
            pytest.raises(EventStreamError, match="away from https"),
        ):
            request.send("")


def test_a_redirect_has_to_say_where_to() -> None:
    error = error_of([b"HTTP/1.1 302 Found\r\nLocation:\r\nContent-Length: 0\r\n\r\n"])
    assert str(error)


def test_a_response_that_does_not_come_in_time_is_not_waited_for() -> None:
    with (
        Script([1000]) as server,
        request_for(server.url, connect_timeout=0.05) as request,
        pytest.raises(EventStreamLost, match=r"^no response within 0\.05 seconds$"),
    ):
        request.send("")


def test_a_timeout_of_the_callers_is_the_callers() -> None:
    with Script([1000]) as server, request_for(server.url) as request:
        with pytest.raises(gevent.Timeout) as caught, gevent.Timeout(0.05) as timeout:
            request.send("")
        assert caught.value is timeout


def test_a_server_that_is_not_there_may_come_back() -> None:
    with Script(OK) as server:
        url = server.url
    with request_for(url) as request, pytest.raises(EventStreamLost):
        request.send("")


def test_a_stream_that_is_reset_is_lost() -> None:
    with Script([HEAD, None]) as server, request_for(server.url) as request:
        request.send("")
        with pytest.raises(EventStreamLost):
            request.read()


def test_what_is_packed_is_unpacked_or_lost() -> None:
    with Script([PACKED, b"not packed"]) as server, request_for(server.url) as request:
        request.send("")
        with pytest.raises(EventStreamLost):
            request.read()


def test_the_adapters_of_the_user_are_left_as_they_are() -> None:
    class Own(HTTPAdapter):
        """One of the user's."""

    session = requests.Session()
    own = Own()
    session.mount("https://example.com/", own)
    with Script(OK) as server, request_for(server.url, session=session) as request:
        assert request.send("").status_code == 200
    assert session.get_adapter("https://example.com/") is own
    assert not isinstance(session.get_adapter("http://example.com/"), CooperativeAdapter)


@pytest.mark.parametrize(
    "error",
    [
        requests.exceptions.SSLError("certificate verify failed"),
        requests.exceptions.InvalidURL("no URL"),
        LocationValueError("no host"),
    ],
)
def test_what_will_fail_for_ever_is_final(error: Exception) -> None:
    with pytest.raises(EventStreamError) as caught:
        explain(error)
    assert not isinstance(caught.value, EventStreamLost)


@pytest.mark.parametrize(
    "error",
    [
        requests.exceptions.SSLError("the handshake was cut off"),
        requests.exceptions.ConnectionError("refused"),
        requests.exceptions.ReadTimeout("silence"),
        OSError("unreachable"),
    ],
)
def test_what_may_pass_is_tried_again(error: Exception) -> None:
    assert isinstance(explain(error), EventStreamLost)
