"""WebSocket URIs (RFC 6455, 3), as people write them.

`http` and `https` are accepted for `ws` and `wss`, as in the WebSocket API of browsers.
Characters that must be escaped are escaped; what can't be in a URI is a `ValueError`.
"""

from __future__ import annotations

import base64
import ipaddress
from typing import NamedTuple
from urllib.parse import SplitResult, quote, unquote, urlsplit

from ..constants import DEFAULT_PORTS

_SECURE = {"ws": False, "http": False, "wss": True, "https": True}
# RFC 3986: characters that a path or query may have, and "%", for what is escaped already.
_KEPT = "%/?:@!$&'()*+,;=~-._[]"
# RFC 1035, 2.3.4: "labels 63 octets or less" and names of 255 octets, of which 253 remain
# when a name is written with dots.
_MAX_LABEL = 63
_MAX_NAME = 253


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
        # RFC 6874, 4: a zone means something on this machine only.
        host = f"[{self.host.partition('%')[0]}]" if ":" in self.host else self.host
        return host if self.port == _default_port(self.secure) else f"{host}:{self.port}"

    @property
    def origin(self) -> tuple[bool, str, int]:
        """What a second URI must share to be sent the credentials given for this one."""
        return self.secure, self.host.lower(), self.port

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
    if not url.isprintable() or url != url.strip():
        # urllib would silently drop line breaks, and the spaces around a URL.
        raise ValueError(f"a URL with characters that can't be in one: {url!r}")
    parts = urlsplit(url)
    if parts.scheme not in _SECURE:
        raise ValueError(f"not a ws or wss URL: {url!r}")
    if "#" in url:
        raise ValueError(f"a WebSocket URL can't have a fragment: {url!r}")
    secure = _SECURE[parts.scheme]
    # urllib raises ValueError for a port above 65535.
    port = _default_port(secure) if parts.port is None else parts.port
    target = quote(parts.path, safe=_KEPT) or "/"
    # An empty query is kept (3: "path [ "?" query ]").
    if "?" in url:
        target += "?" + quote(parts.query, safe=_KEPT)
    authorization = None
    if parts.username is not None:
        authorization = format_basic(unquote(parts.username), unquote(parts.password or ""))
    return Address(secure, parse_host(parts), port, target, authorization)


def _default_port(secure: bool) -> int:
    return DEFAULT_PORTS["https" if secure else "http"]


def parse_host(parts: SplitResult) -> str:
    """Return the host of a URL: a name that can be looked up, or an address.

    Raises:
        ValueError: there is none, or it is invalid.
    """
    host = parts.hostname or ""
    if not host:
        raise ValueError(f"a URL without a host: {parts.geturl()!r}")
    after_user = parts.netloc.rpartition("@")[2]
    if not after_user.startswith("["):
        return _to_ascii(host)
    if after_user.partition("]")[2][:1] not in ("", ":"):
        raise ValueError(f"not a host and a port: {after_user!r}")
    # RFC 6874: in a URL, the "%" before a zone is escaped.
    host = host.replace("%25", "%", 1)
    try:
        ipaddress.IPv6Address(host)
    except ValueError:
        raise ValueError(f"not an IPv6 address: {host!r}") from None
    return host


def _to_ascii(host: str) -> str:
    try:
        name = host if host.isascii() else host.encode("idna").decode()
    except UnicodeError:
        name = ""
    # IDNA maps some characters to ones that no name may have, such as spaces.
    if not _is_name(name):
        raise ValueError(f"not the name of a host: {host!r}")
    return name


def _is_name(name: str) -> bool:
    # RFC 1034, 3.1: a full name ends with a dot, before the empty label of the root.
    short = name.removesuffix(".")
    return (
        len(short) <= _MAX_NAME
        and all(0 < len(label) <= _MAX_LABEL for label in short.split("."))
        and all(char.isalnum() or char in "-_" for char in short.replace(".", ""))
    )


def format_basic(username: str, password: str) -> str:
    """Return the header value for credentials (RFC 7617, 2), encoded as UTF-8."""
    return "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()
