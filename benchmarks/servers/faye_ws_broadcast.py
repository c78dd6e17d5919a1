"""Everything to everybody on faye_ws: see faye_ws_server.py, but with `broadcast`."""

import sys
from collections.abc import Callable, Iterable
from typing import Any

from gevent.pywsgi import WSGIServer
from ready import announce

from faye_ws import MessageEvent, WebSocket, broadcast
from faye_ws.extensions import PermessageDeflate

extensions = [PermessageDeflate()] if sys.argv[2] == "takeover" else []
connections: set[WebSocket] = set()


def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    ws = WebSocket(environ, extensions=extensions)
    connections.add(ws)

    @ws.on("message")
    def message(event: MessageEvent) -> None:
        broadcast(connections, event.data)

    ws.on("close", lambda event: connections.discard(ws))
    return ws(environ, start_response)


server = WSGIServer(("127.0.0.1", int(sys.argv[1])), app, log=None)
server.start()
announce()
server.serve_forever()
