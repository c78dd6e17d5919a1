"""The client's end of a WebSocket connection."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import gevent

from .connection import Connection
from .constants import (
    DEFAULT_CLOSE_TIMEOUT,
    DEFAULT_MAX_BACKLOG,
    DEFAULT_MAX_LENGTH,
    DEFAULT_PING_TIMEOUT,
    CloseCode,
    ReadyState,
)
from .driver import client as driver
from .driver.events import Close
from .driver.http import HeaderFields, Headers
from .driver.proxy import Tunnel
from .driver.uri import parse_url
from .errors import HandshakeError
from .extensions.contract import Extension
from .runtime.connector import (
    TLSOptions,
    TLSSettings,
    connect_tcp,
    connect_unix,
    open_tunnel,
    start_tls,
)
from .runtime.link import NEVER, check_seconds
from .runtime.proxies import Proxy, ProxyOption, choose_proxy
from .runtime.reactor import current_reactor

# Seconds for names, TCP, TLS and the opening handshake together, as in websockets.
DEFAULT_CONNECT_TIMEOUT = 10.0


class Client(Connection):
    """A WebSocket connection to a server.

    It begins to connect at once, without waiting. As a context manager it waits until it is
    open, and on the way out closes and waits for the end:

        with Client("wss://example.com/chat", protocols=["irc"]) as ws:
            ws.send("Hello, world!")
            print(ws.receive())

    Args:
        url: a `ws` or `wss` URL (`http` and `https` mean the same). Credentials in it are
            sent as Basic authorization.
        protocols: the subprotocols to ask for, the preferred first.
        extensions: the extensions to offer, such as `[PermessageDeflate()]`.
        headers: header fields to add to the request.
        origin: the value of the Origin header, if there is to be one.
        max_length: the longest message accepted, in bytes; a longer one is 1009.
        ping: send a ping every so many seconds; None for never.
        ping_timeout: drop a server that stays silent so many seconds after a ping.
        connect_timeout: how many seconds it may take until the connection is open.
        close_timeout: how many seconds the closing handshake may take.
        max_backlog: bytes that may wait for a slow server before `send` waits.
        source_address: the host and port to connect from.
        proxy: the URL of an `http` or `https` proxy, or a mapping with its `origin` and any
            of `headers` (for it alone) and `tls`. By default the environment's
            `https_proxy`, `http_proxy` and `no_proxy` are honoured; False switches that off.
        net: the path of a UNIX socket to connect to instead, or a connected socket, which is
            taken over.
        tls: an `ssl.SSLContext`, or a mapping with any of `ca`, `cert`, `key`,
            `server_hostname`, `verify`. By default the system's certificates are trusted,
            and the name in the URL must be in the server's.
        ca: the short form of `tls={"ca": ca}`.

    Raises:
        TypeError, ValueError: the URL or an option is not what it should be.
    """

    __slots__ = (
        "_address",
        "_connect_timeout",
        "_connecting",
        "_failure",
        "_net",
        "_proxy",
        "_source_address",
        "_tls",
    )

    _driver: driver.Client

    def __init__(
        self,
        url: str,
        protocols: Sequence[str] | None = None,
        *,
        extensions: Sequence[Extension] = (),
        headers: HeaderFields = (),
        origin: str | None = None,
        max_length: int = DEFAULT_MAX_LENGTH,
        ping: float | None = None,
        ping_timeout: float | None = DEFAULT_PING_TIMEOUT,
        connect_timeout: float = DEFAULT_CONNECT_TIMEOUT,
        close_timeout: float = DEFAULT_CLOSE_TIMEOUT,
        max_backlog: int = DEFAULT_MAX_BACKLOG,
        source_address: tuple[str, int] | None = None,
        proxy: ProxyOption = None,
        net: Any = None,
        tls: TLSOptions | None = None,
        ca: str | None = None,
    ) -> None:
        self._address = parse_url(url)
        fields = Headers(headers)
        if origin is not None:
            fields.append("Origin", origin)
        super().__init__(
            driver.Client(
                url,
                protocols=protocols or (),
                headers=fields,
                max_length=max_length,
                extensions=extensions,
            ),
            self._address.url,
            ping=ping,
            ping_timeout=ping_timeout,
            close_timeout=close_timeout,
            max_backlog=max_backlog,
        )
        self._connect_timeout = check_seconds("connect_timeout", connect_timeout)
        self._source_address = source_address
        self._net = net
        self._proxy = choose_proxy(proxy, self._address)
        self._tls = TLSSettings(tls, ca) if self._address.secure else None
        self._failure: HandshakeError | None = None
        self._reactor = current_reactor()
        self._connecting: gevent.Greenlet[[], None] | None = gevent.spawn(self._connect)

    @property
    def status_code(self) -> int | None:
        """The status of the server's response, once it has come: 101 if all is well."""
        response = self._driver.response
        return None if response is None else response.status

    @property
    def headers(self) -> Headers | None:
        """The header fields of the server's response, once it has come."""
        response = self._driver.response
        return None if response is None else response.headers

    def wait_open(self) -> None:
        """Wait until the connection is open, for `connect_timeout` at most.

        Raises:
            HandshakeError: it can't be opened; the sentence says why.
        """
        if self._is_foreign():
            self._hand_over(self.wait_open)
            return
        while self._driver.ready_state is ReadyState.CONNECTING:
            self._wait(None)
        self._take()
        if self._failure is not None:
            raise self._failure

    def __enter__(self) -> Client:
        self.wait_open()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()
        self.wait_closed()

    def close(self, code: int = CloseCode.NORMAL_CLOSURE, reason: str = "") -> None:
        """Begin the closing handshake; while connecting, give up (see `Connection.close`)."""
        if self._is_foreign():
            self._hand_over(lambda: self.close(code, reason))
        elif self._driver.ready_state is ReadyState.CONNECTING:
            self._driver.close(code, reason)
            self._give_up(HandshakeError("the connection was closed before it was open"))
        else:
            super().close(code, reason)

    def _open(self) -> None:
        """There is nothing to do: it has begun."""

    def _on_open(self) -> None:
        self._close_deadline = NEVER
        self._set_heartbeat()
        super()._on_open()

    def _connect(self) -> None:
        deadline = time.monotonic() + self._connect_timeout
        try:
            with gevent.Timeout(self._connect_timeout):
                sock = self._make_socket()
        except (OSError, ValueError, HandshakeError) as error:
            self._connecting = None
            self._give_up(_explain(self._address.authority, error))
            return
        except gevent.Timeout:
            self._connecting = None
            self._give_up(HandshakeError(f"no connection after {self._connect_timeout} seconds"))
            return
        self._connecting = None
        self._attach(sock, b"", keep_socket=False)
        self._close_deadline = deadline
        self._set_heartbeat()

    def _make_socket(self) -> Any:
        address = self._address
        if isinstance(self._net, str):
            sock = connect_unix(self._net)
        elif self._net is not None:
            sock = self._net
            sock.settimeout(0.0)
        elif self._proxy is not None:
            sock = connect_tcp(self._proxy.host, self._proxy.port, self._source_address)
        else:
            sock = connect_tcp(address.host, address.port, self._source_address)
        try:
            if self._net is None and self._proxy is not None:
                sock = self._pass_proxy(sock, self._proxy)
            if self._tls is not None:
                sock = start_tls(sock, self._tls, address.host)
        except BaseException:
            sock.close()
            raise
        return sock

    def _pass_proxy(self, sock: Any, proxy: Proxy) -> Any:
        if proxy.tls is not None:
            sock = start_tls(sock, proxy.tls, proxy.host)
        address = self._address
        open_tunnel(sock, Tunnel(address.host, address.port, proxy.authorization, proxy.headers))
        return sock

    def _drop(self) -> None:
        if self._driver.ready_state is ReadyState.CONNECTING and self._transport is not None:
            self._give_up(HandshakeError(f"no answer after {self._connect_timeout} seconds"))
        super()._drop()

    def _give_up(self, error: HandshakeError) -> None:
        if self._connecting is not None:
            self._connecting.kill(block=False)
            self._connecting = None
        self._driver.refuse(error)
        self._advance_soon()

    def _finish(self, close: Close) -> None:
        if isinstance(close.error, HandshakeError):
            self._failure = close.error
        super()._finish(close)


def _explain(authority: str, error: Exception) -> HandshakeError:
    failure = HandshakeError(f"can't connect to {authority}: {error}")
    failure.__cause__ = error
    return failure
