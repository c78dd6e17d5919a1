"""The client's end of a WebSocket connection."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gevent

from ..connecting.opening import Opening
from ..connecting.proxies import ProxyOption
from ..connecting.tls import TLSOptions
from ..constants import (
    DEFAULT_CLOSE_TIMEOUT,
    DEFAULT_CONNECT_TIMEOUT,
    DEFAULT_MAX_BACKLOG,
    DEFAULT_MAX_LENGTH,
    DEFAULT_PING_TIMEOUT,
    DEFAULT_SEND_TIMEOUT,
    CloseCode,
    ReadyState,
)
from ..driver import client as driver
from ..driver.events import Close
from ..driver.http import HeaderFields, Headers
from ..errors import ConnectionFailed, HandshakeError
from ..extensions.contract import Extension
from ..runtime.background import place_of_client
from ..runtime.reactor import Reactor
from ..runtime.seconds import check_seconds
from .connection import Connection


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
        send_timeout: drop a server that takes nothing of what waits for it in so many
            seconds; None for never.
        max_backlog: bytes that may wait for a slow server before `send` waits.
        max_redirects: how many redirects to follow: never from `wss` to `ws`. To another
            origin go none of `headers` but `Accept-Language`, `Origin` and `User-Agent`, no
            credentials, and of `tls` only `ca` and `verify`; with an `SSLContext`, which may
            hold a certificate, a redirect to another `wss` origin is an error.
        source_address: the host and port to connect from.
        proxy: the URL of an `http`, `https`, `socks5` or `socks5h` proxy, or a mapping with
            its `origin` and any of `headers` (for it alone) and `tls`. By default the
            environment's `https_proxy`, `http_proxy`, `all_proxy` and `no_proxy` are
            honoured; False switches that off.
        net: the path of a UNIX socket to connect to instead, or a connected socket, which is
            taken over.
        tls: an `ssl.SSLContext`, or a mapping with any of `ca`, `cert`, `key`,
            `server_hostname`, `verify`. By default the system's certificates are trusted,
            and the name in the URL must be in the server's.
        ca: the short form of `tls={"ca": ca}`.

    Raises:
        TypeError, ValueError: the URL or an option is not what it should be.
        OSError: a file that `tls` names can't be read.
    """

    __slots__ = ("_connect_timeout", "_connecting", "_failure", "_opening")

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
        send_timeout: float | None = DEFAULT_SEND_TIMEOUT,
        max_backlog: int = DEFAULT_MAX_BACKLOG,
        max_redirects: int = 0,
        source_address: tuple[str, int] | None = None,
        proxy: ProxyOption = None,
        net: Any = None,
        tls: TLSOptions | None = None,
        ca: str | None = None,
    ) -> None:
        fields = Headers(headers)
        if origin is not None:
            fields.append("Origin", origin)
        # The way there; let go when it has been gone.
        self._opening: Opening | None = Opening(
            url,
            fields,
            max_redirects=max_redirects,
            source_address=source_address,
            proxy=proxy,
            net=net,
            tls=tls,
            ca=ca,
            protocols=protocols or (),
            max_length=max_length,
            extensions=extensions,
        )
        super().__init__(
            self._opening.driver,
            self._opening.address.url,
            ping=ping,
            ping_timeout=ping_timeout,
            close_timeout=close_timeout,
            send_timeout=send_timeout,
            max_backlog=max_backlog,
        )
        self._connect_timeout = check_seconds("connect_timeout", connect_timeout)
        self._failure: HandshakeError | None = None
        self._connecting: gevent.Greenlet[[], None] | None = None
        reactor = self._settle_in(*place_of_client())
        if not reactor.is_foreign():
            self._begin(reactor)
        elif not reactor.post(self._begin, reactor):
            raise RuntimeError("the process ends, so no connection can begin")

    def _begin(self, reactor: Reactor) -> None:
        reactor.members.add(self)
        if self._driver.ready_state is ReadyState.CONNECTING:
            self._connecting = gevent.spawn(self._connect)

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
            InvalidStatus: the server, or a proxy, has refused it.
            ConnectionFailed: the server can't be reached, or says nothing.
            HandshakeError: the root of both; raised if it answers with nonsense.
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
            self._give_up(ConnectionFailed("the connection was closed before it was open"))
        else:
            super().close(code, reason)

    def _open(self) -> None:
        """There is nothing to do: it has begun."""

    def _connect(self) -> None:
        opening, self._opening = self._opening, None
        assert opening is not None
        error: HandshakeError | None = None
        sock = None
        try:
            with gevent.Timeout(self._connect_timeout):
                sock = opening.go()
        except gevent.Timeout:
            # A refusal whose body has not come to its end says more than the time does.
            opening.driver.receive_eof()
            if opening.driver.response is None:
                error = ConnectionFailed(f"no connection after {self._connect_timeout} seconds")
        except HandshakeError as refused:
            error = refused
        except Exception as failed:
            # Names and sockets fail in many ways, and none of them may leave us connecting.
            error = ConnectionFailed(f"can't connect to {opening.address.authority}: {failed}")
            error.__cause__ = failed
        self._connecting = None
        self._driver = opening.driver
        self.url = opening.address.url
        if error is not None:
            self._give_up(error)
        elif sock is None:
            self._advance_soon()
        else:
            self._attach(sock, b"", keep_socket=False)

    def _give_up(self, error: HandshakeError) -> None:
        if self._connecting is not None:
            self._connecting.kill(block=False)
            self._connecting = None
        self._driver.refuse(error)
        self._advance_soon()

    def leave(self) -> None:
        """Say goodbye to the server, since the process ends; do not connect any more."""
        if self._driver.ready_state is ReadyState.CONNECTING:
            self._give_up(ConnectionFailed("the process ends"))
        else:
            super().leave()

    def cut_off(self) -> None:
        """End the connection, or the way to it, without the server."""
        self.leave()
        super().cut_off()

    def forget(self) -> None:
        """Let go of the connection, or of the way to it."""
        if self._connecting is not None and not self._is_foreign():
            self._connecting.kill(block=False)
        self._connecting = None
        super().forget()

    def _finish(self, close: Close) -> None:
        if isinstance(close.error, HandshakeError):
            self._failure = close.error
        super()._finish(close)
