"""An echo on websockets and uvloop."""

import sys

import uvloop
from ready import announce
from websockets.asyncio.server import ServerConnection, serve


async def echo(connection: ServerConnection) -> None:
    async for message in connection:
        await connection.send(message)


async def main() -> None:
    async with serve(
        echo,
        "127.0.0.1",
        int(sys.argv[1]),
        compression=None,
        ping_interval=None,
        max_size=64 * 2**20,
    ) as server:
        announce()
        await server.serve_forever()


uvloop.run(main())
