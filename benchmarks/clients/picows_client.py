"""picows on uvloop: the callback of its core interface sends the next message."""

import asyncio
import sys

import uvloop
from load import WARM_UP, Counter, announce, read_load
from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

load = read_load()
counter = Counter(load)
is_text = isinstance(load.payload, str)
kind = WSMsgType.TEXT if is_text else WSMsgType.BINARY
payload = load.payload.encode() if isinstance(load.payload, str) else load.payload
echoed = asyncio.Event()


class Talk(WSListener):
    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        # As the others do, it makes a Python object of what has come.
        frame.get_payload_as_utf8_text() if is_text else frame.get_payload_as_bytes()
        counter.count += 1
        if load.mode == "hold":
            echoed.set()
        else:
            transport.send(kind, payload)


async def main() -> None:
    transports = []
    for _ in range(load.connections):
        transport, _listener = await ws_connect(Talk, load.url, max_frame_size=64 * 2**20)
        transports.append(transport)
    if load.mode == "hold":
        for transport in transports:
            echoed.clear()
            transport.send(kind, payload)
            await echoed.wait()
        announce()
        await asyncio.to_thread(sys.stdin.read)
        return
    for transport in transports:
        for _ in range(load.in_flight):
            transport.send(kind, payload)
    await asyncio.sleep(WARM_UP)
    counter.begin()
    await asyncio.sleep(load.seconds)
    counter.report()
    for transport in transports:
        transport.disconnect()


uvloop.run(main())
