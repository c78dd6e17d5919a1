"""The way of a client to its server.

    names -> TCP -> (proxy) -> (TLS) -> request, response -> a WebSocket, or on to a redirect

Invariants: whoever goes this way waits in its own greenlet only, and leaves no socket behind
that it does not return. What the application gave for one origin is shown to no other: not its
header fields, but for those that are no secrets, not the credentials of the URL, not its
certificate. What it gave for the proxy is shown to the proxy only.
"""

from __future__ import annotations

import os
from typing import Any
from urllib.parse import urldefrag, urljoin

from ..constants import ReadyState
from ..driver.client import Client as Driver
from ..driver.http import Headers
from ..driver.uri import Address, parse_url
from ..errors import HandshakeError
from .connector import (
    connect_tcp,
    connect_unix,
    find_address,
    open_tunnel,
    shake_hands,
    start_tls,
)
from .proxies import Proxy, ProxyOption, choose_proxy
from .socks import SocksTunnel
from .tls import TLSOptions, TLSSettings
from .tunnel import Tunnel

# RFC 9110, 15.4: those that say where to go instead.
_REDIRECTS = frozenset((301, 302, 303, 307, 308))
# The header fields that a redirect to another origin leaves: who asks and in which language,
# which every server is told. Of no other is it known that it is no secret.
_HARMLESS = frozenset(("accept-language", "origin", "user-agent"))


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
        # None if there are none for the origin that a redirect has led to.
        self._tls: TLSSettings | None = TLSSettings(tls, ca)
        self.driver = Driver(self.address, headers=headers, **options)

    def go(self) -> Any:
        """Go the way to its end, and return the socket if `driver` is open, else None.

        Whoever calls this sets the deadline for all of it.

        Raises:
            OSError, HandshakeError: it leads nowhere.
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
        sock = self._reach()
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

    def _reach(self) -> Any:
        """Return a socket connected to the server, or to the proxy before it."""
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
        open_tunnel(sock, self._ask(proxy))
        return sock

    def _ask(self, proxy: Proxy) -> Tunnel | SocksTunnel:
        host, port = self.address.host, self.address.port
        if not proxy.is_socks:
            return Tunnel(host, port, proxy.authorization, proxy.headers)
        if proxy.scheme == "socks5":
            host = find_address(host)
        return SocksTunnel(host, port, proxy.username, proxy.password)

    def _follow_redirect(self) -> bool:
        """Take the way that the server has shown instead, if it has and we may."""
        response = self.driver.response
        if response is None or response.status not in _REDIRECTS or not self._redirects_left:
            return False
        self._redirects_left -= 1
        old = self.address
        places = response.headers.get_all("Location")
        if len(places) > 1:
            raise HandshakeError("a redirect to several places")
        new = _resolve(old, places[0] if places else None)
        if old.secure and not new.secure:
            raise HandshakeError(f"a redirect from wss to ws is not followed: {new.url}")
        if new.origin != old.origin:
            self._forget_origin(new)
        elif new.authorization is None:
            new = new._replace(authorization=old.authorization)
        self.address = new
        self._proxy = choose_proxy(self._proxy_option, new)
        self.driver = Driver(new, headers=self._headers, **self._options)
        return True

    def _forget_origin(self, new: Address) -> None:
        """Let go of all that was meant for the origin which a redirect leaves."""
        self._headers = Headers([pair for pair in self._headers if pair[0].lower() in _HARMLESS])
        self._tls = None if self._tls is None else self._tls.for_others()
        if new.secure and self._tls is None:
            raise HandshakeError(
                f"a redirect to another origin is not followed with an SSLContext, which may "
                f"hold a certificate that is not for it: {new.url}"
            )


def _resolve(base: Address, location: str | None) -> Address:
    if not location:
        raise HandshakeError("a redirect that does not say where to")
    try:
        # urllib knows nothing of ws, and a fragment says nothing to a server.
        return parse_url(urldefrag(urljoin(base.url.replace("ws", "http", 1), location)).url)
    except ValueError as error:
        raise HandshakeError(f"a redirect that leads nowhere: {error}") from None
