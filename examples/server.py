"""The demo: pages for your browser, and the WebSocket and the event stream behind them.

    python examples/server.py [--host HOST] [PORT] [CERTIFICATE KEY]

Then open the address that it prints. The WebSocket sends back what it gets, but for two
commands, which let the page show what only a server can do:

    /ping                   ping the client, and tell it how many milliseconds that took
    /close CODE [REASON]    close the connection

The event stream ticks. The ID of a tick is its second, so a client that comes back, even to
another process, gets all that it has missed.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import gevent
from gevent.pywsgi import WSGIServer

from faye_ws import CloseEvent, Event, EventSource, MessageEvent, WebSocket, broadcast

PAGES = {"/": Path(__file__).with_name("ws.html"), "/sse": Path(__file__).with_name("sse.html")}
# Who has been away for longer begins anew.
MAX_MISSED = 3600
MAX_SAID = 2000
streams: set[EventSource] = set()


def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Answer a request: a WebSocket or a page."""
    if WebSocket.is_websocket(environ):
        return echo(environ, start_response)
    if EventSource.is_eventsource(environ):
        return tick(environ, start_response)
    if environ["REQUEST_METHOD"] == "POST" and environ["PATH_INFO"] == "/say":
        return say(environ, start_response)

    page = PAGES.get(environ["PATH_INFO"])
    if page is None:
        start_response("404 Not Found", [("Content-Type", "text/plain")])
        return [b"There is nothing here.\n"]
    start_response("200 OK", [("Content-Type", "text/html"), ("Cache-Control", "no-cache")])
    return [page.read_bytes()]


def echo(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Open a WebSocket, and answer every message."""
    ws = WebSocket(environ, protocols=["irc", "amqp"], ping=30)
    client = f"{environ['REMOTE_ADDR']}:{environ['REMOTE_PORT']}"

    @ws.on("open")
    def opened(event: Event) -> None:
        print("open ", client, ws.url, ws.protocol)

    @ws.on("message")
    def message(event: MessageEvent) -> None:
        answer(ws, event.data)

    @ws.on("close")
    def closed(event: CloseEvent) -> None:
        print("close", client, event.code, repr(event.reason))

    return ws(environ, start_response)


def tick(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Open an event stream that ticks, from where the client has left it."""
    es = EventSource(environ, ping=15, retry=1)

    @es.on("open")
    def opened(event: Event) -> None:
        streams.add(es)
        second = int(time.time())
        seen = int(es.last_event_id) if es.last_event_id.isdecimal() else second - 1
        if second - seen > MAX_MISSED:
            es.send("You were away for too long.", event="reset")
            seen = second - 1
        while es.send(time.strftime("%H:%M:%S", time.gmtime(seen + 1)), "tick", seen + 1):
            seen += 1
            gevent.sleep(max(0, seen + 1 - time.time()))

    es.on("close", lambda event: streams.discard(es))
    return es(environ, start_response)


def say(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Send what somebody says to all event streams."""
    text = environ["wsgi.input"].read(MAX_SAID).decode(errors="replace")
    broadcast(streams, text)
    start_response("204 No Content", [])
    return []


def answer(ws: WebSocket, data: str | bytes) -> None:
    """Obey a command, or send the message back."""
    if data == "/ping":
        start = time.perf_counter()
        ws.ping("demo", lambda: ws.send(f"/pong {1000 * (time.perf_counter() - start):.3f}"))
    elif isinstance(data, str) and data.startswith("/close "):
        code, _, reason = data.removeprefix("/close ").partition(" ")
        try:
            ws.close(int(code), reason)
        except ValueError as error:
            ws.send(f"/error {error}")
    else:
        ws.send(data)


def main() -> None:
    """Serve until Ctrl-C."""
    parser = argparse.ArgumentParser(description="The demo of faye_ws.")
    parser.add_argument("port", nargs="?", type=int, default=7000, help="7000 by default; 0: any")
    parser.add_argument("tls", nargs="*", metavar="file", help="a certificate and its key, for TLS")
    parser.add_argument("--host", default="127.0.0.1", help="where to listen, 127.0.0.1 by default")
    options = parser.parse_args()
    if len(options.tls) not in (0, 2):
        parser.error("TLS needs two files, the certificate and its key")

    tls = {"certfile": options.tls[0], "keyfile": options.tls[1]} if options.tls else {}
    server = WSGIServer((options.host, options.port), app, log=None, **tls)
    try:
        server.start()
    except OSError as error:
        sys.exit(f"can't listen: {error.strerror}")
    for signum in (signal.SIGINT, signal.SIGTERM):
        gevent.signal_handler(signum, server.stop)
    print(f"http{'s' if tls else ''}://{options.host}:{server.server_port}/", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
