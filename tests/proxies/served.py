"""What stands behind the proxies of the tests: WebSockets of all versions, and event streams.

    python served.py

Prints the port. `/echo` sends messages back, `/ticks` an event each time that `/tick` is asked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from gevent.pywsgi import WSGIServer

from faye_ws import EventSource, WebSocket
from faye_ws.extensions import PermessageDeflate

streams: list[EventSource] = []


def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    if WebSocket.is_websocket(environ):
        ws = WebSocket(
            environ,
            versions=("hybi-13", "hixie-76", "hixie-75"),
            extensions=[PermessageDeflate()],
        )
        forwarded = environ.get("HTTP_X_FORWARDED_FOR", "nobody")
        ws.on("open", lambda event: ws.send(f"{ws.version} for {forwarded}"))
        ws.on("message", lambda event: ws.send(event.data))
        return ws(environ, start_response)
    if environ["PATH_INFO"] == "/ticks":
        es = EventSource(environ)
        streams.append(es)
        return es(environ, start_response)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(sum(es.send("tick") for es in streams)).encode()]


server = WSGIServer(("127.0.0.1", 0), app)
server.start()
print("port", server.server_port, flush=True)
server.serve_forever()
