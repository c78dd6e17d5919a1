"""Asking a proxy for a tunnel (RFC 9110, 9.3.6), without I/O.

RFC 6455, 4.1: "the client MUST open a connection and send [...] CONNECT" to the proxy,
for `ws` as for `wss`.
"""

from __future__ import annotations

from ..driver.handshake import refused_by
from ..driver.http import HeaderFields, Headers, Request
from ..driver.response import ResponseReader
from ..errors import ConnectionFailed, HandshakeError

# RFC 9110, 9.3.6: "Any 2xx (Successful) response indicates that the sender [...] will switch
# to tunnel mode".
_OPENING = range(200, 300)
# The Host of CONNECT is where the tunnel leads, and the length of the tunnel has no end.
_RESERVED = frozenset(("host", "content-length", "transfer-encoding"))


class Tunnel:
    """The client's end of a CONNECT request.

    Args:
        host, port: where the tunnel is to lead.
        authorization: the value of the Proxy-Authorization header, if there is one.
        headers: header fields to add, for the proxy's eyes only.

    Attributes:
        is_open: whether the proxy has agreed.

    Raises:
        ValueError: a header is not one, or belongs to the request itself.
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
        """Return what the proxy is to have next, once."""
        data, self._outgoing = self._outgoing, b""
        return data

    def receive_data(self, data: bytes) -> None:
        """Take in bytes from the proxy, until `is_open`; b"" is the end of them.

        Raises:
            InvalidStatus: the proxy refuses.
            HandshakeError: it speaks another language.
            ConnectionFailed: it hangs up.
        """
        reader = self._reader
        reader.receive_data(data)
        response = reader.response
        if response is None and not data:
            raise ConnectionFailed("the proxy closed the connection")
        if response is None or not (reader.is_done or not data):
            return
        if response.status not in _OPENING:
            raise refused_by("the proxy", response)
        if reader.rest:
            # Through the tunnel nobody speaks before we do.
            raise HandshakeError("the proxy sent more than its answer")
        self.is_open = True
