"""The server that the command line talks to."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from support import programs

SERVER = """
import json
import gevent
from gevent.pywsgi import WSGIServer
from faye_ws import WebSocket
from faye_ws.extensions import PermessageDeflate

def app(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/refuse":
        start_response("403 Forbidden", [("Content-Length", "8")])
        return [b"no entry"]
    ws = WebSocket(environ, protocols=["irc"], extensions=[PermessageDeflate()], origins="*")

    @ws.on("open")
    def opened(event):
        if path == "/request":
            names = ("HTTP_ORIGIN", "HTTP_X_NAME", "HTTP_X_OTHER", "HTTP_SEC_WEBSOCKET_PROTOCOL")
            ws.send(json.dumps([environ.get(name) for name in names] + [ws.extensions]))
        if path == "/close":
            ws.close(*json.loads(environ["QUERY_STRING"].replace("%22", chr(34))))
        if path == "/count":
            for number in range(1000):
                ws.send(f"{number}")
        if path == "/evil":
            ws.send("\\x1b[31mred\\x07 \\u202e \\x9b2J\\r\\nsecond")
            ws.send(b"\\x00\\xff")
        while path == "/ticks":
            ws.send("tick")
            gevent.sleep(0.3)

    @ws.on("message")
    def message(event):
        if path == "/later":
            gevent.sleep(0.2)
        if event.data == "lose":
            ws._inbox.endpoint.drop()
        ws.send(event.data)

    return ws(environ, start_response)

server = WSGIServer(("127.0.0.1", 0), app, log=None)
server.start()
print("port", server.server_port, flush=True)
server.serve_forever()
"""


@pytest.fixture(scope="session")
def url() -> Iterator[str]:
    with programs.Program([sys.executable, "-c", SERVER]) as program:
        yield f"ws://127.0.0.1:{program.wait_for_line(r'^port (.+)$')[1]}"
        assert program.errors() == ""
