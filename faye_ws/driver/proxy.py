"""Asking a proxy for a tunnel (RFC 9110, 9.3.6), without I/O.

RFC 6455, 4.1: "the client MUST open a connection and send [...] CONNECT" to the proxy,
for `ws` as for `wss`.
"""

from __future__ import annotations

from ..constants import MAX_HEAD_LENGTH
from ..errors import ConnectionFailed, HandshakeError
from .handshake import refusal
from .http import HeaderFields, Headers, Request, Response, find_end_of_head, parse_response

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

    __slots__ = ("_head", "_outgoing", "_skipped", "is_open")

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
        self._head = b""
        # The bytes of the interim responses that have come.
        self._skipped = 0

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
        if not data:
            raise ConnectionFailed("the proxy closed the connection")
        self._head += data
        while (end := find_end_of_head(self._head)) is not None:
            response = parse_response(self._head[:end])
            if response.status == 101 or not 100 <= response.status < 200:
                self._receive_response(response, self._head[end:])
                return
            # RFC 9110, 15.2: "A client MUST be able to parse one or more 1xx responses
            # received prior to a final response". All together have the room of one head.
            self._skipped += end
            if self._skipped > MAX_HEAD_LENGTH:
                raise HandshakeError("the proxy does not come to its answer")
            self._head = self._head[end:]

    def _receive_response(self, response: Response, rest: bytes) -> None:
        if not 200 <= response.status <= 299:
            raise refusal("the proxy", response)
        if rest:
            # Through the tunnel nobody speaks before we do.
            raise HandshakeError("the proxy sent more than its answer")
        self.is_open = True
