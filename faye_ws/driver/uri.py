"""WebSocket URIs (RFC 6455, 3), as people write them.

`http` and `https` mean the same as `ws` and `wss`, as in the WebSocket API of browsers.
What a URI must have escaped is escaped; what it can't have is a `ValueError`.
"""

from __future__ import annotations

import base64
from typing import NamedTuple
from urllib.parse import quote, unquote_to_bytes, urlsplit

_SECURE = {"ws": False, "http": False, "wss": True, "https": True}
_DEFAULT_PORTS = {False: 80, True: 443}
# RFC 3986: what may stand in a path or query as it is, and "%", which escapes already.
_KEPT = "%/?:@!$&'()*+,;=~-._[]"


class Address(NamedTuple):
    """What a WebSocket URI says: where to connect, and what to ask for there.

    `authorization` is the value of the header for the credentials in the URI, if any.
    """

    secure: bool
    host: str
    port: int
    target: str
    authorization: str | None = None

    @property
    def authority(self) -> str:
        """The value of the Host header: the port only if it is not the default."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _DEFAULT_PORTS[self.secure] else f"{host}:{self.port}"

    @property
    def url(self) -> str:
        """The URI, without credentials."""
        return f"{'wss' if self.secure else 'ws'}://{self.authority}{self.target}"


def parse_url(url: str) -> Address:
    """Parse the URI of a WebSocket.

    Raises:
        ValueError: it is not one, or has a fragment (3: "MUST NOT be used on these URIs").
    """
    if not isinstance(url, str):
        raise TypeError(f"a URL must be a str, not {type(url).__name__}")
    if not url.isprintable():
        # urllib would silently leave line breaks out.
        raise ValueError(f"a URL with characters that can't be in one: {url!r}")
    parts = urlsplit(url)
    if parts.scheme not in _SECURE:
        raise ValueError(f"not a ws or wss URL: {url!r}")
    if "#" in url:
        raise ValueError(f"a WebSocket URL can't have a fragment: {url!r}")
    if not parts.hostname:
        raise ValueError(f"a URL without a host: {url!r}")
    secure = _SECURE[parts.scheme]
    # The port is 0 to 65535 or a ValueError of urllib's.
    port = _DEFAULT_PORTS[secure] if parts.port is None else parts.port
    target = quote(parts.path, safe=_KEPT) or "/"
    if parts.query:
        target += "?" + quote(parts.query, safe=_KEPT)
    authorization = authorize(parts.username, parts.password)
    return Address(secure, _to_ascii(parts.hostname), port, target, authorization)


def _to_ascii(host: str) -> str:
    if host.isascii():
        if not all(char.isalnum() or char in ".-_:%" for char in host):
            raise ValueError(f"not the name of a host: {host!r}")
        return host
    try:
        return host.encode("idna").decode()
    except UnicodeError:
        raise ValueError(f"not the name of a host: {host!r}") from None


def authorize(username: str | None, password: str | None) -> str | None:
    """Return the header value for credentials as they stand in a URI, percent-encoded."""
    if username is None:
        return None
    # RFC 7617, 2: the user-id ends at the first colon.
    credentials = unquote_to_bytes(username) + b":" + unquote_to_bytes(password or "")
    return "Basic " + base64.b64encode(credentials).decode()
