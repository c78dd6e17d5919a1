"""The way of a client to its server.

    names -> TCP -> (proxy) -> (TLS) -> request, response -> a WebSocket, or on to a redirect

The law of this file: whoever goes this way waits in its own greenlet only, and leaves no
socket behind that it does not return. What is meant for one origin is shown to no other.
"""

from __future__ import annotations

import os
from typing import Any
from urllib.parse import urldefrag, urljoin

from .constants import ReadyState
from .driver.client import Client as Driver
from .driver.http import Headers
from .driver.proxy import Tunnel
from .driver.uri import Address, parse_url
from .errors import HandshakeError
from .runtime.connector import (
    connect_socks,
    connect_tcp,
    connect_unix,
    open_tunnel,
    shake_hands,
    start_tls,
)
from .runtime.proxies import Proxy, ProxyOption, choose_proxy
from .runtime.tls import TLSOptions, TLSSettings

# RFC 9110, 15.4: those that say where to go instead.
_REDIRECTS = frozenset((301, 302, 303, 307, 308))
# Header fields that are for the origin which they were given for.
_CREDENTIALS = frozenset(("authorization", "cookie"))


class Opening:
    """How to reach a server.

    Args:
        url, proxy, net, source_address, tls, ca, max_redirects: as of `faye_ws.Client`.
        headers: header fields to add to the request.
        options: more for the driver.

    Attributes:
        address: where it leads; after a redirect, where that has led.
        driver: the driver of the connection, a new one after a redirect.

    Raises:
        TypeError, ValueError: the URL or an option is not what it should be.
        ImportError: a SOCKS proxy, and python-socks is not installed.
    """

    __slots__ = (
        "_headers",
        "_net",
        "_options",
        "_proxy",
        "_proxy_option",
        "_redirects_left",
        "_source_address",
        "_tls",
        "address",
        "driver",
    )

    def __init__(
        self,
        url: str,
        headers: Headers,
        *,
        max_redirects: int,
        source_address: tuple[str, int] | None,
        proxy: ProxyOption,
        net: Any,
        tls: TLSOptions | None,
        ca: str | None,
        **options: Any,
    ) -> None:
        self.address = parse_url(url)
        if isinstance(max_redirects, bool) or not isinstance(max_redirects, int):
            raise TypeError(f"max_redirects must be a number, not {max_redirects!r}")
        if max_redirects < 0:
            raise ValueError(f"max_redirects must not be below 0: {max_redirects}")
        if net is not None and max_redirects:
            raise ValueError("what net leads to can't be left for a redirect")
        is_path = net is None or isinstance(net, (str, os.PathLike))
        if not (is_path or hasattr(net, "settimeout")):
            raise TypeError(f"net must be a socket or the path of one, not {net!r}")
        self._redirects_left = max_redirects
        self._source_address = source_address
        self._net = net
        self._headers = headers
        self._options = options
        self._proxy_option = proxy
        self._proxy = choose_proxy(proxy, self.address)
        self._tls = TLSSettings(tls, ca)
        self.driver = Driver(self.address, headers=headers, **options)

    def go(self, timeout: float) -> Any:
        """Go the way to its end, and return the socket if `driver` is open, else None.

        Args:
            timeout: seconds until a step that can't be interrupted has to end by itself.

        Raises:
            OSError, HandshakeError: it leads nowhere.
        """
        while True:
            sock = self._connect(timeout)
            try:
                shake_hands(sock, self.driver)
            except BaseException:
                sock.close()
                raise
            if self.driver.ready_state is ReadyState.OPEN:
                return sock
            sock.close()
            if not self._follow_redirect():
                return None

    def _connect(self, timeout: float) -> Any:
        sock = self._reach(timeout)
        try:
            if self._proxy is not None and self._proxy.tls is not None:
                sock = start_tls(sock, self._proxy.tls, self._proxy.host)
            if self._proxy is not None and not self._proxy.is_socks:
                self._ask_for_tunnel(sock, self._proxy)
            if self.address.secure:
                sock = start_tls(sock, self._tls, self.address.host)
        except BaseException:
            sock.close()
            raise
        return sock

    def _reach(self, timeout: float) -> Any:
        """Return a socket connected to the server, or to the proxy before it."""
        address, proxy = self.address, self._proxy
        if isinstance(self._net, (str, os.PathLike)):
            return connect_unix(os.fspath(self._net))
        if self._net is not None:
            self._net.settimeout(0.0)
            return self._net
        if proxy is None:
            return connect_tcp(address.host, address.port, self._source_address)
        if proxy.is_socks:
            return connect_socks(
                proxy, address.host, address.port, self._source_address, timeout
            )
        return connect_tcp(proxy.host, proxy.port, self._source_address)

    def _ask_for_tunnel(self, sock: Any, proxy: Proxy) -> None:
        address = self.address
        open_tunnel(
            sock, Tunnel(address.host, address.port, proxy.authorization, proxy.headers)
        )

    def _follow_redirect(self) -> bool:
        """Take the way that the server has shown instead, if it has and we may."""
        response = self.driver.response
        if response is None or response.status not in _REDIRECTS or not self._redirects_left:
            return False
        self._redirects_left -= 1
        old = self.address
        new = _resolve(old, response.headers.get("Location"))
        if old.secure and not new.secure:
            raise HandshakeError(f"a redirect from wss to ws is not followed: {new.url}")
        if new.origin != old.origin:
            kept = [pair for pair in self._headers if pair[0].lower() not in _CREDENTIALS]
            self._headers = Headers(kept)
            # It named the certificate of the other server.
            self._tls.server_hostname = None
        elif new.authorization is None:
            new = new._replace(authorization=old.authorization)
        self.address = new
        self._proxy = choose_proxy(self._proxy_option, new)
        self.driver = Driver(new, headers=self._headers, **self._options)
        return True


def _resolve(base: Address, location: str | None) -> Address:
    if not location:
        raise HandshakeError("a redirect that does not say where to")
    try:
        # urllib knows nothing of ws, and a fragment says nothing to a server.
        return parse_url(urldefrag(urljoin(base.url.replace("ws", "http", 1), location)).url)
    except ValueError as error:
        raise HandshakeError(f"a redirect that leads nowhere: {error}") from None
