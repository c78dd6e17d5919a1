"""The application of the campaigns, and the servers that serve it.

    python -m campaigns.served pywsgi|werkzeug [--tls CERTIFICATE KEY] [--line CODE]

Prints the port. gunicorn loads `campaigns.served:app` itself. Options of the connections come
as JSON from the environment variable CAMPAIGN_OPTIONS; options that a class does not have are
ignored.

WebSockets: `/echo` echoes in a listener, `/loop` by iteration in the view, `/open` by iteration
in a listener; `/room` broadcasts, `/feed` sends as fast as it is read, `/ticks` ten times a
second, `/fed` the same from a native thread. Event streams: `/ticks`, `/flood` sends as fast as
it is read, any other path sends nothing. `/stats` returns the counts of `stock` as JSON.
"""

from __future__ import annotations

import argparse
import inspect
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

import gevent

import faye_ws
from faye_ws import ConnectionClosed, Event, EventSource, MessageEvent, WebSocket, broadcast
from faye_ws.extensions import PermessageDeflate

from .stock import take_stock

Environ = dict[str, Any]

CHUNK = "x" * 2**14
TICK = 0.1
# How a server that does not see to it itself is stopped politely.
LINE = "faye_ws.stop_on_signals()"

_given = json.loads(os.environ.get("CAMPAIGN_OPTIONS", "{}"))


def options_of(kind: type) -> dict[str, Any]:
    """Return those of the options that a class has."""
    known = inspect.signature(kind).parameters
    return {name: value for name, value in _given.items() if name in known}


_WEBSOCKET = options_of(WebSocket)
_EVENTSOURCE = options_of(EventSource)
_deflate = PermessageDeflate()
_room: set[WebSocket | EventSource] = set()
_fed: set[WebSocket] = set()
_feeding = threading.Lock()


def echo(ws: WebSocket) -> None:
    ws.on("message", lambda event: ws.send(event.data))


def loop(ws: WebSocket) -> None:
    with suppress(ConnectionClosed):
        for message in ws:
            ws.send(message)


def loop_when_open(ws: WebSocket) -> None:
    ws.on("open", lambda event: loop(ws))


def talk(ws: WebSocket) -> None:
    """Join the room, and tell everybody what is said."""
    ws.on("open", lambda event: _room.add(ws))
    ws.on("close", lambda event: _room.discard(ws))

    @ws.on("message")
    def message(event: MessageEvent) -> None:
        broadcast(list(_room), event.data)


def feed(ws: WebSocket) -> None:
    @ws.on("open")
    def opened(event: Event) -> None:
        while ws.send(CHUNK):
            gevent.sleep(0)


def tick(ws: WebSocket) -> None:
    @ws.on("open")
    def opened(event: Event) -> None:
        while ws.send("tick"):
            gevent.sleep(TICK)


def be_fed(ws: WebSocket) -> None:
    """Be fed from a native thread, the same for all such connections."""
    ws.on("open", lambda event: _fed.add(ws))
    ws.on("close", lambda event: _fed.discard(ws))
    if _feeding.acquire(blocking=False):
        threading.Thread(target=_feed_from_thread, daemon=True).start()


def _feed_from_thread() -> None:
    while True:
        for ws in list(_fed):
            ws.send("tick")
        time.sleep(TICK)


def stream(es: EventSource, path: str) -> None:
    """Serve an event stream."""

    @es.on("open")
    def opened(event: Event) -> None:
        if path == "/room":
            _room.add(es)
        while path in ("/ticks", "/flood") and es.send(CHUNK if path == "/flood" else "tick"):
            gevent.sleep(0 if path == "/flood" else TICK)

    es.on("close", lambda event: _room.discard(es))


_WEBSOCKETS: dict[str, Callable[[WebSocket], None]] = {
    "/echo": echo,
    "/loop": loop,
    "/open": loop_when_open,
    "/room": talk,
    "/feed": feed,
    "/ticks": tick,
    "/fed": be_fed,
}


def app(environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Answer a request."""
    path = environ["PATH_INFO"]
    if WebSocket.is_websocket(environ):
        ws = WebSocket(environ, extensions=[_deflate], **_WEBSOCKET)
        _WEBSOCKETS.get(path, echo)(ws)
        return ws(environ, start_response)
    if EventSource.is_eventsource(environ):
        es = EventSource(environ, **_EVENTSOURCE)
        stream(es, path)
        return es(environ, start_response)
    body = json.dumps(take_stock()).encode() if path == "/stats" else b"page\n"
    fields = [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))]
    start_response("200 OK", [*fields, ("Connection", "close")])
    return [body]


def main() -> None:
    """Serve until a signal."""
    parser = argparse.ArgumentParser(description="The application of the campaigns.")
    parser.add_argument("server", choices=("pywsgi", "werkzeug"))
    parser.add_argument("--tls", nargs=2, metavar=("CERTIFICATE", "KEY"))
    parser.add_argument("--line", default=LINE, help="what main says about signals")
    options = parser.parse_args()
    server: Any
    if options.server == "pywsgi":
        from gevent.pywsgi import WSGIServer

        tls = dict(zip(("certfile", "keyfile"), options.tls or (), strict=False))
        server = WSGIServer(("127.0.0.1", 0), app, log=None, **tls)
        server.start()
    else:
        from werkzeug.serving import make_server

        context = tuple(options.tls) if options.tls else None
        server = make_server("127.0.0.1", 0, app, threaded=True, ssl_context=context)
    print("port", server.server_port, flush=True)
    exec(options.line, {"signal": signal, "sys": sys, "faye_ws": faye_ws, "server": server})
    server.serve_forever()


if __name__ == "__main__":
    main()
