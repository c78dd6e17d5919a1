"""A client for Autobahn|Testsuite: the driver of faye_ws alone, on blocking sockets.

    python autobahn/client.py ws://127.0.0.1:9001

The suite's server says how many cases there are, plays them one by one, each on a connection
of its own on which the client echoes, and writes its reports when asked to.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from urllib.parse import urlsplit

from faye_ws import CloseCode
from faye_ws.driver import Client, Close, Message
from faye_ws.extensions import PermessageDeflate

AGENT = "faye_ws"
# A connection on which nothing comes for so long has ended. The suite gives up before that.
SILENCE = 120.0
DEFLATE = PermessageDeflate()

OnMessage = Callable[[Client, "str | bytes"], object]


def echo(driver: Client, data: str | bytes) -> None:
    """Send a message back."""
    if isinstance(data, str):
        driver.text(data)
    else:
        driver.binary(data)


def talk(url: str, on_message: OnMessage) -> Close:
    """Hold one connection from its opening to its end; return how it ended."""
    driver = Client(url, extensions=[DEFLATE])
    driver.start()
    end = Close(CloseCode.ABNORMAL_CLOSURE)
    address = urlsplit(url)
    with socket.create_connection((address.hostname, address.port), timeout=SILENCE) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while True:
            # A server that is done with a connection may reset it.
            with suppress(ConnectionError):
                sock.sendall(driver.data_to_send())
            data = read(sock)
            if data:
                driver.receive_data(data)
            else:
                driver.receive_eof()
            while events := driver.events():
                for event in events:
                    if isinstance(event, Message):
                        on_message(driver, event.data)
                    elif isinstance(event, Close):
                        end = event
            # 7.1.1: "the underlying TCP connection, in most normal cases, SHOULD be closed
            # first by the server". So the end of the WebSocket is not the end yet.
            if not data:
                return end


def read(sock: socket.socket) -> bytes:
    """Return what has come, or nothing if no more comes."""
    try:
        return sock.recv(65536)
    except OSError:
        return b""


def ask(url: str) -> str:
    """Return the one message that a connection brings.

    Raises:
        ConnectionError: there was none.
    """
    answers: list[str | bytes] = []
    end = talk(url, lambda driver, data: answers.append(data))
    if not answers:
        raise ConnectionError(f"{url} sent no message: {end}")
    return str(answers[0])


def main() -> None:
    """Play all cases that the server has."""
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    url = sys.argv[1].rstrip("/")
    for number in range(1, int(ask(f"{url}/getCaseCount")) + 1):
        end = talk(f"{url}/runCase?case={number}&agent={AGENT}", echo)
        print(f"case {number}: {end.code:d} {end.reason}", flush=True)
    talk(f"{url}/updateReports?agent={AGENT}", lambda driver, data: None)


if __name__ == "__main__":
    main()
