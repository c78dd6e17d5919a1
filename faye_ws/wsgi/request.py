"""The request behind a WSGI environ (PEP 3333)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote, urlsplit

from ..driver.handshake import is_forwarded_secure, is_upgrade
from ..driver.http import Headers, Request, is_token, parse_list

Environ = Mapping[str, Any]
StartResponse = Callable[..., Any]

# RFC 3986, 3.3: characters that need not be escaped in a path.
_PATH_CHARS = "/:@!$&'()*+,;=~"


def is_websocket(environ: Environ) -> bool:
    """Tell whether a request asks for WebSocket, of any version."""
    return is_upgrade(
        environ.get("REQUEST_METHOD", ""),
        environ.get("HTTP_UPGRADE"),
        environ.get("HTTP_CONNECTION"),
    )


def read_request(environ: Environ) -> Request:
    """Return the request head that an environ was made from.

    Some servers let invalid header fields pass. A field with an invalid name is left out; one
    with an invalid value is kept as empty, as its presence may matter.
    """
    headers = Headers()
    for key, value in environ.items():
        if key.startswith("HTTP_"):
            _append(headers, key[5:], value)
    # PEP 3333: it "may be empty or absent".
    if environ.get("CONTENT_LENGTH"):
        _append(headers, "CONTENT_LENGTH", environ["CONTENT_LENGTH"])
    return Request(
        environ.get("REQUEST_METHOD", ""),
        read_target(environ),
        headers,
        environ.get("SERVER_PROTOCOL", "HTTP/1.1"),
    )


def _append(headers: Headers, key: str, value: str) -> None:
    name = key.replace("_", "-").title()
    if is_token(name):
        try:
            headers.append(name, value)
        except ValueError:
            headers.append(name, "")


def read_target(environ: Environ) -> str:
    """Return the path and query of a request."""
    raw: str = environ.get("RAW_URI") or environ.get("REQUEST_URI") or ""
    if raw.startswith("/"):
        return raw
    if raw:
        # A request to a proxy has a whole URL there.
        parts = urlsplit(raw)
        path, query = parts.path or "/", parts.query
    else:
        script_and_path = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
        path = quote(script_and_path.encode("latin-1"), safe=_PATH_CHARS) or "/"
        query = environ.get("QUERY_STRING", "")
    return f"{path}?{query}" if query else path


def is_secure(environ: Environ) -> bool:
    """Tell whether the client speaks TLS, to us or to a proxy in front of us."""
    if environ.get("wsgi.url_scheme") in ("https", "wss") or environ.get("HTTPS") == "on":
        return True
    return is_forwarded_secure(
        environ.get("HTTP_X_FORWARDED_PROTO"),
        environ.get("HTTP_X_FORWARDED_SCHEME"),
        environ.get("HTTP_X_FORWARDED_SSL"),
    )


def is_eventsource(environ: Environ) -> bool:
    """Tell whether a request asks for an event stream: a GET that accepts `text/event-stream`.

    Browsers send exactly that (WHATWG HTML, 9.2.2); `*/*`, which most other clients send, does
    not count.
    """
    if environ.get("REQUEST_METHOD") != "GET":
        return False
    return any(map(_accepts_event_stream, parse_list(environ.get("HTTP_ACCEPT"))))


def _accepts_event_stream(media_range: str) -> bool:
    # RFC 9110, 12.4.2: "a value of 0 means "not acceptable"".
    name, *parameters = (part.strip(" \t").lower() for part in media_range.split(";"))
    weights = [value[2:] for value in parameters if value.startswith("q=")]
    is_wanted = not weights or bool(weights[0].strip("0."))
    return name == "text/event-stream" and is_wanted


def read_last_event_id(environ: Environ) -> str:
    """Return the ID of the last event that a client has seen, or an empty string.

    It is UTF-8 (WHATWG HTML, 9.2.4), which PEP 3333 decodes as Latin-1.
    """
    value: str = environ.get("HTTP_LAST_EVENT_ID", "")
    return value.encode("latin-1").decode(errors="replace")


def read_http_url(environ: Environ) -> str:
    """Return the `http` or `https` URL of a request."""
    return read_url(environ).replace("ws", "http", 1)


def read_url(environ: Environ) -> str:
    """Return the `ws` or `wss` URL of a request."""
    scheme = "wss" if is_secure(environ) else "ws"
    host = environ.get("HTTP_HOST")
    if not host:
        host = f"{environ.get('SERVER_NAME', 'localhost')}:{environ.get('SERVER_PORT', '80')}"
    return f"{scheme}://{host}{read_target(environ)}"
