"""An echo on websockets and uvloop."""

import sys

import uvloop
from ready import announce
from websockets.asyncio.server import ServerConnection, serve
from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory

# Its default but for the first two.
NO_TAKEOVER = ServerPerMessageDeflateFactory(
    server_no_context_takeover=True,
    client_no_context_takeover=True,
    server_max_window_bits=12,
    client_max_window_bits=12,
    compress_settings={"memLevel": 5},
)


async def echo(connection: ServerConnection) -> None:
    async for message in connection:
        await connection.send(message)


async def main() -> None:
    deflate = sys.argv[2]
    async with serve(
        echo,
        "127.0.0.1",
        int(sys.argv[1]),
        compression=None if deflate == "none" else "deflate",
        extensions=[NO_TAKEOVER] if deflate == "no-takeover" else None,
        ping_interval=None,
        max_size=64 * 2**20,
    ) as server:
        announce()
        await server.serve_forever()


uvloop.run(main())
