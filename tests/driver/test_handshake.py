"""The opening handshake (RFC 6455, 4): keys, requests, origins, responses, subprotocols."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from faye_ws.driver.handshake import (
    accept_response,
    check_headers,
    check_origin,
    check_protocols,
    check_request,
    check_response,
    check_terms,
    choose_protocol,
    compute_accept,
    is_forwarded_secure,
    is_upgrade,
    refuse_response,
)
from faye_ws.driver.http import Headers, Request, Response
from faye_ws.errors import HandshakeError, InvalidStatus, OriginNotAllowed, UnsupportedVersion
from support.roles import REQUEST

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


def request(method: str = "GET", version: str = "HTTP/1.1", **fields: str | None) -> Request:
    """Return the request of the RFC with some fields changed, or left out if None."""
    changed = {name.replace("_", "-").lower(): value for name, value in fields.items()}
    kept = [(name, value) for name, value in REQUEST.headers if name.lower() not in changed]
    added = [(name, value) for name, value in changed.items() if value is not None]
    return Request(method, "/chat", Headers(kept + added), version)


def response(status: int = 101, **fields: str | None) -> Response:
    """Return the response to the request, with some fields changed or left out."""
    headers = {"upgrade": "websocket", "connection": "Upgrade", "sec-websocket-accept": ACCEPT}
    changed = {name.replace("_", "-").lower(): value for name, value in fields.items()}
    merged = {**headers, **changed}
    kept = {name: value for name, value in merged.items() if value is not None}
    return Response(status, Headers(kept))


def test_the_key_of_the_rfc_is_answered_as_it_says() -> None:
    assert compute_accept(KEY) == ACCEPT


def test_the_request_of_the_rfc_is_accepted() -> None:
    check_request(REQUEST)


@pytest.mark.parametrize(
    "fields",
    [
        {"connection": "keep-alive, Upgrade"},
        {"connection": "upgrade"},
        {"upgrade": "WebSocket"},
        {"host": "localhost:8000"},
        {"sec_websocket_protocol": "a, b ,c"},
        {"sec_websocket_key": base64.b64encode(bytes(16)).decode()},
        {"origin": "anything"},
        {"content_length": "0"},
    ],
)
def test_what_differs_only_in_form_is_accepted(fields: dict[str, Any]) -> None:
    check_request(request(**fields))


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"method": "POST"}, "must be a GET"),
        ({"method": "get"}, "must be a GET"),
        ({"version": "HTTP/1.0"}, "needs HTTP/1.1"),
        ({"version": "HTTP/0.5"}, "needs HTTP/1.1"),
        ({"version": "HTTP/0.9"}, "needs HTTP/1.1"),
        ({"version": "HTTP/1.2"}, "needs HTTP/1.1"),
        ({"version": "HTTP/2.0"}, "needs HTTP/1.1"),
        ({"version": "HTTP/3.0"}, "needs HTTP/1.1"),
        ({"version": ""}, "needs HTTP/1.1"),
        *[
            ({"content_length": length}, "must not have a body")
            for length in ("5", "", "00", "-0", "+0", "0x0", "0, 0", "0, 5", "5, 0", "x", "\u00b2")
        ],
        *[
            ({"transfer_encoding": coding}, "must not have a body")
            for coding in ("chunked", "Chunked", "identity", "gzip, chunked", "x", "")
        ],
        ({"host": None}, "Host header is missing"),
        ({"host": ""}, "Host header is missing"),
        ({"upgrade": None}, "Upgrade header"),
        ({"upgrade": "h2c"}, "Upgrade header"),
        ({"upgrade": "websockets"}, "Upgrade header"),
        ({"connection": None}, "Connection header"),
        ({"connection": "keep-alive"}, "Connection header"),
        ({"connection": "upgraded"}, "Connection header"),
        ({"sec_websocket_key": None}, "16 bytes"),
        ({"sec_websocket_key": ""}, "16 bytes"),
        ({"sec_websocket_key": "dGhlIHNhbXBsZSBub25jZQ"}, "16 bytes"),
        ({"sec_websocket_key": "dGhlIHNhbXBsZSBub25jZ!=="}, "16 bytes"),
        ({"sec_websocket_key": base64.b64encode(bytes(15)).decode()}, "16 bytes"),
        ({"sec_websocket_key": base64.b64encode(bytes(17)).decode()}, "16 bytes"),
        ({"sec_websocket_key": f"{KEY}, {KEY}"}, "16 bytes"),
        ({"sec_websocket_key": "\u00fc" * 24}, "16 bytes"),
        ({"sec_websocket_protocol": "a b"}, "list of tokens"),
        ({"sec_websocket_protocol": "a, \u00fc"}, "list of tokens"),
    ],
)
def test_what_is_no_handshake_is_refused_with_400(fields: dict[str, Any], sentence: str) -> None:
    with pytest.raises(HandshakeError, match=sentence) as caught:
        check_request(request(**fields))
    assert caught.value.status == 400


@pytest.mark.parametrize(
    "hosts", [["a.example", "b.example"], ["a.example,b.example"], ["a.example", ""], ["a, b"]]
)
def test_two_host_fields_are_refused(hosts: list[str]) -> None:
    fields = [(name, value) for name, value in REQUEST.headers if name != "Host"]
    headers = Headers([*fields, *(("Host", host) for host in hosts)])
    with pytest.raises(HandshakeError, match="more than one Host") as caught:
        check_request(Request("GET", "/", headers))
    assert caught.value.status == 400


@pytest.mark.parametrize("version", [None, "", "0", "8", "12", "14", "013", "13, 8", "x"])
def test_another_version_is_refused_with_426(version: str | None) -> None:
    with pytest.raises(UnsupportedVersion, match="must be 13") as caught:
        check_request(request(sec_websocket_version=version))
    assert caught.value.status == 426


@pytest.mark.parametrize(
    ("fields", "version"),
    [({"sec_websocket_key1": "1 2", "sec_websocket_key2": "3 4"}, "hixie-76"), ({}, "hixie-75")],
)
def test_a_version_before_the_rfc_is_refused_with_426(fields: dict[str, Any], version: str) -> None:
    of_hybi: dict[str, Any] = {"sec_websocket_key": None, "sec_websocket_version": None}
    with pytest.raises(UnsupportedVersion, match=f"{version} is not spoken here") as caught:
        check_request(request(**of_hybi, **fields))
    assert caught.value.status == 426


@pytest.mark.parametrize(
    ("method", "upgrade", "connection", "asks"),
    [
        ("GET", "websocket", "Upgrade", True),
        ("GET", " WebSocket\t", "keep-alive, upgrade", True),
        ("POST", "websocket", "Upgrade", False),
        ("GET", None, "Upgrade", False),
        ("GET", "h2c", "Upgrade", False),
        ("GET", "websocket", None, False),
        ("GET", "websocket", "keep-alive", False),
    ],
)
def test_a_request_asks_for_websocket_or_not(
    method: str, upgrade: str | None, connection: str | None, asks: bool
) -> None:
    assert is_upgrade(method, upgrade, connection) is asks


def is_allowed(origins: Any = None, **fields: Any) -> bool:
    """Tell whether the origin of a request is allowed."""
    try:
        check_origin(request(**fields), origins)
    except OriginNotAllowed:
        return False
    return True


def test_a_request_without_an_origin_is_from_no_page() -> None:
    for origins in (None, "*", [], ["https://example.com"]):
        assert is_allowed(origins)


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("http://example.com", "example.com"),
        ("https://example.com", "example.com"),
        ("http://EXAMPLE.com", "example.COM"),
        ("http://example.com", "example.com:80"),
        ("http://example.com:80", "example.com"),
        ("https://example.com", "example.com:443"),
        ("https://example.com:443", "example.com"),
        ("http://localhost:8000", "localhost:8000"),
        ("http://127.0.0.1:8000", "127.0.0.1:8000"),
        ("http://[::1]", "[::1]"),
        ("http://[::1]:8000", "[::1]:8000"),
        ("https://[2001:DB8::1]", "[2001:db8::1]:443"),
    ],
)
def test_pages_of_the_same_host_may_connect(origin: str, host: str) -> None:
    assert is_allowed(origin=origin, host=host)


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("null", "example.com"),
        ("null", "null"),
        ("", "example.com"),
        ("example.com", "example.com"),
        ("//example.com", "example.com"),
        ("http://evil.com", "example.com"),
        ("http://example.com.evil.com", "example.com"),
        ("http://evil-example.com", "example.com"),
        ("http://sub.example.com", "example.com"),
        ("http://example.com", "sub.example.com"),
        ("http://example.com:8000", "example.com"),
        ("http://example.com", "example.com:8000"),
        ("https://example.com", "example.com:80"),
        ("http://example.com", "example.com:443"),
        ("http://localhost:8000", "localhost:8001"),
        ("http://localhost", "127.0.0.1"),
        ("http://[::1]:8000", "[::1]:8001"),
        ("http://[::1]", "[::2]"),
        ("http://[::1", "[::1"),
        ("http://example.com:x", "example.com:x"),
        ("http://example.com:99999", "example.com:99999"),
        ("http://evil.com@example.com:1", "example.com"),
        ("http://evil.com, http://example.com", "example.com"),
        ("http://example.com, http://evil.com", "example.com"),
        ("file://", "example.com"),
        ("file://example.com", "example.com"),
        ("ws://example.com", "example.com"),
        ("chrome-extension://example.com", "example.com"),
        ("chrome-extension://abcdef", "example.com"),
        ("http://\u00fcxample.com", "example.com"),
    ],
)
def test_pages_of_other_hosts_may_not_connect(origin: str, host: str) -> None:
    assert not is_allowed(origin=origin, host=host)


@pytest.mark.parametrize(
    ("origin", "forwarded", "allowed"),
    [
        ("https://example.com", "example.com", True),
        ("https://example.com", "example.com:443", True),
        ("https://example.com", "cdn.example.net, example.com", True),
        ("http://internal:8000", "example.com", True),
        ("https://example.com", "example.com:8443", False),
        ("https://evil.com", "example.com", False),
        ("https://evil.com", "", False),
        ("null", "example.com", False),
    ],
)
def test_the_host_that_a_proxy_was_asked_for_counts(
    origin: str, forwarded: str, allowed: bool
) -> None:
    fields = {"host": "internal:8000", "origin": origin, "x_forwarded_host": forwarded}
    assert is_allowed(**fields) is allowed


@pytest.mark.parametrize(
    ("origin", "host", "allowed"),
    [
        ("https://example.com", "example.com", True),
        ("https://example.com", "example.com:443", True),
        ("https://example.com:8443", "example.com:8443", True),
        ("http://example.com", "example.com", False),
        ("http://example.com:8443", "example.com:8443", False),
        ("http://example.com:443", "example.com", False),
        ("HTTP://example.com", "example.com", False),
        ("https://evil.com", "example.com", False),
        ("null", "example.com", False),
    ],
)
def test_with_tls_only_pages_with_tls_may_connect(origin: str, host: str, allowed: bool) -> None:
    for fields in ({"host": host}, {"host": "internal:8000", "x_forwarded_host": host}):
        try:
            check_origin(request(origin=origin, **fields), None, is_secure=True)
        except OriginNotAllowed:
            assert not allowed
        else:
            assert allowed


def test_with_tls_origins_that_are_listed_may_have_any_scheme() -> None:
    asked = request(origin="http://example.com")
    for origins in ("*", ["http://example.com"]):
        check_origin(asked, origins, is_secure=True)
    check_origin(request(), None, is_secure=True)


@pytest.mark.parametrize(
    ("proto", "scheme", "ssl", "is_secure"),
    [
        (None, None, None, False),
        ("https", None, None, True),
        ("HTTPS", None, None, True),
        ("wss", None, None, True),
        ("https, http", None, None, True),
        (" https ,http", None, None, True),
        ("http", None, None, False),
        ("ws", None, None, False),
        ("http, https", None, None, False),
        ("", None, None, False),
        ("httpss", None, None, False),
        (None, "https", None, True),
        (None, "http", None, False),
        (None, None, "on", True),
        (None, None, "off", False),
        ("http", "http", "on", True),
    ],
)
def test_a_proxy_says_in_one_of_three_ways_that_it_speaks_tls(
    proto: str | None, scheme: str | None, ssl: str | None, is_secure: bool
) -> None:
    assert is_forwarded_secure(proto, scheme, ssl) is is_secure


def test_a_star_allows_every_origin() -> None:
    for origin in ("https://evil.com", "null", "", "http://[::1"):
        assert is_allowed("*", origin=origin)


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        ("https://example.com", True),
        ("https://EXAMPLE.com", True),
        ("http://localhost:3000", True),
        ("null", False),
        ("http://example.com", False),
        ("https://example.com:8443", False),
        ("https://example.com.evil.com", False),
        ("https://sub.example.com", False),
        ("https://server.example.com", False),
        ("", False),
    ],
)
def test_a_list_allows_just_its_origins(origin: str, allowed: bool) -> None:
    origins = ["https://Example.com/", "http://localhost:3000"]
    assert is_allowed(origins, origin=origin) is allowed


def test_null_is_allowed_where_it_is_listed() -> None:
    assert is_allowed(["null"], origin="null")


def test_an_empty_list_allows_no_page() -> None:
    assert not is_allowed([], origin="https://server.example.com")


def test_a_long_origin_is_shortened_in_the_refusal() -> None:
    with pytest.raises(OriginNotAllowed) as caught:
        check_origin(request(origin="x" * 10_000), None)
    assert len(str(caught.value)) < 300
    assert caught.value.status == 403


@pytest.mark.parametrize(
    ("requested", "supported", "chosen"),
    [
        (None, (), None),
        (None, ("a",), None),
        ("a", (), None),
        ("a", ("a",), "a"),
        ("a, b", ("b", "a"), "a"),
        ("c, b", ("a", "b"), "b"),
        ("A", ("a",), None),
        (", a", ("a",), "a"),
    ],
)
def test_the_subprotocol_is_the_first_asked_for_that_is_supported(
    requested: str | None, supported: tuple[str, ...], chosen: str | None
) -> None:
    assert choose_protocol(request(sec_websocket_protocol=requested), supported) == chosen


def test_subprotocols_in_several_fields_are_one_list() -> None:
    fields = [("Sec-WebSocket-Protocol", "a"), ("Sec-WebSocket-Protocol", "b, c")]
    both = Request("GET", "/", Headers([*REQUEST.headers, *fields]))
    assert choose_protocol(both, ("c", "b")) == "b"


def test_an_acceptance_has_what_was_chosen_and_what_was_added() -> None:
    extra = Headers([("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")])
    accepted = accept_response(REQUEST, "chat", "x-ext; a", extra)
    assert accepted.status == 101
    assert list(accepted.headers) == [
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Accept", ACCEPT),
        ("Sec-WebSocket-Protocol", "chat"),
        ("Sec-WebSocket-Extensions", "x-ext; a"),
        ("Set-Cookie", "a=1"),
        ("Set-Cookie", "b=2"),
    ]
    assert len(accept_response(REQUEST, None, "", Headers()).headers) == 3


@pytest.mark.parametrize(
    ("error", "status"), [(HandshakeError, 400), (OriginNotAllowed, 403), (UnsupportedVersion, 426)]
)
def test_a_refusal_says_why_and_closes(error: type[HandshakeError], status: int) -> None:
    refusal = refuse_response(error("why \u20ac"))
    assert (refusal.status, refusal.body) == (status, b"why ?\n")
    assert refusal.headers.get("Connection") == "close"
    assert refusal.headers.get("Content-Length") == "6"
    version = "13" if status == 426 else None
    assert refusal.headers.get("Sec-WebSocket-Version") == version


@pytest.mark.parametrize(
    "fields", [{}, {"upgrade": "WebSocket"}, {"connection": "keep-alive, upgrade"}]
)
def test_a_response_that_matches_the_key_is_accepted(fields: dict[str, Any]) -> None:
    assert check_response(response(**fields), KEY, ()) is None


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"status": 200}, "answered 200 OK"),
        ({"status": 401}, "answered 401 Unauthorized"),
        ({"status": 302}, "answered 302 Found"),
        ({"status": 999}, "answered 999 Unknown"),
        ({"upgrade": None}, "Upgrade"),
        ({"upgrade": "h2c"}, "Upgrade"),
        ({"connection": None}, "Connection"),
        ({"connection": "close"}, "Connection"),
        ({"sec_websocket_accept": None}, "Accept"),
        ({"sec_websocket_accept": ""}, "Accept"),
        ({"sec_websocket_accept": KEY}, "Accept"),
        ({"sec_websocket_accept": ACCEPT.lower()}, "Accept"),
        ({"sec_websocket_accept": f"{ACCEPT}, {ACCEPT}"}, "Accept"),
        ({"sec_websocket_protocol": "c"}, "subprotocol"),
        ({"sec_websocket_protocol": "A"}, "subprotocol"),
        ({"sec_websocket_protocol": ""}, "subprotocol"),
        ({"sec_websocket_protocol": "a, b"}, "subprotocol"),
    ],
)
def test_any_other_response_is_refused(fields: dict[str, Any], sentence: str) -> None:
    with pytest.raises(HandshakeError, match=sentence):
        check_response(response(**fields), KEY, ("a", "b"))


def test_the_subprotocol_of_a_response_is_one_that_was_asked_for() -> None:
    assert check_response(response(sec_websocket_protocol="b"), KEY, ("a", "b")) == "b"
    assert check_response(response(), KEY, ("a", "b")) is None
    with pytest.raises(HandshakeError, match="not asked for"):
        check_response(response(sec_websocket_protocol="a"), KEY, ())


def test_the_subprotocols_of_an_application_are_distinct_tokens() -> None:
    assert check_protocols(["a", "b.c"]) == ("a", "b.c")
    assert check_protocols(()) == ()
    for wrong in ([""], ["a b"], ["a,b"], ["a\r\nX: y"], ["\u00fc"], ["a", "a"]):
        with pytest.raises(ValueError, match="subprotocol"):
            check_protocols(wrong)


@pytest.mark.parametrize("wrong", ["chat", [b"chat"], [None], 7])
def test_subprotocols_that_are_no_list_of_strings_are_a_type_error(wrong: Any) -> None:
    with pytest.raises(TypeError):
        check_protocols(wrong)


@pytest.mark.parametrize("version", ["HTTP/1.0", "HTTP/2.0"])
def test_a_response_of_another_version_of_http_upgrades_nothing(version: str) -> None:
    with pytest.raises(HandshakeError, match=f"upgrades {version}, not HTTP/1.1"):
        check_response(response()._replace(version=version), KEY, ())


def test_a_refusal_is_quoted_on_one_line_and_not_all_of_it() -> None:
    refusing = response(503)._replace(body=b"Back\r\n at \xff 5\n" + b"x" * 1000)
    with pytest.raises(InvalidStatus) as caught:
        check_response(refusing, KEY, ())
    assert str(caught.value) == (
        "the server answered 503 Service Unavailable: Back at \ufffd 5 " + "x" * 186
    )
    assert (caught.value.status, caught.value.body) == (503, refusing.body)


@pytest.mark.parametrize("origins", [None, "*", [], ["https://example.com"]])
def test_the_terms_of_an_application_are_kept(origins: Any) -> None:
    terms = check_terms(["a", "b"], {"X": "y"}, origins)
    assert terms.protocols == ("a", "b")
    assert list(terms.headers) == [("X", "y")]
    assert terms.origins is origins


def test_one_origin_that_stands_in_no_list_is_a_type_error() -> None:
    with pytest.raises(TypeError, match=r"origins must be .*: \['https://example.com'\]"):
        check_terms((), (), "https://example.com")


def test_what_is_wrong_in_the_terms_is_said_at_once() -> None:
    with pytest.raises(ValueError, match="not a subprotocol"):
        check_terms(["a b"], (), None)
    with pytest.raises(ValueError, match="line break"):
        check_terms((), {"X": "a\nb"}, None)


@pytest.mark.parametrize(
    "name",
    [
        "Host",
        "UPGRADE",
        "connection",
        "Content-Length",
        "Transfer-Encoding",
        "Sec-WebSocket-Protocol",
        "sec-websocket-anything",
        "WebSocket-Origin",
    ],
)
def test_a_header_that_belongs_to_the_handshake_cannot_be_added(name: str) -> None:
    with pytest.raises(ValueError, match=f"the header {name} belongs to the handshake"):
        check_headers([("X", "y"), (name, "value")])


def test_any_other_header_can_be_added() -> None:
    pairs = [("Set-Cookie", "a=1"), ("Set-Cookie", "b=2"), ("Sec-Other", "x"), ("Hosts", "y")]
    assert list(check_headers(pairs)) == pairs
