"""What an environ says about a request."""

from __future__ import annotations

from typing import Any

import pytest

from faye_ws.wsgi.request import (
    is_eventsource,
    is_secure,
    is_websocket,
    read_http_url,
    read_last_event_id,
    read_request,
    read_target,
    read_url,
)


def test_a_request_for_a_websocket_is_known_by_three_things() -> None:
    environ = {"REQUEST_METHOD": "GET", "HTTP_UPGRADE": "WebSocket", "HTTP_CONNECTION": "Upgrade"}
    assert is_websocket(environ)
    for name in environ:
        assert not is_websocket({key: environ[key] for key in environ if key != name})
    assert not is_websocket({**environ, "REQUEST_METHOD": "POST"})


def test_a_request_has_the_head_that_the_client_has_sent() -> None:
    request = read_request(
        {
            "REQUEST_METHOD": "GET",
            "SERVER_PROTOCOL": "HTTP/1.0",
            "PATH_INFO": "/chat",
            "HTTP_SEC_WEBSOCKET_KEY": "abc",
            "CONTENT_LENGTH": "5",
            "wsgi.url_scheme": "http",
        }
    )
    assert (request.method, request.target, request.version) == ("GET", "/chat", "HTTP/1.0")
    assert list(request.headers) == [("Sec-Websocket-Key", "abc"), ("Content-Length", "5")]


@pytest.mark.parametrize("environ", [{}, {"CONTENT_LENGTH": ""}], ids=["absent", "empty"])
def test_what_an_environ_need_not_have_may_be_missing(environ: dict[str, str]) -> None:
    request = read_request(environ)
    assert (request.method, request.target, request.version) == ("", "/", "HTTP/1.1")
    assert list(request.headers) == []


def test_fields_that_no_head_could_have_had_do_no_harm() -> None:
    fields = {"HTTP_A:B": "left out", "HTTP_HOST": "a\nb", "HTTP_ORIGIN": "c"}
    headers = read_request(fields).headers
    assert list(headers) == [("Host", ""), ("Origin", "c")]


@pytest.mark.parametrize(
    ("environ", "target"),
    [
        ({}, "/"),
        ({"SCRIPT_NAME": "/app", "PATH_INFO": "/a b%"}, "/app/a%20b%25"),
        ({"PATH_INFO": "/caf\xc3\xa9", "QUERY_STRING": "a=1&b"}, "/caf%C3%A9?a=1&b"),
        ({"PATH_INFO": "/a%2Fb decoded", "RAW_URI": "/a%2Fb?c"}, "/a%2Fb?c"),
        ({"PATH_INFO": "/decoded", "REQUEST_URI": "/raw"}, "/raw"),
        ({"RAW_URI": "http://example.com/path?query"}, "/path?query"),
        ({"RAW_URI": "http://example.com"}, "/"),
    ],
)
def test_the_target_is_as_the_client_has_written_it(environ: dict[str, str], target: str) -> None:
    assert read_target(environ) == target


@pytest.mark.parametrize(
    ("environ", "secure"),
    [
        ({}, False),
        ({"wsgi.url_scheme": "http", "HTTPS": "off"}, False),
        ({"wsgi.url_scheme": "https"}, True),
        ({"wsgi.url_scheme": "wss"}, True),
        ({"HTTPS": "on"}, True),
        ({"HTTP_X_FORWARDED_PROTO": "https, http"}, True),
        ({"HTTP_X_FORWARDED_SCHEME": "wss"}, True),
        ({"HTTP_X_FORWARDED_SSL": "on"}, True),
    ],
)
def test_tls_may_end_here_or_at_a_proxy(environ: dict[str, str], secure: bool) -> None:
    assert is_secure(environ) is secure


@pytest.mark.parametrize(
    ("accept", "wanted"),
    [
        (None, False),
        ("*/*", False),
        ("text/event-stream", True),
        ("text/html, TEXT/Event-Stream ; charset=utf-8 ; q=0.5", True),
        ("text/event-stream;q=0", False),
        ("text/event-stream;q=0.000", False),
        ("text/event-streams", False),
    ],
)
def test_an_event_stream_is_asked_for_by_name(accept: str | None, wanted: bool) -> None:
    environ: dict[str, Any] = {"REQUEST_METHOD": "GET"}
    if accept is not None:
        environ["HTTP_ACCEPT"] = accept
    assert is_eventsource(environ) is wanted
    assert not is_eventsource({**environ, "REQUEST_METHOD": "POST"})


def test_the_last_event_id_is_utf_8_behind_latin_1() -> None:
    assert read_last_event_id({}) == ""
    assert read_last_event_id({"HTTP_LAST_EVENT_ID": "caf\xc3\xa9"}) == "caf\u00e9"
    assert read_last_event_id({"HTTP_LAST_EVENT_ID": "\xe9"}) == "\ufffd"


def test_the_url_has_the_host_that_the_client_has_asked_for() -> None:
    environ = {"HTTP_HOST": "ws.example.com", "SERVER_NAME": "inside", "PATH_INFO": "/chat"}
    assert read_url(environ) == "ws://ws.example.com/chat"
    assert read_http_url(environ) == "http://ws.example.com/chat"
    environ["HTTPS"] = "on"
    assert read_url(environ) == "wss://ws.example.com/chat"
    assert read_http_url(environ) == "https://ws.example.com/chat"


def test_the_url_has_the_servers_own_name_where_none_was_asked_for() -> None:
    assert read_url({"SERVER_NAME": "inside", "SERVER_PORT": "8080"}) == "ws://inside:8080/"
    assert read_url({"HTTP_HOST": ""}) == "ws://localhost:80/"
