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
)
from ..driver.closing import check_close
from ..driver.http import HeaderFields, Headers, Response
from ..errors import ConnectionFailed, HandshakeError
from ..extensions.contract import Extension
from ..runtime.background import place_of_client
from ..runtime.seconds import check_seconds
from .connection import Connection
from .endpoint import Endpoint
from .inbox import Inbox
from .phase import Phase
from .settings import make_settings
from .sharing import in_hub


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

    __slots__ = ("_way",)

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
        opening = Opening(
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
        settings = make_settings(ping, ping_timeout, close_timeout, send_timeout, max_backlog)
        timeout = check_seconds("connect_timeout", connect_timeout)
        reactor, thread = place_of_client()
        endpoint = Endpoint(opening.driver, opening.address.url, settings, reactor)
        inbox = Inbox(self, endpoint, thread)
        super().__init__(inbox)
        self._way = _Way(opening, timeout, inbox)
        if not reactor.is_foreign():
            self._way.begin()
        elif not reactor.post(self._way.begin):
            raise RuntimeError("the process ends, so no connection can begin")

    @property
    def status_code(self) -> int | None:
        """The status of the server's response, once it has come: 101 if all is well."""
        response = self._way.response
        return None if response is None else response.status

    @property
    def headers(self) -> Headers | None:
        """The header fields of the server's response, once it has come."""
        response = self._way.response
        return None if response is None else response.headers

    def wait_open(self) -> None:
        """Wait until the connection is open, for `connect_timeout` at most.

        Raises:
            InvalidStatus: the server, or a proxy, has refused it.
            ConnectionFailed: the server can't be reached, or says nothing.
            HandshakeError: the root of both; raised if it answers with nonsense.
        """
        self._way.wait()

    def __enter__(self) -> Client:
        self.wait_open()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()
        self.wait_closed()

    def close(self, code: int = CloseCode.NORMAL_CLOSURE, reason: str = "") -> None:
        """Begin the closing handshake; while connecting, give up (see `Connection.close`)."""
        self._way.close(code, reason)


class _Way:
    """The way of a client to its server, while it is gone.

    Args:
        opening: how to go it.
        timeout: how many seconds it may take.
        inbox: that of the connection.

    Attributes:
        response: the server's, once it has come.
    """

    __slots__ = ("_greenlet", "_inbox", "_opening", "_timeout", "driver")

    def __init__(self, opening: Opening, timeout: float, inbox: Inbox) -> None:
        # Let go when the way has been gone.
        self._opening: Opening | None = opening
        self._timeout = timeout
        self._inbox = inbox
        self._greenlet: gevent.Greenlet[[], None] | None = None
        self.driver = opening.driver

    @property
    def response(self) -> Response | None:
        """The response of the server, once it has come."""
        return self.driver.response

    def begin(self) -> None:
        """Set out, unless it was closed before. In the hub."""
        if self._inbox.endpoint.phase is Phase.NEW:
            self._inbox.endpoint.reactor.members.add(self)
            self._greenlet = gevent.spawn(self._go)

    def _go(self) -> None:
        opening, self._opening = self._opening, None
        assert opening is not None
        error: HandshakeError | None = None
        sock = None
        try:
            with gevent.Timeout(self._timeout):
                sock = opening.go()
        except gevent.Timeout:
            # A refusal whose body has not come to its end says more than the time does.
            opening.driver.receive_eof()
            if opening.driver.response is None:
                error = ConnectionFailed(f"no connection after {self._timeout} seconds")
        except HandshakeError as refused:
            error = refused
        except Exception as failed:
            # Names and sockets fail in many ways, and none of them may leave us connecting.
            error = ConnectionFailed(f"can't connect to {opening.address.authority}: {failed}")
            error.__cause__ = failed
        self._greenlet = None
        endpoint = self._inbox.endpoint
        if endpoint.phase is not Phase.NEW:
            # Given up in the same turn of the hub: too late to end this greenlet.
            if sock is not None:
                sock.close()
            return
        self.driver = endpoint.driver = opening.driver
        endpoint.url = opening.address.url
        if error is not None:
            self._give_up(error)
            return
        endpoint.reactor.members.discard(self)
        if sock is None:
            self._inbox.take()
        else:
            endpoint.attach(sock, b"", keep_socket=False)

    def _give_up(self, error: HandshakeError) -> None:
        self._stop()
        self.driver.refuse(error)
        self._inbox.take()

    def _stop(self) -> None:
        self._inbox.endpoint.reactor.members.discard(self)
        if self._greenlet is not None:
            self._greenlet.kill(block=False)
            self._greenlet = None

    def wait(self) -> None:
        """Wait until the connection is open, or raise what has kept it from that."""
        inbox = self._inbox
        in_hub(inbox, self._wait)
        if isinstance(inbox.error, HandshakeError):
            raise inbox.error

    def _wait(self) -> None:
        inbox = self._inbox
        while inbox.endpoint.phase < Phase.OPEN:
            inbox.readers.waiting.wait()

    def close(self, code: int, reason: str) -> None:
        """Close the connection, or give up."""
        in_hub(self._inbox, lambda: self._close(code, reason))

    def _close(self, code: int, reason: str) -> None:
        endpoint = self._inbox.endpoint
        if endpoint.phase >= Phase.OPEN:
            endpoint.close(code, reason)
        else:
            check_close(code, reason, by_server=False)
            self._give_up(ConnectionFailed("the connection was closed before it was open"))

    # For the reactor

    def leave(self) -> None:
        """Do not go on, since the process ends."""
        self._give_up(ConnectionFailed("the process ends"))

    def cut_off(self) -> None:
        """Do not go on: the process has no more time."""
        self.leave()

    def forget(self) -> None:
        """Do not go on: the hub is gone, or another process's."""
        if not self._inbox.endpoint.reactor.is_foreign():
            self._stop()
        self._inbox.endpoint.forget()

    def disown(self) -> None:
        """Do not go on: all that is another process's."""
        self.forget()
