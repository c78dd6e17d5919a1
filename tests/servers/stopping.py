"""What is served while it is stopped: WebSockets of several kinds, and event streams.

    python stopping.py pywsgi|werkzeug [CERTIFICATE KEY]

Prints the port. gunicorn loads `stopping:app` itself. WebSockets: `/idle` hears nothing, `/loop`
waits in the view, `/ticks` is sent to all the time. Event streams: `/idle` and `/ticks`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

import gevent

import faye_ws
from faye_ws import ConnectionClosed, EventSource, WebSocket


def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    path = environ["PATH_INFO"]
    if WebSocket.is_websocket(environ):
        ws = WebSocket(environ)
        if path == "/ticks":
            ws.on("open", lambda event: tick(ws))
        elif path == "/loop":
            with suppress(ConnectionClosed):
                for message in ws:
                    ws.send(message)
        return ws(environ, start_response)
    if EventSource.is_eventsource(environ):
        es = EventSource(environ)
        if path == "/ticks":
            es.on("open", lambda event: tick(es))
        return es(environ, start_response)
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "5")])
    return [b"page\n"]


def tick(connection: WebSocket | EventSource) -> None:
    while connection.send("tick"):
        gevent.sleep(0.05)


def main() -> None:
    name, *tls = sys.argv[1:]
    # Also where a shell has its background jobs ignore INT, which they would inherit.
    faye_ws.stop_on_signals()
    server: Any
    if name == "pywsgi":
        from gevent.pywsgi import WSGIServer

        options: dict[str, Any] = dict(zip(("certfile", "keyfile"), tls, strict=False))
        server = WSGIServer(("127.0.0.1", 0), app, log=None, **options)
        server.start()
    else:
        from werkzeug.serving import make_server

        context = (tls[0], tls[1]) if tls else None
        server = make_server("127.0.0.1", 0, app, threaded=True, ssl_context=context)
    print("port", server.server_port, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
