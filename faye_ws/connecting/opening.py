"""How a client gets to its server, redirects included.

    names -> TCP -> (proxy) -> (TLS) -> request, response -> a WebSocket, or again by a redirect

Invariants:
- Everything waits in the calling greenlet only.
- Every socket is either returned or closed.
- What the application gave for one origin is sent to no other: its header fields (except
  harmless ones), the credentials of its URL, its certificate.
- What the application gave for the proxy is sent to the proxy only.
"""

from __future__ import annotations

import os
from typing import Any
from urllib.parse import urldefrag, urljoin

from ..constants import HARMLESS_FIELDS, ReadyState
from ..driver.client import Client as Driver
from ..driver.http import Headers
from ..driver.uri import Address, parse_url
from ..errors import HandshakeError
from .connector import (
    connect_tcp,
    connect_unix,
    make_socks_tunnel,
    open_tunnel,
    shake_hands,
    start_tls,
)
from .http_tunnel import HTTPTunnel
from .proxies import Proxy, ProxyOption, choose_proxy
from .tls import TLSOptions, TLSSettings

# RFC 9110, 15.4: the statuses that redirect.
_REDIRECTS = frozenset((301, 302, 303, 307, 308))


class Opening:
    """The opening of one client's connection.

    Args:
        url, proxy, net, source_address, tls, ca, max_redirects: as in `faye_ws.Client`.
        headers: header fields to add to the request.
        options: other options of the driver.

    Attributes:
        address: the server; after a redirect, the new one.
        driver: the driver of the connection; after a redirect, a new one.

    Raises:
        TypeError, ValueError: the URL or an option is invalid.
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
        # None after a redirect, if the application's can't be used for the new origin.
        self._tls: TLSSettings | None = TLSSettings(tls, ca)
        self.driver = Driver(self.address, headers=headers, **options)

    def go(self) -> Any:
        """Connect and shake hands; return the socket if `driver` is open, else None.

        The deadline is the caller's to set.

        Raises:
            OSError, HandshakeError: the server can't be reached.
        """
        while True:
            sock = self._connect()
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

    def _connect(self) -> Any:
        sock = self._connect_first()
        try:
            if self._proxy is not None:
                sock = self._pass_proxy(sock, self._proxy)
            if self.address.secure:
                assert self._tls is not None
                sock = start_tls(sock, self._tls, self.address.host)
        except BaseException:
            sock.close()
            raise
        return sock

    def _connect_first(self) -> Any:
        """Return a socket connected to the proxy if there is one, else to the server."""
        if isinstance(self._net, (str, os.PathLike)):
            return connect_unix(os.fspath(self._net))
        if self._net is not None:
            self._net.settimeout(0.0)
            return self._net
        first = self._proxy or self.address
        return connect_tcp(first.host, first.port, self._source_address)

    def _pass_proxy(self, sock: Any, proxy: Proxy) -> Any:
        if proxy.tls is not None:
            sock = start_tls(sock, proxy.tls, proxy.host)
        host, port = self.address.host, self.address.port
        if proxy.is_socks:
            open_tunnel(sock, make_socks_tunnel(proxy, host, port))
        else:
            open_tunnel(sock, HTTPTunnel(host, port, proxy.authorization, proxy.headers))
        return sock

    def _follow_redirect(self) -> bool:
        """Turn to where the response redirects; return False if it does not, or we may not."""
        response = self.driver.response
        if response is None or response.status not in _REDIRECTS or not self._redirects_left:
            return False
        self._redirects_left -= 1
        old = self.address
        locations = response.headers.get_all("Location")
        if len(locations) > 1:
            raise HandshakeError("a redirect to several places")
        new = _resolve(old, locations[0] if locations else None)
        if old.secure and not new.secure:
            raise HandshakeError(f"a redirect from wss to ws is not followed: {new.url}")
        if new.origin != old.origin:
            self._drop_secrets(new)
        elif new.authorization is None:
            new = new._replace(authorization=old.authorization)
        self.address = new
        self._proxy = choose_proxy(self._proxy_option, new)
        self.driver = Driver(new, headers=self._headers, **self._options)
        return True

    def _drop_secrets(self, new: Address) -> None:
        """Drop what the application gave for the origin that a redirect leaves.

        Raises:
            HandshakeError: what remains can't be used for the new address.
        """
        harmless = [field for field in self._headers if field[0].lower() in HARMLESS_FIELDS]
        self._headers = Headers(harmless)
        self._tls = None if self._tls is None else self._tls.without_certificate()
        if new.secure and self._tls is None:
            raise HandshakeError(
                f"a redirect to another origin is not followed with an SSLContext, which may "
                f"hold a certificate that is not for it: {new.url}"
            )


def _resolve(base: Address, location: str | None) -> Address:
    if not location:
        raise HandshakeError("a redirect that does not say where to")
    try:
        # urllib can't join ws URLs. A fragment is never sent to a server.
        return parse_url(urldefrag(urljoin(base.url.replace("ws", "http", 1), location)).url)
    except ValueError as error:
        raise HandshakeError(f"a redirect that leads nowhere: {error}") from None
