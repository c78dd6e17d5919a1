"""The server's end of a WebSocket connection: a response to a WSGI request."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

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
from ..driver.hixie import Hixie75
from ..driver.http import HeaderFields
from ..driver.server import RequestServer, choose_driver
from ..eventsource.server import EventSource
from ..extensions.contract import Extension
from ..runtime.background import place_of_request
from ..wsgi.request import Environ, StartResponse, is_websocket, read_request, read_url
from ..wsgi.socket import take_socket
from ..wsgi.stopping import watch_for_stop
from .client import Client
from .connection import Connection


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

    __slots__ = ("_environ", "_keeps_server")

    Client = Client
    EventSource = EventSource

    _driver: RequestServer | Hixie75

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
        super().__init__(
            driver,
            url,
            ping=ping,
            ping_timeout=ping_timeout,
            close_timeout=close_timeout,
            send_timeout=send_timeout,
            max_backlog=max_backlog,
        )
        # Let go when the connection opens: an environ is large.
        self._environ: Environ | None = environ
        self._keeps_server = False

    @staticmethod
    def is_websocket(environ: Environ) -> bool:
        """Tell whether a request asks for WebSocket."""
        return is_websocket(environ)

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Open the connection: the WSGI application that answers the request.

        Raises:
            UnsupportedServer: the server's socket can't be reached.
        """
        self._open()
        refusal = self._driver.refusal
        if refusal is not None:
            start_response(refusal.status_line, list(refusal.headers))
            return [refusal.body]
        # We have sent the head ourselves. The server's goes to a dead socket: this is for
        # its access log.
        start_response("101 Switching Protocols", [])
        # Who has received something before has done with it.
        self._serving = None
        return _Hold(self) if self._keeps_server else []

    def _open(self) -> None:
        environ = self._environ
        if environ is None:
            return
        if self._driver.refusal is None:
            sock, early, detached = take_socket(environ, self._server_wrote)
            self._environ = None
            self._keeps_server = not detached
            reactor = self._settle_in(*place_of_request())
            watch_for_stop(environ, reactor)
            self._in_hub(lambda: self._attach(sock, early, keep_socket=not detached))
        else:
            self._environ = None
            self._driver.start()
            self._take()
            self._run_listeners()

    def _in_hub(self, function: Callable[[], object]) -> None:
        if self._is_foreign():
            self._hand_over(function)
        else:
            function()

    def _server_wrote(self, head: bytes) -> None:
        """Take note of a response of the server's own, which nobody will get to see.

        Any but the 101 says that the application has failed since it took the connection.
        """
        if b" 101 " not in head:
            self._in_hub(self._end_with_server)

    def _end_with_server(self) -> None:
        if self._driver.leave(CloseCode.INTERNAL_ERROR, "the application raised"):
            self._begin_closing()
        if self._keeps_server:
            self._release()

    def _hold(self) -> None:
        """Wait until the socket is not needed any more. For servers that close it then."""
        try:
            while self._transport is not None or self._busy:
                self._wait(None)
        except GreenletExit:
            # The server is being stopped.
            self.close(CloseCode.GOING_AWAY)
        finally:
            self._release()

    def _release(self) -> None:
        """End what has not ended: the server takes its socket back."""
        if self._transport is not None:
            self._drop()
        self._take()
        self._wait_heard(getcurrent())


class _Hold:
    """A response without a body that lasts as long as the connection."""

    __slots__ = ("_websocket",)

    def __init__(self, websocket: WebSocket) -> None:
        self._websocket = websocket

    def __iter__(self) -> Iterator[bytes]:
        websocket = self._websocket
        websocket._in_hub(websocket._hold)
        yield from ()

    def close(self) -> None:
        """Take note that the server is done with the response, heard to its end or not."""
        websocket = self._websocket
        websocket._in_hub(websocket._release)
