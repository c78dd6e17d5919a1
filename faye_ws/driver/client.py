"""The client's end of RFC 6455."""

from __future__ import annotations

import base64
import os
from collections.abc import Sequence

from ..constants import (
    DEFAULT_MAX_LENGTH,
    PROTOCOL_VERSION,
    ReadyState,
)
from ..errors import ConnectionFailed, HandshakeError
from ..extensions.contract import Extension
from ..extensions.pipeline import Offer, check_extensions
from .events import Open
from .handshake import check_headers, check_protocols, check_response, unexpected_status
from .http import HeaderFields, Headers, Request, Response, parse_response
from .response import ResponseReader
from .rfc6455 import RFC6455
from .uri import Address, parse_url


class Client(RFC6455):
    """A client's driver.

    Args:
        url: a `ws` or `wss` URL, as it stands or parsed; the connection is made by whoever
            holds the driver.
        protocols: the subprotocols to ask for, the preferred first.
        headers: header fields to add to the request. An Authorization among them takes the
            place of the credentials in the URL.
        max_length: the longest message accepted, in bytes.
        extensions: the extensions to offer.

    Attributes:
        request: the request that `start()` sends; None when the connection is open.

    Raises:
        ValueError: the URL, a subprotocol or a header is not one.
    """

    __slots__ = ("_head", "_key", "_offer", "_protocols", "_reader", "request")

    is_server = False

    def __init__(
        self,
        url: str | Address,
        *,
        protocols: Sequence[str] = (),
        headers: HeaderFields = (),
        max_length: int = DEFAULT_MAX_LENGTH,
        extensions: Sequence[Extension] = (),
    ) -> None:
        super().__init__(max_length=max_length)
        address = parse_url(url) if isinstance(url, str) else url
        extra = check_headers(headers)
        # 4.1: "a nonce consisting of a randomly selected 16-byte value".
        self._key = base64.b64encode(os.urandom(16)).decode()
        self._protocols = check_protocols(protocols)
        offer = Offer(check_extensions(extensions))
        self._offer: Offer | None = offer
        # None until the request is sent; when the connection is open the response's head,
        # which is smaller than what it says.
        self._head: bytes | None = None
        self._reader: ResponseReader | None = ResponseReader(opens=(101,))
        fields = Headers(
            [
                ("Host", address.authority),
                ("Upgrade", "websocket"),
                ("Connection", "Upgrade"),
                ("Sec-WebSocket-Key", self._key),
                ("Sec-WebSocket-Version", PROTOCOL_VERSION),
            ]
        )
        if self._protocols:
            fields.append("Sec-WebSocket-Protocol", ", ".join(self._protocols))
        if address.authorization is not None and "Authorization" not in extra:
            fields.append("Authorization", address.authorization)
        if offer.header:
            fields.append("Sec-WebSocket-Extensions", offer.header)
        for name, value in extra:
            fields.append(name, value)
        self.request: Request | None = Request("GET", address.target, fields)

    @property
    def response(self) -> Response | None:
        """The response of the server, once it has come, or None."""
        if self._reader is None:
            return parse_response(self._head or b"")
        return self._reader.response

    def start(self) -> bool:
        """Send the request. Return False if it was sent before."""
        if self.request is None or self._head is not None:
            return False
        self._head = b""
        self._send(self.request.serialize())
        return True

    def receive_data(self, data: bytes) -> None:
        """Receive bytes: the response head, then frames."""
        reader = self._reader
        if self.ready_state is not ReadyState.CONNECTING or reader is None:
            super().receive_data(data)
            return
        try:
            reader.receive_data(data)
            if reader.is_done:
                self._accept(reader)
        except HandshakeError as error:
            self.refuse(error)

    def _accept(self, reader: ResponseReader) -> None:
        assert reader.response is not None
        assert self._offer is not None
        headers = reader.response.headers
        protocol = check_response(reader.response, self._key, self._protocols)
        self._use(self._offer.activate(headers.get("Sec-WebSocket-Extensions")))
        self.protocol = protocol
        self._head = reader.head
        # All that only the handshake needs.
        self.request = self._reader = self._offer = None
        self._key = ""
        self.ready_state = ReadyState.OPEN
        self._report(Open(self.protocol))
        # A server may send frames in the same segment as its head: they are frames.
        super().receive_data(reader.rest)

    def receive_eof(self) -> None:
        """Receive the end of the bytes."""
        if self.ready_state is not ReadyState.CONNECTING:
            super().receive_eof()
        elif self.response is not None:
            # A refusal whose body breaks off is a refusal all the same.
            self.refuse(unexpected_status("the server", self.response))
        else:
            self.refuse(ConnectionFailed("the server closed the connection in the handshake"))

    def abort(self) -> None:
        """Drop the events that nobody has taken; see `Driver.abort`."""
        if self.ready_state is ReadyState.CONNECTING:
            self.receive_eof()
        else:
            super().abort()

    def refuse(self, error: HandshakeError) -> None:
        """Give up: the connection can't be opened, for this reason and no other."""
        self._head = b""
        self._events = None
        self._fail_handshake(error)
