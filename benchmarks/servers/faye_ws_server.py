"""An echo on faye_ws: a listener on the stock server of gevent, without monkey-patching."""

import sys
from collections.abc import Callable, Iterable
from typing import Any

from gevent.pywsgi import WSGIServer
from ready import announce

from faye_ws import MessageEvent, WebSocket
from faye_ws.extensions import PermessageDeflate

EXTENSIONS = {
    "none": [],
    "takeover": [PermessageDeflate()],
    "no-takeover": [PermessageDeflate(no_context_takeover=True, request_no_context_takeover=True)],
}
extensions = EXTENSIONS[sys.argv[2]]


def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    ws = WebSocket(environ, extensions=extensions)

    @ws.on("message")
    def message(event: MessageEvent) -> None:
        ws.send(event.data)

    return ws(environ, start_response)


server = WSGIServer(("127.0.0.1", int(sys.argv[1])), app, log=None)
server.start()
announce()
server.serve_forever()
