"""Asking a proxy for a tunnel (RFC 9110, 9.3.6), without I/O.

RFC 6455, 4.1: "the client MUST open a connection and send [...] CONNECT" to the proxy,
for `ws` as for `wss`.
"""

from __future__ import annotations

from ..errors import ConnectionFailed, HandshakeError
from .handshake import refusal
from .http import HeaderFields, Headers, Request, find_end_of_head, parse_response

# The Host of CONNECT is where the tunnel leads, and the length of the tunnel has no end.
_RESERVED = frozenset(("host", "content-length", "transfer-encoding"))


class Tunnel:
    """The client's end of a CONNECT request.

    Args:
        host, port: where the tunnel is to lead.
        authorization: the value of the Proxy-Authorization header, if there is one.
        headers: header fields to add, for the proxy's eyes only.

    Attributes:
        request: the bytes to send first.
        is_open: whether the proxy has agreed.

    Raises:
        ValueError: a header is not one, or belongs to the request itself.
    """

    __slots__ = ("_head", "is_open", "request")

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
        self.request = Request("CONNECT", target, fields).serialize()
        self.is_open = False
        self._head = b""

    def receive_data(self, data: bytes) -> None:
        """Take in bytes from the proxy, until `is_open`; b"" is the end of them.

        Raises:
            InvalidStatus: the proxy refuses.
            HandshakeError: it speaks another language.
            ConnectionFailed: it hangs up.
        """
        if not data:
            raise ConnectionFailed("the proxy closed the connection")
        self._head += data
        end = find_end_of_head(self._head)
        if end is None:
            return
        response = parse_response(self._head[:end])
        if not 200 <= response.status <= 299:
            raise refusal("the proxy", response)
        if len(self._head) > end:
            # Through the tunnel nobody speaks before we do.
            raise HandshakeError("the proxy sent more than its answer")
        self.is_open = True
