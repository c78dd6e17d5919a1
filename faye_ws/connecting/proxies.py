"""Which proxy a client goes through: the application's, the environment's, or none.

    wss  https_proxy, else all_proxy        ws  http_proxy, else all_proxy

The variables may be in upper case, too. Only HTTP_PROXY is ignored under CGI, where a
request's Proxy header sets it. `no_proxy` lists hosts, domains (which include their
subdomains), addresses and networks, each with or without a port; "*" is all of them.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

from ..constants import DEFAULT_PORTS
from ..driver.http import HeaderFields, Headers
from ..driver.uri import Address, format_basic, parse_host
from .socks import format_credentials
from .tls import TLSSettings

# RFC 1928, 3: 1080 for SOCKS. As in curl and requests, the proxy resolves names with
# socks5h, and we do with socks5.
_PORTS = {**DEFAULT_PORTS, "socks5": 1080, "socks5h": 1080}
ProxyOption = Mapping[str, Any] | str | bool | None
_OPTION_KEYS = frozenset(("origin", "headers", "tls"))


class Proxy(NamedTuple):
    """A proxy: how to reach it, and what only it may see.

    `tls` is None if the proxy does not speak TLS; `headers` are for CONNECT.
    """

    scheme: str
    host: str
    port: int
    username: str | None
    password: str | None
    headers: Headers
    tls: TLSSettings | None

    @property
    def is_socks(self) -> bool:
        """Whether the proxy speaks SOCKS5, not HTTP."""
        return self.scheme.startswith("socks")

    @property
    def authorization(self) -> str | None:
        """The value of the Proxy-Authorization header, or None without a username."""
        if self.username is None:
            return None
        return format_basic(self.username, self.password or "")


def choose_proxy(option: ProxyOption, address: Address) -> Proxy | None:
    """Return the proxy for a connection, or None to connect directly.

    Args:
        option: None for the environment's proxy; False for no proxy; a URL; or a mapping
            with `origin` (the URL) and optionally `headers` and `tls`.
        address: where the connection is to lead.

    Raises:
        TypeError, ValueError: the option is none of these.
    """
    if option is False:
        return None
    if option is None:
        url = _from_environment(address)
        return None if url is None else parse_proxy(url)
    if isinstance(option, str):
        return parse_proxy(option)
    if not isinstance(option, Mapping) or "origin" not in option:
        raise TypeError("proxy must be False, a URL, or a mapping with an origin")
    unknown = option.keys() - _OPTION_KEYS
    if unknown:
        raise TypeError(f"unknown options of proxy: {', '.join(sorted(map(str, unknown)))}")
    return parse_proxy(option["origin"], option.get("headers") or (), option.get("tls"))


def parse_proxy(url: str, headers: HeaderFields = (), tls: Any = None) -> Proxy:
    """Return the proxy of a URL.

    Raises:
        TypeError, ValueError: it is not the URL of a proxy, or an argument does not fit it.
    """
    # As in other programs, a bare host and port is an HTTP proxy.
    parts = urlsplit(url if "://" in url else f"http://{url}")
    if parts.scheme not in _PORTS or not parts.hostname:
        raise ValueError(f"not the URL of a proxy: {parts.scheme}://{parts.hostname}")
    is_socks = parts.scheme.startswith("socks")
    if is_socks and (headers or tls is not None):
        raise ValueError("a SOCKS proxy has no headers and no TLS")
    username = None if parts.username is None else unquote(parts.username)
    password = None if parts.password is None else unquote(parts.password)
    if is_socks and username is not None:
        format_credentials(username, password or "")
    return Proxy(
        parts.scheme,
        parse_host(parts),
        parts.port or _PORTS[parts.scheme],
        username,
        password,
        Headers(headers),
        TLSSettings(tls, None) if parts.scheme == "https" else None,
    )


def _from_environment(address: Address) -> str | None:
    names = ["https_proxy" if address.secure else "http_proxy", "all_proxy"]
    if _is_excepted(address, _get_variable("no_proxy") or ""):
        return None
    return next((value for value in map(_get_variable, names) if value), None)


def _get_variable(name: str) -> str | None:
    value = os.environ.get(name)
    if value is None and not (name == "http_proxy" and "REQUEST_METHOD" in os.environ):
        value = os.environ.get(name.upper())
    return value


def _is_excepted(address: Address, no_proxy: str) -> bool:
    return any(_matches(address, entry) for entry in no_proxy.replace(" ", ",").split(",") if entry)


def _matches(address: Address, entry: str) -> bool:
    if entry == "*":
        return True
    if _is_in_network(address.host, entry):
        return True
    name, colon, port = entry.lower().rpartition(":")
    if colon and port.isdecimal():
        if int(port) != address.port:
            return False
        entry = name
    if entry.startswith("["):
        return _is_in_network(address.host, entry.strip("[]"))
    domain = entry.lower().lstrip(".")
    host = address.host.lower()
    return host == domain or host.endswith(f".{domain}")


def _is_in_network(host: str, network: str) -> bool:
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(network, strict=False)
    except ValueError:
        return False
