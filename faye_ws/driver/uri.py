"""WebSocket URIs (RFC 6455, 3)."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import urlsplit

_DEFAULT_PORTS = {"ws": 80, "wss": 443}


class Address(NamedTuple):
    """What a WebSocket URI says: where to connect, and what to ask for there."""

    secure: bool
    host: str
    port: int
    target: str

    @property
    def authority(self) -> str:
        """The value of the Host header: the port only if it is not the default."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        default = _DEFAULT_PORTS["wss" if self.secure else "ws"]
        return host if self.port == default else f"{host}:{self.port}"


def parse_url(url: str) -> Address:
    """Parse a `ws` or `wss` URI.

    Raises:
        ValueError: it is not one, or has a fragment (3: "MUST NOT be used on these URIs").
    """
    parts = urlsplit(url)
    if parts.scheme not in _DEFAULT_PORTS:
        raise ValueError(f"not a ws or wss URL: {url!r}")
    if not parts.hostname:
        raise ValueError(f"a URL without a host: {url!r}")
    if parts.fragment or url.endswith("#"):
        raise ValueError(f"a WebSocket URL can't have a fragment: {url!r}")
    if not url.isascii() or not url.isprintable() or " " in url:
        raise ValueError(f"a URL with characters that must be escaped: {url!r}")
    # The port is 0 to 65535 or a ValueError of urllib's.
    port = _DEFAULT_PORTS[parts.scheme] if parts.port is None else parts.port
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Address(parts.scheme == "wss", parts.hostname, port, target)
