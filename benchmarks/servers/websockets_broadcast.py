"""Everything to everybody on websockets and uvloop, with its `broadcast`."""

import sys

import uvloop
from ready import announce
from websockets.asyncio.server import ServerConnection, broadcast, serve

connections: set[ServerConnection] = set()


async def spread(connection: ServerConnection) -> None:
    connections.add(connection)
    try:
        async for message in connection:
            broadcast(connections, message)
    finally:
        connections.discard(connection)


async def main() -> None:
    async with serve(
        spread,
        "127.0.0.1",
        int(sys.argv[1]),
        compression="deflate" if sys.argv[2] == "takeover" else None,
        ping_interval=None,
    ) as server:
        announce()
        await server.serve_forever()


uvloop.run(main())
