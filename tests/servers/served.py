"""What the servers of the tests serve: one application, by path, as raw WSGI and in Flask.

    python served.py pywsgi|werkzeug APP [CERTIFICATE KEY]

Prints the port. gunicorn loads `served:wsgi` or `served:flask_app` itself.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterable
from typing import Any

import flask

from faye_ws import ConnectionClosed, WebSocket

Environ = dict[str, Any]

VERSIONS = ("hybi-13", "hixie-76", "hixie-75")

# Connections that other connections send to.
members: dict[str, WebSocket] = {}


def echo(ws: WebSocket) -> None:
    ws.on("message", lambda event: ws.send(event.data))


def loop(ws: WebSocket) -> None:
    try:
        for message in ws:
            ws.send(message)
    except ConnectionClosed:
        pass


def loop_when_open(ws: WebSocket) -> None:
    ws.on("open", lambda event: loop(ws))


def fail(ws: WebSocket) -> None:
    @ws.on("message")
    def message(event: Any) -> None:
        raise RuntimeError("this listener always fails")


def fail_after_opening(ws: WebSocket) -> None:
    ws.receive()
    raise RuntimeError("this application always fails")


def close(ws: WebSocket) -> None:
    ws.on("open", lambda event: ws.close(4001, "that is all"))


def tell(ws: WebSocket) -> None:
    """Join under a name, or send to who has joined: `NAME` or `NAME: TEXT`."""

    @ws.on("message")
    def message(event: Any) -> None:
        name, colon, text = event.data.partition(": ")
        if colon:
            ws.send(f"{members[name].send(text)} {threading.get_ident() != members_thread[name]}")
        else:
            members[name] = ws
            members_thread[name] = threading.get_ident()
            ws.send("joined")


members_thread: dict[str, int] = {}
PATHS: dict[str, Callable[[WebSocket], None]] = {
    "/echo": echo,
    "/loop": loop,
    "/open": loop_when_open,
    "/fail": fail,
    "/broken": fail_after_opening,
    "/close": close,
    "/tell": tell,
}


def wsgi(environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
    serve = PATHS.get(environ["PATH_INFO"])
    if serve is None or not WebSocket.is_websocket(environ):
        start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "5")])
        return [b"page\n"]
    ws = WebSocket(environ, protocols=["irc"], versions=VERSIONS)
    serve(ws)
    return ws(environ, start_response)


flask_app = flask.Flask(__name__)


@flask_app.route("/")
def page() -> str:
    return "page\n"


@flask_app.route("/<name>", websocket=True)
def view(name: str) -> Any:
    ws = WebSocket(flask.request.environ, protocols=["irc"], versions=VERSIONS)
    PATHS[f"/{name}"](ws)
    return ws


def wrapped(environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
    """The application of Flask, behind middleware that looks at everything."""

    def start(status: str, headers: list[tuple[str, str]], *exc_info: Any) -> Any:
        return start_response(status, [*headers, ("X-Middleware", "yes")], *exc_info)

    body = flask_app(environ, start)
    try:
        yield from body
    finally:
        getattr(body, "close", lambda: None)()


def main() -> None:
    server_name, app_name, *tls = sys.argv[1:]
    app = globals()[app_name]
    if server_name == "pywsgi":
        from gevent import ssl
        from gevent.pywsgi import WSGIServer

        options: dict[str, Any] = {}
        if tls:
            options["ssl_context"] = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            options["ssl_context"].load_cert_chain(*tls)
        server = WSGIServer(("127.0.0.1", 0), app, **options)
        server.start()
        print("port", server.server_port, flush=True)
        server.serve_forever()
    elif server_name == "waitress":
        import waitress

        waiting = waitress.create_server(app, host="127.0.0.1", port=0)
        print("port", waiting.effective_port, flush=True)  # type: ignore[union-attr]
        waiting.run()
    else:
        from werkzeug.serving import make_server

        context = (tls[0], tls[1]) if tls else None
        dev = make_server("127.0.0.1", 0, app, threaded=True, ssl_context=context)
        print("port", dev.server_port, flush=True)
        dev.serve_forever()


if __name__ == "__main__":
    main()
