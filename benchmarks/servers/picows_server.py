"""An echo on picows and uvloop: the callbacks of its core interface, one per frame."""

import sys

import uvloop
from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_create_server
from ready import announce


class Echo(WSListener):
    """Send back each frame; a message of several frames goes back as it came."""

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.CLOSE:
            transport.send_close(frame.get_close_code(), frame.get_close_message())
            transport.disconnect()
        else:
            transport.send(frame.msg_type, frame.get_payload_as_memoryview(), frame.fin)


async def main() -> None:
    port = int(sys.argv[1])
    server = await ws_create_server(
        lambda request: Echo(), "127.0.0.1", port, max_frame_size=64 * 2**20
    )
    announce()
    await server.serve_forever()


uvloop.run(main())
