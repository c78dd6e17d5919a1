"""A server that tells how much memory its messages take: `bomb_server.py MAX_LENGTH`.

It prints its port, and for each connection that has closed its code and by how many bytes
the most memory that the process ever held has grown since the start.
"""

from __future__ import annotations

import re
import signal
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import gevent
from gevent.pywsgi import WSGIServer

from faye_ws import WebSocket
from faye_ws.extensions import PermessageDeflate

MAX_LENGTH = int(sys.argv[1])


def peak_memory() -> int:
    """Return the most bytes of memory that this process has held."""
    status = Path("/proc/self/status").read_text()
    match = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert match is not None
    return int(match[1]) * 1024


def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    ws = WebSocket(environ, extensions=[PermessageDeflate()], max_length=MAX_LENGTH)
    ws.on("message", lambda event: ws.send(str(len(event.data))))
    ws.on("close", lambda event: print(f"closed {event.code:d} {peak_memory() - at_start}"))
    return ws(environ, start_response)


if __name__ == "__main__":
    server = WSGIServer(("127.0.0.1", 0), app, log=None)
    server.start()
    gevent.signal_handler(signal.SIGTERM, server.stop)
    at_start = peak_memory()
    print(f"port {server.server_port}")
    server.serve_forever()
