"""Echo servers of ours, one plain and one with TLS: faye_ws_server.py CERT KEY

What they do depends on the path of the request:

    /           echo
    /close      close with 3001, "bye"
    /refuse     answer 403, "no entry"
"""

from __future__ import annotations

import signal
import ssl
import sys
from collections.abc import Callable, Iterable
from typing import Any

import gevent
from gevent.pywsgi import WSGIServer
from gevent.ssl import SSLContext

from faye_ws import WebSocket
from faye_ws.extensions import PermessageDeflate


def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    path = environ["PATH_INFO"]
    if path == "/refuse":
        start_response("403 Forbidden", [("Content-Length", "8")])
        return [b"no entry"]
    ws = WebSocket(environ, protocols=["irc"], extensions=[PermessageDeflate()])
    ws.on("message", lambda event: ws.send(event.data))
    if path == "/close":
        ws.on("open", lambda event: ws.close(3001, "bye"))
    return ws(environ, start_response)


def main(cert: str, key: str) -> None:
    context = SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    plain = WSGIServer(("127.0.0.1", 0), app, log=None)
    secure = WSGIServer(("127.0.0.1", 0), app, log=None, ssl_context=context)
    plain.start()
    secure.start()
    gevent.signal_handler(signal.SIGTERM, secure.stop)
    print(f"plain {plain.server_port} secure {secure.server_port}")
    secure.serve_forever()


main(*sys.argv[1:])
