"""The yardstick: a TCP echo on gevent, which does no WebSocket at all."""

import sys

from gevent.server import StreamServer
from gevent.socket import IPPROTO_TCP, TCP_NODELAY, socket
from ready import announce


def echo(connection: socket, address: tuple[str, int]) -> None:
    connection.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)
    while data := connection.recv(65536):
        connection.sendall(data)


server = StreamServer(("127.0.0.1", int(sys.argv[1])), echo)
server.start()
announce()
server.serve_forever()
