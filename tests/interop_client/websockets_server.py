"""Echo servers of `websockets`, one plain and one with TLS: websockets_server.py CERT KEY"""

from __future__ import annotations

import asyncio
import signal
import ssl
import sys
from typing import Any

from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response


async def talk(connection: ServerConnection) -> None:
    assert connection.request is not None
    if connection.request.path == "/close":
        await connection.close(3001, "bye")
    async for message in connection:
        await connection.send(message)


def check(connection: ServerConnection, request: Request) -> Response | None:
    return connection.respond(403, "no entry") if request.path == "/refuse" else None


async def main(cert: str, key: str) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    options: dict[str, Any] = {"subprotocols": ["irc"], "process_request": check, "max_size": None}
    async with (
        serve(talk, "127.0.0.1", 0, **options) as plain,
        serve(talk, "127.0.0.1", 0, ssl=context, **options) as secure,
    ):
        ports = [next(iter(server.sockets)).getsockname()[1] for server in (plain, secure)]
        print(f"plain {ports[0]} secure {ports[1]}")
        await stopped.wait()


asyncio.run(main(*sys.argv[1:]))
