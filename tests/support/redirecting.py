"""A server that redirects, or tells what a request has shown of itself."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from typing import Any

from gevent.pywsgi import WSGIServer
from gevent.ssl import SSLContext

from faye_ws import WebSocket

Application = Callable[[dict[str, Any], Callable[..., Any]], Any]


def redirecting(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
    """Redirect to the rest of the path, or tell what the request has shown of itself."""
    kind, _, target = environ["PATH_INFO"].lstrip("/").partition("/")
    if kind.isdecimal():
        headers = [("Location", target)] if target else []
        start_response(f"{kind} Redirected", [*headers, ("Content-Length", "0")])
        return [b""]
    ws = WebSocket(environ)
    shown = (environ.get("HTTP_AUTHORIZATION", ""), environ.get("HTTP_COOKIE", ""))
    ws.on("open", lambda event: ws.send(" ".join([environ["PATH_INFO"], *shown])))
    return ws(environ, start_response)


def serve(application: Application, **options: Any) -> Iterator[int]:
    server = WSGIServer(("127.0.0.1", 0), application, log=None, error_log=None, **options)
    server.start()
    yield int(server.address[1])
    server.stop()


def context_of(cert: str, key: str) -> SSLContext:
    # gevent's, since its handshake must not hold up the hub, which is the client's, too.
    context = SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    return context
