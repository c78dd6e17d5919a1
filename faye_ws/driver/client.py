"""The client's end of RFC 6455."""

from __future__ import annotations

import base64
import os
from collections.abc import Sequence

from ..constants import (
    DEFAULT_MAX_LENGTH,
    MAX_HEAD_LENGTH,
    PROTOCOL_VERSION,
    CloseCode,
    ReadyState,
)
from ..errors import ConnectionFailed, HandshakeError
from ..extensions.contract import Extension
from ..extensions.pipeline import Offer, check_extensions
from .events import Close, Open
from .handshake import check_headers, check_protocols, check_response, refusal
from .http import (
    HeaderFields,
    Headers,
    Request,
    Response,
    find_end_of_head,
    parse_body,
    parse_response,
)
from .rfc6455 import RFC6455
from .uri import Address, parse_url

# Bytes of the body of a refusal that are looked at.
_MAX_BODY = 1024


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

    __slots__ = ("_head", "_key", "_offer", "_protocols", "_refusal", "request")

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
        # What has come of the response's head; when the connection is open all of it, which
        # is smaller than what it says.
        self._head: bytes | None = None
        self._refusal: Response | None = None
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
        if self.request is None and self._head:
            return parse_response(self._head)
        return self._refusal

    def start(self) -> bool:
        """Send the request. Return False if it was sent before."""
        if self.request is None or self._head is not None:
            return False
        self._head = b""
        self._send(self.request.serialize())
        return True

    def receive_data(self, data: bytes) -> None:
        """Take in bytes: the response head, then frames."""
        if self.ready_state is not ReadyState.CONNECTING:
            super().receive_data(data)
            return
        head = self._head = (self._head or b"") + data
        try:
            while (end := find_end_of_head(head, MAX_HEAD_LENGTH)) is not None:
                response = parse_response(head[:end])
                if response.status == 101 or not 100 <= response.status < 200:
                    self._receive_response(response, head[end:])
                    return
                # RFC 9110, 15.2: "A client MUST be able to parse one or more 1xx responses
                # received prior to a final response".
                head = self._head = head[end:]
        except HandshakeError as error:
            self.refuse(error)

    def _receive_response(self, response: Response, rest: bytes) -> None:
        """Take in the final response, and what has come behind its head."""
        if response.status != 101:
            # The body of a refusal often says more than the status.
            body, is_whole = parse_body(response, rest, _MAX_BODY)
            response = response._replace(body=body)
            if not is_whole:
                self._refusal = response
                return
        self._accept(response, rest)

    def _accept(self, response: Response, rest: bytes) -> None:
        assert self._head is not None
        assert self._offer is not None
        self._refusal = response
        protocol = check_response(response, self._key, self._protocols)
        self._use(self._offer.activate(response.headers.get("Sec-WebSocket-Extensions")))
        self.protocol = protocol
        self._head = self._head[: len(self._head) - len(rest)]
        # All that only the handshake needs.
        self.request = self._refusal = self._offer = None
        self._key = ""
        self.ready_state = ReadyState.OPEN
        self._tell(Open(self.protocol))
        # A server may send frames in the same segment as its head: they are frames.
        super().receive_data(rest)

    def receive_eof(self) -> None:
        """Take in the end of the bytes."""
        if self.ready_state is not ReadyState.CONNECTING:
            super().receive_eof()
        elif self._refusal is not None:
            # A refusal whose body breaks off is a refusal all the same.
            self.refuse(refusal("the server", self._refusal))
        else:
            self.refuse(ConnectionFailed("the server closed the connection in the handshake"))

    def refuse(self, error: HandshakeError) -> None:
        """Give up: the connection can't be opened, for this reason and no other."""
        self._head = b""
        self.ready_state = ReadyState.CLOSED
        self._events = None
        self._tell(Close(CloseCode.ABNORMAL_CLOSURE, str(error), error=error))

