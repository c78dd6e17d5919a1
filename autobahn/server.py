"""An echo server for Autobahn|Testsuite: faye_ws on gevent's stock pywsgi.

    python autobahn/server.py [--port 9001]

It listens on 127.0.0.1 until Ctrl-C.
"""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Callable, Iterable
from typing import Any

import gevent
import gevent.socket
from gevent.pywsgi import WSGIServer

from faye_ws import MessageEvent, WebSocket
from faye_ws.extensions import PermessageDeflate

DEFLATE = PermessageDeflate()


def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Send every message back."""
    ws = WebSocket(environ, extensions=[DEFLATE], origins="*")

    @ws.on("message")
    def message(event: MessageEvent) -> None:
        ws.send(event.data)

    return ws(environ, start_response)


def main() -> None:
    """Serve until the end of the process."""
    parser = argparse.ArgumentParser(description="An echo server for Autobahn|Testsuite.")
    parser.add_argument("--port", type=int, default=9001, help="9001 by default")
    # The runner listens itself, so that there is no moment when nobody does.
    parser.add_argument("--listener", type=int, metavar="FD", help="a socket that listens already")
    options = parser.parse_args()

    if options.listener is None:
        listener: Any = ("127.0.0.1", options.port)
        print(f"ws://127.0.0.1:{options.port}/", flush=True)
    else:
        listener = gevent.socket.socket(fileno=options.listener)
    gevent.signal_handler(signal.SIGINT, sys.exit)
    gevent.signal_handler(signal.SIGTERM, sys.exit)
    WSGIServer(listener, app, log=None).serve_forever()


if __name__ == "__main__":
    main()
