"""The server's end: which version answers a request that was read by others, or from bytes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..constants import (
    DEFAULT_MAX_LENGTH,
    HIXIE_75,
    HIXIE_76,
    HYBI_13,
    MAX_HEAD_LENGTH,
    CloseCode,
    ReadyState,
)
from ..errors import HandshakeError
from ..extensions.contract import Extension
from ..extensions.pipeline import check_extensions, respond
from .base import Driver
from .events import Close, Connect, Event, Open
from .handshake import (
    Origins,
    accept_response,
    check_origin,
    check_request,
    check_terms,
    choose_protocol,
    is_forwarded_secure,
    refuse_response,
)
from .hixie import Hixie75, Hixie76
from .hixie_handshake import find_version
from .http import HeaderFields, Headers, Request, Response, find_end_of_head, parse_request
from .prepared import PreparedMessage
from .rfc6455 import RFC6455


class RequestServer(RFC6455):
    """A server's driver for a request whose head has been read, as WSGI servers do.

    Args:
        request: the request head.
        protocols: the subprotocols that are supported.
        headers: header fields to add to the 101 response.
        origins: which web pages may connect: None for those of the same origin, `"*"` for
            all, or a list of origins.
        max_length: the longest message accepted, in bytes.
        extensions: the extensions that are supported, in the order they are applied.
        is_secure: whether the client speaks TLS: then a page of `http` is of another origin.

    Attributes:
        refusal: the response that refuses the request, or None if it is accepted. It is
            there at once, for servers that write responses themselves; `start()` sends it.
    """

    __slots__ = ("_acceptance", "_error", "refusal")

    is_server = True

    def __init__(
        self,
        request: Request,
        *,
        protocols: Sequence[str] = (),
        headers: HeaderFields = (),
        origins: Origins = None,
        max_length: int = DEFAULT_MAX_LENGTH,
        extensions: Sequence[Extension] = (),
        is_secure: bool = False,
    ) -> None:
        super().__init__(max_length=max_length)
        terms = check_terms(protocols, headers, origins)
        known = check_extensions(extensions)
        self._acceptance = b""
        self._error: HandshakeError | None = None
        self.refusal: Response | None = None
        try:
            check_request(request)
            check_origin(request, terms.origins, is_secure)
            self._use(respond(known, request.headers.get("Sec-WebSocket-Extensions")))
        except HandshakeError as error:
            self._error = error
            self.refusal = refuse_response(error)
            return
        self.protocol = choose_protocol(request, terms.protocols)
        response = accept_response(request, self.protocol, self.extensions, terms.headers)
        self._acceptance = response.serialize()

    def start(self) -> bool:
        """Send the response. Return False if it was sent before; frames come after it.

        After a refusal the connection is to be closed: the event is a `Close` with the
        `HandshakeError` in it.
        """
        if self.ready_state is not ReadyState.CONNECTING:
            return False
        if self.refusal is None:
            self._send(self._acceptance)
            self._acceptance = b""
            self.ready_state = ReadyState.OPEN
            self._tell(Open(self.protocol))
        else:
            self._send(self.refusal.serialize())
            self.ready_state = ReadyState.CLOSED
            self._tell(Close(CloseCode.ABNORMAL_CLOSURE, str(self._error), error=self._error))
        return True


_DRAFTS = {HIXIE_75: Hixie75, HIXIE_76: Hixie76}


def choose_driver(
    request: Request,
    url: str,
    *,
    versions: Sequence[str] = (HYBI_13,),
    extensions: Sequence[Extension] = (),
    **options: Any,
) -> RequestServer | Hixie75:
    """Return the driver of the version that a request is written in, or one that refuses it.

    Args:
        request: the request head.
        url: that of the connection, as the client has it.
        versions: the versions that are spoken: `hybi-13`, and `hixie-76` or `hixie-75` if
            clients are known that need them.
        extensions, options: those of `RequestServer`. The drafts have no extensions.

    Raises:
        TypeError, ValueError: an option is not what it should be.
    """
    check_versions(versions)
    version = find_version(request)
    if version in _DRAFTS and version in versions:
        check_extensions(extensions)
        return _DRAFTS[version](request, url, **options)
    is_secure = url.startswith("wss:")
    return RequestServer(request, extensions=extensions, is_secure=is_secure, **options)


def check_versions(versions: Sequence[str]) -> None:
    """Check the versions that an application names.

    Raises:
        TypeError: they are one string.
        ValueError: one is not known, or RFC 6455 is not among them.
    """
    if isinstance(versions, str):
        raise TypeError(f"versions must be a list of strings: [{versions!r}]")
    for version in versions:
        if version != HYBI_13 and version not in _DRAFTS:
            raise ValueError(f"not a version of the protocol: {version!r}")
    if HYBI_13 not in versions:
        raise ValueError(f"versions must have {HYBI_13!r} among them")


class Server(Driver):
    """A server's driver for a bare connection: it reads the request head itself.

    The event `Connect` carries the request. Answer it with `start()`, which sends the
    response, a 101 or a refusal. Bytes that are no request are refused at once.

    Args:
        is_secure: whether the bytes come through TLS, or the X-Forwarded-Proto (-Scheme,
            -Ssl) of each request says so.
        options: those of `RequestServer`, and `versions` of `choose_driver`.
    """

    __slots__ = (
        "_buffer",
        "_driver",
        "_ending",
        "_is_answered",
        "_is_eof",
        "_is_secure",
        "_options",
        "is_text_only",
        "version",
    )

    def __init__(self, *, is_secure: bool = False, **options: Any) -> None:
        super().__init__()
        self.version = HYBI_13
        self.is_text_only = False
        self._is_secure = is_secure
        # Header fields may be an iterator, which can be read only once.
        self._options = {**options, "headers": Headers(options.get("headers", ()))}
        # A wrong option should be known now, not when the first client comes.
        choose_driver(_NO_REQUEST, "", **self._options)
        # Until the answer: what has come, behind the request once that is read.
        self._buffer = b""
        self._driver: RequestServer | Hixie75 | None = None
        self._is_answered = False
        # What ends it before the answer.
        self._is_eof = False
        self._ending: HandshakeError | None = None

    def start(self) -> bool:
        """Send the response. Return False if there is no request, or it was sent before."""
        # After too much data some was dropped: there is no way on from there.
        if self._driver is None or self._ending is not None or not self._driver.start():
            return False
        self._is_answered = True
        self._driver.receive_data(self._buffer)
        if self._is_eof:
            self._driver.receive_eof()
        self._buffer = b""
        self._follow(self._driver)
        return True

    def receive_data(self, data: bytes) -> None:
        """Take in bytes: the request head, then frames."""
        if self._is_answered:
            if self._driver is not None:
                self._driver.receive_data(data)
        elif self._ending is None and not self._is_eof:
            searched = len(self._buffer)
            self._buffer += data
            try:
                self._read_request(searched)
            except HandshakeError as error:
                self._ending = error

    def _read_request(self, searched: int) -> None:
        if self._driver is not None:
            if len(self._buffer) > MAX_HEAD_LENGTH:
                raise HandshakeError("too much data before the handshake is done")
            return
        end = find_end_of_head(self._buffer, searched=searched)
        if end is None:
            return
        request = parse_request(self._buffer[:end])
        headers = request.headers
        is_secure = self._is_secure or is_forwarded_secure(
            headers.get("X-Forwarded-Proto"),
            headers.get("X-Forwarded-Scheme"),
            headers.get("X-Forwarded-Ssl"),
        )
        url = f"{'wss' if is_secure else 'ws'}://{headers.get('Host')}{request.target}"
        self._driver = choose_driver(request, url, **self._options)
        self._buffer = self._buffer[end:]
        self._tell(Connect(request))

    def receive_eof(self) -> None:
        """Take in the end of the bytes."""
        if not self._is_answered:
            self._is_eof = True
        elif self._driver is not None:
            self._driver.receive_eof()

    def abort(self) -> None:
        """Take in that the connection is gone, and that nobody wants what has not been told."""
        if self._is_answered and self._driver is not None:
            self._driver.abort()
        else:
            self.receive_eof()

    def events(self) -> list[Event]:
        """Return what has happened since the last call; the end alone and last."""
        events, self._events = self._events, None
        if events:
            return events
        if not self._is_answered:
            return [self._end()] if self._is_eof or self._ending is not None else []
        if self._driver is None:
            return []
        told = self._driver.events()
        self._follow(self._driver)
        return told

    def _end(self) -> Close:
        # There was no answer, and there will be none but this.
        error = self._ending
        self._is_answered = True
        self.ready_state = ReadyState.CLOSED
        self._driver = None
        self._buffer = b""
        if error is None:
            return Close(CloseCode.ABNORMAL_CLOSURE)
        self._send(refuse_response(error).serialize())
        return Close(CloseCode.ABNORMAL_CLOSURE, str(error), error=error)

    def data_to_send(self) -> bytes:
        """Return the bytes to send to the peer, once."""
        data = super().data_to_send()
        return data + self._driver.data_to_send() if self._driver else data

    def _follow(self, driver: RequestServer | Hixie75) -> None:
        self.version = driver.version
        self.is_text_only = driver.is_text_only
        self.ready_state = driver.ready_state
        self.protocol = driver.protocol
        self.extensions = driver.extensions

    def text(self, data: str) -> bool:
        """Send a text message. Return False, and send nothing, unless open."""
        return self._driver is not None and self._driver.text(data)

    def binary(self, data: bytes) -> bool:
        """Send a binary message. Return False, and send nothing, unless open."""
        return self._driver is not None and self._driver.binary(data)

    def send_prepared(self, message: PreparedMessage) -> bool:
        """Send a message that goes to many connections. Return False unless open."""
        return self._driver is not None and self._driver.send_prepared(message)

    def ping(self, data: bytes = b"") -> bool:
        """Send a ping of at most 125 bytes. Return False unless open."""
        return self._driver is not None and self._driver.ping(data)

    def pong(self, data: bytes = b"") -> bool:
        """Send a pong of at most 125 bytes. Return False unless open."""
        return self._driver is not None and self._driver.pong(data)

    def hold_pongs(self, hold: bool) -> None:
        """While `hold`, answer no pings; afterwards, the last of those that came."""
        if self._driver is not None:
            self._driver.hold_pongs(hold)

    def close(self, code: int = CloseCode.NORMAL_CLOSURE, reason: str = "") -> bool:
        """Begin the closing handshake. Return False unless open."""
        if self._driver is None or not self._driver.close(code, reason):
            return False
        self._follow(self._driver)
        return True

    def leave(self, code: int, reason: str = "") -> bool:
        """Close because of something at our end: 1011 or 1001. Return False unless open."""
        if self._driver is None or not self._driver.leave(code, reason):
            return False
        self._follow(self._driver)
        return True

    @property
    def is_ending(self) -> bool:
        """Whether the end is all that is left to tell."""
        if self._events is not None:
            return False
        if not self._is_answered:
            return self._is_eof or self._ending is not None
        return self._driver is not None and self._driver.is_ending


_NO_REQUEST = Request("GET", "/", Headers())
