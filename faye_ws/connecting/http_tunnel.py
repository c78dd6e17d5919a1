"""Asking an HTTP proxy for a tunnel (CONNECT: RFC 9110, 9.3.6), without I/O.

RFC 6455, 4.1: "the client MUST open a connection and send [...] CONNECT" to the proxy,
for `ws` as for `wss`.
"""

from __future__ import annotations

from ..driver.handshake import unexpected_status
from ..driver.http import HeaderFields, Headers, Request
from ..driver.response import ResponseReader
from ..errors import ConnectionFailed, HandshakeError

# RFC 9110, 9.3.6: "Any 2xx (Successful) response indicates that the sender [...] will switch
# to tunnel mode".
_OPENING = range(200, 300)
# Host is where the tunnel leads, and a request for a tunnel has no body.
_RESERVED = frozenset(("host", "content-length", "transfer-encoding"))


class HTTPTunnel:
    """The client's side of a CONNECT request.

    Args:
        host, port: where the tunnel is to lead.
        authorization: the value of the Proxy-Authorization header, or None.
        headers: header fields to add; only the proxy sees them.

    Attributes:
        is_open: whether the proxy has opened the tunnel.

    Raises:
        ValueError: a header field is invalid, or one that CONNECT sets itself.
    """

    __slots__ = ("_outgoing", "_reader", "is_open")

    def __init__(
        self, host: str, port: int, authorization: str | None = None, headers: HeaderFields = ()
    ) -> None:
        target = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        fields = Headers([("Host", target)])
        if authorization is not None:
            fields.append("Proxy-Authorization", authorization)
        for name, value in Headers(headers):
            if name.lower() in _RESERVED:
                raise ValueError(f"the header {name} belongs to the request for a tunnel")
            fields.append(name, value)
        self._outgoing = Request("CONNECT", target, fields).serialize()
        self.is_open = False
        self._reader = ResponseReader(opens=_OPENING)

    def data_to_send(self) -> bytes:
        """Return the bytes to send to the proxy, and forget them."""
        data, self._outgoing = self._outgoing, b""
        return data

    def receive_data(self, data: bytes) -> None:
        """Receive bytes from the proxy, until `is_open`; b"" is the end of its side.

        Raises:
            InvalidStatus: the proxy refuses.
            HandshakeError: the answer is not HTTP, or there are bytes behind it.
            ConnectionFailed: the proxy closed the connection.
        """
        reader = self._reader
        reader.receive_data(data)
        response = reader.response
        if response is None and not data:
            raise ConnectionFailed("the proxy closed the connection")
        if response is None or not (reader.is_done or not data):
            return
        if response.status not in _OPENING:
            raise unexpected_status("the proxy", response)
        if reader.rest:
            # In a tunnel to a server the client speaks first.
            raise HandshakeError("the proxy sent more than its answer")
        self.is_open = True
