"""The server that the clients talk to: it echoes, with permessage-deflate.

The query of the URL is the JSON of its options, and of `min_size`. The message "report" is
answered with JSON: what was negotiated, and how many messages came and went compressed.
"""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import unquote

import gevent
from gevent.pywsgi import WSGIServer

from faye_ws import MessageEvent, WebSocket
from faye_ws.extensions import Message, PermessageDeflate
from faye_ws.extensions.deflate import ServerSession


class Counting(PermessageDeflate):
    """permessage-deflate that counts, for one connection."""

    came = went = 0

    def create_server_session(self, offers: Any) -> Any:
        session = super().create_server_session(offers)
        return None if session is None else CountingSession(self, session)


class CountingSession:
    """A session that counts the messages that are compressed."""

    def __init__(self, extension: Counting, session: ServerSession) -> None:
        self._extension = extension
        self._session = session
        self.generate_response = session.generate_response
        self.close = session.close

    def process_incoming_message(self, message: Message) -> Message:
        self._extension.came += message.rsv1
        return self._session.process_incoming_message(message)

    def process_outgoing_message(self, message: Message) -> Message:
        message = self._session.process_outgoing_message(message)
        self._extension.went += message.rsv1
        return message


def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    if not WebSocket.is_websocket(environ):
        start_response("200 OK", [("Content-Type", "text/html")])
        return [b'<!DOCTYPE html><title>Blank</title><link rel="icon" href="data:,">']
    extension = Counting(**json.loads(unquote(environ["QUERY_STRING"]) or "{}"))
    ws = WebSocket(environ, extensions=[extension])

    @ws.on("message")
    def echo(event: MessageEvent) -> None:
        if event.data == "report":
            report = {"came": extension.came, "went": extension.went}
            ws.send(json.dumps({"extensions": ws.extensions, **report}))
        else:
            ws.send(event.data)

    return ws(environ, start_response)


if __name__ == "__main__":
    server = WSGIServer(("127.0.0.1", 0), app, log=None)
    server.start()
    gevent.signal_handler(signal.SIGTERM, server.stop)
    print(f"port {server.server_port}")
    server.serve_forever()
