"""Two small clients, one that blocks and one that listens.

    python examples/server.py 8000              # in another terminal
    python examples/client.py ws://localhost:8000/

`reconnect` in place of `Client` would begin anew whenever the connection is lost.
"""

from __future__ import annotations

import sys

from faye_ws import Client, CloseEvent, Event, HandshakeError, MessageEvent


def block(url: str) -> None:
    """Send and receive as with a file: the next line runs when this one is done."""
    with Client(url) as ws:
        for message in ("Hello", "world"):
            ws.send(message)
            print("received", ws.receive(timeout=10))


def listen(url: str) -> None:
    """Say what is to happen, then let it happen."""
    ws = Client(url)

    @ws.on("open")
    def opened(event: Event) -> None:
        ws.send("Hello, listeners")

    @ws.on("message")
    def message(event: MessageEvent) -> None:
        print("heard", event.data)
        ws.close(1000, "that was all")

    @ws.on("close")
    def closed(event: CloseEvent) -> None:
        print("closed", event.code, event.reason)

    ws.wait_closed()


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    try:
        block(sys.argv[1])
        listen(sys.argv[1])
    except HandshakeError as error:
        sys.exit(str(error))
