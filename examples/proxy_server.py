"""A forward proxy: clients ask it with CONNECT for a tunnel to a server (RFC 9110, 9.3.6).

    python examples/proxy_server.py [PORT] [--password USER:PASSWORD] [--cert FILE --key FILE]

With a certificate it speaks TLS to its clients, whatever goes through the tunnel. It is
small enough to read, and bounded: a client has ten seconds and 16 KiB to ask.
"""

from __future__ import annotations

import argparse
import base64
import hmac
import signal
from contextlib import suppress
from typing import Any

import gevent
import gevent.event
from gevent import socket
from gevent.server import StreamServer
from gevent.ssl import PROTOCOL_TLS_SERVER, SSLContext, SSLSocket

from faye_ws.driver.http import Request, find_end_of_head, parse_request
from faye_ws.errors import HandshakeError

MAX_HEAD = 2**14
SECONDS_TO_ASK = 10.0
CHUNK = 2**16


class Refusal(Exception):
    """A request that is not granted: the status line, and header fields."""


class Proxy:
    """What to do with clients.

    Args:
        credentials: `USER:PASSWORD`, or None to serve anybody.
        context: how to speak TLS with them, or None.
    """

    def __init__(self, credentials: str | None, context: SSLContext | None) -> None:
        self._context = context
        self._authorization: str | None = None
        if credentials is not None:
            self._authorization = "Basic " + base64.b64encode(credentials.encode()).decode()

    def __call__(self, client: Any, address: Any) -> None:
        """Serve one client to its end; both sockets are closed then."""
        server = None
        try:
            with gevent.Timeout(SECONDS_TO_ASK):
                if self._context is not None:
                    client = self._context.wrap_socket(client, server_side=True)
                head, early = read_head(client)
                server = self.connect(parse_request(head))
                client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            server.sendall(early)
            tunnel(client, server)
        except (Refusal, HandshakeError) as refusal:
            status = str(refusal) if isinstance(refusal, Refusal) else "400 Bad Request"
            with suppress(OSError):
                client.sendall(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n".encode())
        except (OSError, gevent.Timeout):
            pass  # The client has hung up, or has not sent a request in time.
        finally:
            client.close()
            if server is not None:
                server.close()

    def connect(self, request: Request) -> socket.socket:
        """Return a connection to where a request wants to go."""
        if self._authorization is not None:
            given = request.headers.get("Proxy-Authorization") or ""
            if not hmac.compare_digest(given.encode(), self._authorization.encode()):
                raise Refusal(
                    '407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm="proxy"'
                )
        if request.method != "CONNECT":
            raise Refusal("405 Method Not Allowed\r\nAllow: CONNECT")
        host, _, port = request.target.rpartition(":")
        if not (host and port.isdecimal()):
            raise Refusal("400 Bad Request")
        try:
            return socket.create_connection((host.strip("[]"), int(port)))
        except (OSError, OverflowError) as error:
            raise Refusal("502 Bad Gateway") from error


def read_head(client: Any) -> tuple[bytes, bytes]:
    """Return the head of a request, and the bytes that came behind it."""
    buffer = b""
    while (end := find_end_of_head(buffer, MAX_HEAD)) is None:
        data = client.recv(CHUNK)
        if not data:
            raise ConnectionError("a client left before it had asked")
        buffer += data
    return buffer[:end], buffer[end:]


def tunnel(client: Any, server: Any) -> None:
    """Pass bytes on in both directions until both have ended, or one has failed."""
    ways = [gevent.spawn(pass_on, client, server), gevent.spawn(pass_on, server, client)]
    try:
        for way in gevent.iwait(ways):
            if not way.value:
                break
    finally:
        gevent.killall(ways)


def pass_on(source: Any, destination: Any) -> bool:
    """Pass on the bytes of one direction and its end; tell whether the other may go on."""
    try:
        while data := source.recv(CHUNK):
            destination.sendall(data)
        if isinstance(destination, SSLSocket):
            # One side of a TLS connection can't be ended without the other.
            return False
        destination.shutdown(socket.SHUT_WR)
    except OSError:
        return False
    return True


def main() -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(description="A forward proxy for tunnels.")
    parser.add_argument("port", nargs="?", type=int, default=3128)
    parser.add_argument("--password", metavar="USER:PASSWORD", help="what clients have to show")
    parser.add_argument("--cert", help="speak TLS with this certificate")
    parser.add_argument("--key", help="the key of the certificate")
    options = parser.parse_args()
    context = None
    if options.cert:
        context = SSLContext(PROTOCOL_TLS_SERVER)
        context.load_cert_chain(options.cert, options.key)
    server = StreamServer(("127.0.0.1", options.port), Proxy(options.password, context))
    server.start()
    print(f"tunnels on port {server.server_port}", flush=True)
    stopped = gevent.event.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        gevent.signal_handler(number, stopped.set)
    stopped.wait()
    server.stop()


if __name__ == "__main__":
    main()
