"""The server that the clients talk to. What it does depends on the path of the request.

    /listeners      echo from a listener
    /blocking       echo in a loop that blocks
    /close          close with the `code` and `reason` of the query, as soon as it is open
    /ping           ping with the `data` of the query, and send "pong" when that is answered
    anything else   a blank page, for browsers

It prints its port, then a line of JSON for each connection that has closed: the URL's query
and the close event.
"""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import parse_qs

import gevent
from gevent.pywsgi import WSGIServer

from faye_ws import CloseEvent, ConnectionClosed, WebSocket

Environ = dict[str, Any]


def app(environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
    handler = HANDLERS.get(environ["PATH_INFO"])
    if handler is None or not WebSocket.is_websocket(environ):
        start_response("200 OK", [("Content-Type", "text/html")])
        return [b'<!DOCTYPE html><title>Blank</title><link rel="icon" href="data:,">']
    query = environ["QUERY_STRING"]
    ws = WebSocket(environ, protocols=["irc", "amqp"])
    ws.on("close", lambda event: report(query, event))
    handler(ws, {name: values[0] for name, values in parse_qs(query).items()})
    return ws(environ, start_response)


def report(query: str, event: CloseEvent) -> None:
    closing = {"code": event.code, "reason": event.reason, "clean": event.was_clean}
    print(json.dumps({"query": query, **closing}))


def echo_in_listener(ws: WebSocket, query: dict[str, str]) -> None:
    ws.on("message", lambda event: ws.send(event.data))


def echo_in_loop(ws: WebSocket, query: dict[str, str]) -> None:
    try:
        for message in ws:
            ws.send(message)
    except ConnectionClosed:
        # Other codes than those of clean closes; the listener reports them all.
        pass


def close(ws: WebSocket, query: dict[str, str]) -> None:
    ws.on("open", lambda event: ws.close(int(query["code"]), query.get("reason", "")))


def ping(ws: WebSocket, query: dict[str, str]) -> None:
    ws.on("open", lambda event: ws.ping(query["data"], lambda: ws.send("pong")))


HANDLERS = {
    "/listeners": echo_in_listener,
    "/blocking": echo_in_loop,
    "/close": close,
    "/ping": ping,
}


if __name__ == "__main__":
    server = WSGIServer(("127.0.0.1", 0), app, log=None)
    server.start()
    gevent.signal_handler(signal.SIGTERM, server.stop)
    print(f"port {server.server_port}")
    server.serve_forever()
