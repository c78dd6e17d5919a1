"""An echo on simple-websocket and gevent, one of the homes its documentation names.

It reads on a thread of its own, so gevent has to patch threads to greenlets. Its other homes are
servers with native threads: two threads a connection are no fair match for 5,000 idle ones.
"""

import sys
from collections.abc import Callable, Iterable
from typing import Any

from gevent import monkey
from gevent.pywsgi import WSGIServer
from ready import announce
from simple_websocket import ConnectionClosed, Server


def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    ws = Server.accept(environ)
    try:
        while True:
            ws.send(ws.receive())
    except ConnectionClosed:
        return []


monkey.patch_all()
server = WSGIServer(("127.0.0.1", int(sys.argv[1])), app, log=None)
server.start()
announce()
server.serve_forever()
