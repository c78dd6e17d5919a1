"""The request behind a WSGI environ (PEP 3333)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlsplit

from ..driver.handshake import is_upgrade
from ..driver.http import Headers, Request, parse_list

Environ = Mapping[str, Any]

# RFC 3986, 3.3: what may stand in a path as it is.
_PATH_CHARS = "/:@!$&'()*+,;=~"
# How proxies say that the client's side of them is encrypted.
_SECURE_HEADERS = (
    ("HTTPS", "on"),
    ("HTTP_X_FORWARDED_SSL", "on"),
    ("HTTP_X_FORWARDED_SCHEME", "https"),
)


def is_websocket(environ: Environ) -> bool:
    """Tell whether a request asks for WebSocket, of any version."""
    return is_upgrade(
        environ.get("REQUEST_METHOD", ""),
        environ.get("HTTP_UPGRADE"),
        environ.get("HTTP_CONNECTION"),
    )


def read_request(environ: Environ) -> Request:
    """Return the request head that an environ was made of.

    Header fields that no head could have had, which some servers let through, are left out.
    """
    headers = Headers()
    for name, value in environ.items():
        if name.startswith("HTTP_"):
            try:
                headers.append(name[5:].replace("_", "-").title(), value)
            except ValueError:
                continue
    return Request(
        environ.get("REQUEST_METHOD", ""),
        read_target(environ),
        headers,
        environ.get("SERVER_PROTOCOL", "HTTP/1.1"),
    )


def read_target(environ: Environ) -> str:
    """Return the path and query of a request."""
    raw = environ.get("RAW_URI") or environ.get("REQUEST_URI")
    if raw:
        # A request through a proxy may name a whole URL.
        parts = urlsplit(raw) if not raw.startswith("/") else None
        if parts is None:
            return str(raw)
        path, query = parts.path or "/", parts.query
    else:
        script_and_path = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
        path = quote(script_and_path.encode("latin-1"), safe=_PATH_CHARS) or "/"
        query = environ.get("QUERY_STRING", "")
    return f"{path}?{query}" if query else path


def is_secure(environ: Environ) -> bool:
    """Tell whether the client speaks TLS, to us or to a proxy before us."""
    if environ.get("wsgi.url_scheme") in ("https", "wss"):
        return True
    if any(environ.get(name) == value for name, value in _SECURE_HEADERS):
        return True
    return parse_list(environ.get("HTTP_X_FORWARDED_PROTO"))[:1] == ["https"]


def read_url(environ: Environ) -> str:
    """Return the `ws` or `wss` URL that the client has connected to."""
    scheme = "wss" if is_secure(environ) else "ws"
    host = environ.get("HTTP_HOST")
    if not host:
        host = f"{environ.get('SERVER_NAME', 'localhost')}:{environ.get('SERVER_PORT', '80')}"
    return f"{scheme}://{host}{read_target(environ)}"
