"""websockets, its asyncio client, on uvloop: a task for each connection."""

import asyncio
import sys
from typing import Any

import uvloop
from load import WARM_UP, Counter, announce, read_load
from websockets.asyncio.client import ClientConnection, connect

load = read_load()
counter = Counter(load)
options: dict[str, Any] = {
    "compression": None,
    "max_size": None,
    "ping_interval": None,
    "proxy": None,
}


async def talk(ws: ClientConnection) -> None:
    for _ in range(load.in_flight):
        await ws.send(load.payload)
    while True:
        await ws.recv()
        counter.count += 1
        await ws.send(load.payload)


async def main() -> None:
    clients = [await connect(load.url, **options) for _ in range(load.connections)]
    if load.mode == "hold":
        for ws in clients:
            await ws.send(load.payload)
            await ws.recv()
        announce()
        await asyncio.to_thread(sys.stdin.read)
        return
    tasks = [asyncio.create_task(talk(ws)) for ws in clients]
    await asyncio.sleep(WARM_UP)
    counter.begin()
    await asyncio.sleep(load.seconds)
    counter.report()
    for task in tasks:
        task.cancel()


uvloop.run(main())
