"""An application that counts what its process holds: `/census`. Everything else is an echo, by a
listener, or in a blocking view below `/loop`, or an event stream that ends at once.

    python counting_app.py            on Werkzeug's development server; prints the port

gunicorn loads `counting_app:app`.
"""

from __future__ import annotations

import gc
import json
import os
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

from greenlet import greenlet

from faye_ws import ConnectionClosed, EventSource, WebSocket
from faye_ws.runtime.reactor import all_reactors


def is_of_a_connection(thing: object) -> bool:
    """Tell whether a thing is a greenlet, but not one that each thread has anyway."""
    kind = type(thing)
    if not issubclass(kind, greenlet) or kind.__name__ == "_WorkerGreenlet":
        return False
    return thing.parent is not None  # type: ignore[attr-defined]


def take_census() -> Counter[str]:
    gc.collect()
    things = gc.get_objects()
    census = Counter(
        type(thing).__qualname__
        for thing in things
        if str(type(thing).__module__).partition(".")[0] == "faye_ws"
    )
    # Those of a server's threads, which come and go as it likes.
    for name in ("WaitingThread", "_Tie"):
        del census[name]
    census["greenlets"] = sum(is_of_a_connection(thing) for thing in things)
    # Workers at rest are there for the next connection.
    census["greenlets"] -= sum(len(reactor.workers._idle) for reactor in all_reactors())
    census["descriptors"] = len(os.listdir("/proc/self/fd"))
    return census


def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    if environ["PATH_INFO"] == "/census":
        start_response("200 OK", [("Content-Type", "application/json")])
        return [json.dumps(take_census()).encode()]
    if EventSource.is_eventsource(environ):
        es = EventSource(environ)
        es.on("open", lambda event: es.end("over"))
        return es(environ, start_response)
    ws = WebSocket(environ)
    if environ["PATH_INFO"] == "/loop":
        try:
            for message in ws:
                ws.send(message)
        except ConnectionClosed:
            """The peer has gone without a word."""
    else:
        ws.on("message", lambda event: ws.send(event.data))
    return ws(environ, start_response)


if __name__ == "__main__":
    from werkzeug.serving import make_server

    server = make_server("127.0.0.1", 0, app, threaded=True)
    print("port", server.server_port, flush=True)
    server.serve_forever()
