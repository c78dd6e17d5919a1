"""An application of event streams, and the servers that serve it.

    python app.py pywsgi|werkzeug|waitress|wsgiref [PORT]

gunicorn loads `app:app` itself. Paths: `/` counts for ever, from behind the last event ID;
`/three` sends three events; `/idle` nothing but pings; `/page` is a page with an EventSource
that writes down what it hears; `/stop` answers 204. Prints the port, and a line when a stream
is closed.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from typing import Any

import gevent

from faye_ws import EventSource

PAGE = b"""<!DOCTYPE html><title>Stream</title><link rel="icon" href="data:,">
<script>
  window.heard = [];
  const es = new EventSource("/" + location.hash.slice(1));
  const note = (event) => heard.push([event.type, event.data, event.lastEventId]);
  for (const type of ["message", "tick"]) es.addEventListener(type, note);
  es.onopen = () => heard.push(["open"]);
  es.onerror = () => heard.push(["error", es.readyState]);
</script>"""


def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    path = environ["PATH_INFO"]
    if path == "/page":
        start_response("200 OK", [("Content-Type", "text/html")])
        return [PAGE]
    if path == "/stop" or not EventSource.is_eventsource(environ):
        start_response("204 No Content", [])
        return []
    es = EventSource(environ, ping=0.3, retry=0.1, headers={"Access-Control-Allow-Origin": "*"})

    @es.on("open")
    def opened(event: Any) -> None:
        number = int(es.last_event_id or -1) + 1
        last = {"/three": number + 3, "/idle": number}.get(path)
        while number != last and es.send(f"event {number}", ("tick", "")[number % 2], number):
            number += 1
            gevent.sleep(0.02)
        if path == "/three":
            es.end("\u00fcber\nzwei Zeilen")

    es.on("close", lambda event: print("closed", path, flush=True))
    return es(environ, start_response)


def main() -> None:
    name = sys.argv[1]
    port = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    if name == "pywsgi":
        from gevent.pywsgi import WSGIServer

        server = WSGIServer(("127.0.0.1", port), app)
        server.start()
        print("port", server.server_port, flush=True)
        server.serve_forever()
    elif name == "werkzeug":
        from werkzeug.serving import make_server

        threaded = make_server("127.0.0.1", port, app, threaded=True)
        print("port", threaded.server_port, flush=True)
        threaded.serve_forever()
    elif name == "waitress":
        import waitress

        waiting = waitress.create_server(app, host="127.0.0.1", port=port)
        print("port", waiting.effective_port, flush=True)
        waiting.run()
    else:
        from wsgiref.simple_server import make_server as make_simple

        simple = make_simple("127.0.0.1", port, app)
        print("port", simple.server_port, flush=True)
        simple.serve_forever()


if __name__ == "__main__":
    main()
