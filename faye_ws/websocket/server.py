"""The server's end of a WebSocket connection: a response to a WSGI request."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from gevent import GreenletExit
from greenlet import getcurrent

from ..constants import (
    DEFAULT_CLOSE_TIMEOUT,
    DEFAULT_MAX_BACKLOG,
    DEFAULT_MAX_LENGTH,
    DEFAULT_PING_TIMEOUT,
    DEFAULT_SEND_TIMEOUT,
    HYBI_13,
    CloseCode,
)
from ..driver.handshake import Origins
from ..driver.http import HeaderFields, Response
from ..driver.server import choose_driver
from ..errors import UnsupportedServer
from ..eventsource.server import EventSource
from ..extensions.contract import Extension
from ..runtime.background import place_of_request
from ..wsgi.holding import Hold
from ..wsgi.request import Environ, StartResponse, is_websocket, read_request, read_url
from ..wsgi.socket import take_socket
from ..wsgi.stopping import watch_for_stop
from .client import Client
from .connection import Connection
from .endpoint import Endpoint
from .inbox import Inbox
from .receiving import wait_heard
from .settings import make_settings
from .sharing import in_hub


class WebSocket(Connection):
    """A WebSocket connection that a WSGI request asks for, and the response to it.

    Return `ws(environ, start_response)` from a WSGI application, or `ws` from a Flask view.
    The connection opens then, or with the first call that waits for it, such as
    `receive()`. A request that is not a proper handshake is refused with a 4xx response.

    Args:
        environ: the environ of the request.
        protocols: the subprotocols that are supported; the first that the client names of
            them is used.
        headers: header fields to add to the 101 response.
        max_length: the longest message accepted, in bytes; a longer one is 1009.
        origins: which web pages may connect: None for those of the same origin, `"*"` for
            all, or a list of origins such as `"https://example.com"`. Others get a 403.
        versions: the versions of the protocol that are spoken: RFC 6455, called `hybi-13`,
            and if old clients need them the drafts `hixie-76` and `hixie-75`. Others get a
            426.
        extensions: the extensions to use if the client offers them, such as
            `[PermessageDeflate()]`.
        ping: send a ping every so many seconds; None for never.
        ping_timeout: drop a peer that stays silent so many seconds after a ping; None for
            never.
        close_timeout: how many seconds the closing handshake may take.
        send_timeout: drop a peer that takes nothing of what waits for it in so many seconds;
            None for never.
        max_backlog: bytes that may wait for a slow peer before `send` waits.

    Raises:
        TypeError, ValueError: an option is not what it should be.
    """

    __slots__ = ("_upgrade",)

    Client = Client
    EventSource = EventSource

    def __init__(
        self,
        environ: Environ,
        *,
        protocols: Sequence[str] = (),
        headers: HeaderFields = (),
        max_length: int = DEFAULT_MAX_LENGTH,
        origins: Origins = None,
        versions: Sequence[str] = (HYBI_13,),
        extensions: Sequence[Extension] = (),
        ping: float | None = None,
        ping_timeout: float | None = DEFAULT_PING_TIMEOUT,
        close_timeout: float = DEFAULT_CLOSE_TIMEOUT,
        send_timeout: float | None = DEFAULT_SEND_TIMEOUT,
        max_backlog: int = DEFAULT_MAX_BACKLOG,
    ) -> None:
        url = read_url(environ)
        driver = choose_driver(
            read_request(environ),
            url,
            versions=versions,
            protocols=protocols,
            headers=headers,
            origins=origins,
            max_length=max_length,
            extensions=extensions,
        )
        settings = make_settings(ping, ping_timeout, close_timeout, send_timeout, max_backlog)
        reactor, thread = place_of_request()
        inbox = Inbox(None, Endpoint(driver, url, settings, reactor), thread)
        super().__init__(inbox)
        # Let go when the request is answered.
        self._upgrade: _Upgrade | None = _Upgrade(environ, driver.refusal, inbox)

    @staticmethod
    def is_websocket(environ: Environ) -> bool:
        """Tell whether a request asks for WebSocket."""
        return is_websocket(environ)

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Open the connection: the WSGI application that answers the request.

        Raises:
            UnsupportedServer: the server's socket can't be reached.
        """
        upgrade, self._upgrade = self._upgrade, None
        if upgrade is None:
            raise RuntimeError("a WebSocket answers one request")
        try:
            return upgrade.respond(start_response)
        except UnsupportedServer:
            self._upgrade = upgrade
            raise

    def begin(self) -> None:
        """Begin to open the connection, if that has not happened, and do not wait.

        Raises:
            UnsupportedServer: the server's socket can't be reached.
        """
        if self._upgrade is not None:
            self._upgrade.open()


class _Upgrade:
    """How a request becomes a connection.

    Args:
        environ: the environ of the request.
        refusal: the response, if the request is no proper handshake.
        inbox: that of the connection.
    """

    __slots__ = ("_environ", "_inbox", "_keeps_server", "_refusal")

    def __init__(self, environ: Environ, refusal: Response | None, inbox: Inbox) -> None:
        # Let go when the connection begins: an environ is large.
        self._environ: Environ | None = environ
        self._refusal = refusal
        self._inbox = inbox
        self._keeps_server = False

    def open(self) -> None:
        """Begin the connection, or refuse it, if that has not happened."""
        environ, self._environ = self._environ, None
        if environ is None:
            return
        if self._refusal is None:
            self._take_over(environ)
        else:
            in_hub(self._inbox, self._refuse)

    def _take_over(self, environ: Environ) -> None:
        inbox, endpoint = self._inbox, self._inbox.endpoint
        try:
            sock, early, detached = take_socket(environ, self._server_wrote)
        except RuntimeError:  # as `UnsupportedServer` is
            # Whoever asks again is told again, and does not wait.
            self._environ = environ
            raise
        self._keeps_server = not detached
        watch_for_stop(environ, endpoint.reactor)
        in_hub(inbox, lambda: endpoint.attach(sock, early, keep_socket=not detached))

    def _refuse(self) -> None:
        self._inbox.endpoint.driver.start()
        self._inbox.take()
        wait_heard(self._inbox, getcurrent())

    def respond(self, start_response: StartResponse) -> Iterable[bytes]:
        """Answer the request."""
        self.open()
        refusal = self._refusal
        if refusal is not None:
            start_response(refusal.status_line, list(refusal.headers))
            return [refusal.body]
        # We have sent the head ourselves. The server's goes to a dead socket: this is for
        # its access log.
        start_response("101 Switching Protocols", [])
        # Who has received something before has done with it.
        self._inbox.forget_reader()
        return Hold(self._hold, self._release) if self._keeps_server else []

    def _server_wrote(self, head: bytes) -> None:
        """Handle a response of the server's own, which nobody will get to see.

        Any but the 101 says that the application has failed since it took the connection.
        """
        if b" 101 " not in head:
            in_hub(self._inbox, self._end_with_server)

    def _end_with_server(self) -> None:
        self._inbox.endpoint.fail("the application raised")
        if self._keeps_server:
            self._end()

    def _hold(self) -> None:
        """Wait until the socket is not needed any more."""
        in_hub(self._inbox, self._wait_for_end)

    def _wait_for_end(self) -> None:
        inbox = self._inbox
        try:
            while inbox.endpoint.transport is not None or inbox.listening.worker is not None:
                inbox.readers.waiting.wait()
        except GreenletExit:
            # The server is being stopped.
            inbox.endpoint.close(CloseCode.GOING_AWAY, "")
        finally:
            self._end()

    def _release(self) -> None:
        """End what has not ended: the server takes its socket back."""
        in_hub(self._inbox, self._end)

    def _end(self) -> None:
        inbox = self._inbox
        if inbox.endpoint.transport is not None:
            inbox.endpoint.drop()
        wait_heard(inbox, getcurrent())
