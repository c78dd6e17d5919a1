"""The server's end: which version answers a request that was read by others, or from bytes."""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter
from typing import Any

from ..constants import (
    DEFAULT_MAX_LENGTH,
    HIXIE_75,
    HIXIE_76,
    HYBI_13,
    MAX_HEAD_LENGTH,
    CloseCode,
)
from ..errors import HandshakeError
from ..extensions.contract import Extension
from ..extensions.pipeline import check_extensions, respond
from .answering import Answering, find_answer
from .base import Driver
from .events import Close, Connect, Event
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
from .incoming import Unread
from .rfc6455 import RFC6455


class RequestServer(Answering, RFC6455):
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

    Its `refusal` is the response that refuses the request, or None if it is accepted.
    """

    __slots__ = ("_answer",)

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

        def accept() -> Response:
            check_request(request)
            check_origin(request, terms.origins, is_secure)
            self._use(respond(known, request.headers.get("Sec-WebSocket-Extensions")))
            self.protocol = choose_protocol(request, terms.protocols)
            return accept_response(request, self.protocol, self.extensions, terms.headers)

        self._answer = find_answer(accept)


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


class _RequestReader(Driver):
    """What a server's driver for a bare connection is until the request is answered.

    Attributes:
        request: the request, once its head has come.
        rest: what has come behind it, until the end.
    """

    __slots__ = ("_head", "request", "rest")

    version = HYBI_13

    def __init__(self) -> None:
        super().__init__()
        self._head = b""
        self.request: Request | None = None
        self.rest: Unread | None = None

    def start(self) -> bool:
        return False  # pragma: no cover - the server asks the driver that it has chosen

    def receive_data(self, data: bytes) -> None:
        if self._close is not None:
            return
        try:
            if self.rest is None:
                self._read_head(data)
                return
            self.rest.add(data)
            if len(self.rest) > MAX_HEAD_LENGTH:
                raise HandshakeError("too much data before the handshake is done")
        except HandshakeError as error:
            self._send(refuse_response(error).serialize())
            self._fail_handshake(error)

    def _read_head(self, data: bytes) -> None:
        searched = len(self._head)
        head = self._head = self._head + data
        end = find_end_of_head(head, searched=searched)
        if end is not None:
            self.request = parse_request(head[:end])
            self.rest = Unread(head, end)
            self._head = b""
            self._report(Connect(self.request))

    def receive_eof(self) -> None:
        if self.rest is not None:
            # A peer may say all it has to say in one go: the request can still be answered,
            # until the end has been reported.
            self.rest.is_last = True
            self.unread = self.rest
        elif self._close is None:
            self._end(Close(CloseCode.ABNORMAL_CLOSURE))

    def events(self) -> list[Event]:
        if self._events is None and self.unread is not None:
            self._end(Close(CloseCode.ABNORMAL_CLOSURE))
        return super().events()

    def _end(self, close: Close) -> None:
        super()._end(close)
        self._head = b""
        self.rest = None


class Server(Driver):
    """A server's driver for a bare connection: it reads the request head itself.

    The event `Connect` carries the request. Answer it with `start()`, which sends the
    response, a 101 or a refusal. Bytes that are no request are refused at once.

    Args:
        is_secure: whether the bytes come through TLS, or the X-Forwarded-Proto (-Scheme,
            -Ssl) of each request says so.
        options: those of `RequestServer`, and `versions` of `choose_driver`.
    """

    __slots__ = ("_driver", "_is_secure", "_options")

    def __init__(self, *, is_secure: bool = False, **options: Any) -> None:
        # All attributes but these are those of the driver in use: see below.
        self._driver: Driver = _RequestReader()
        self._is_secure = is_secure
        # Header fields may be an iterator, which can be read only once.
        self._options = {**options, "headers": Headers(options.get("headers", ()))}
        # A wrong option should be known now, not when the first client comes.
        choose_driver(_NO_REQUEST, "", **self._options)

    def start(self) -> bool:
        """Send the response. Return False if there is no request, or it was sent before.

        It answers the event `Connect`, which is not reported afterwards.
        """
        reader = self._driver
        if not isinstance(reader, _RequestReader) or reader.request is None or reader.rest is None:
            return False
        rest = reader.rest
        self._driver = driver = self._choose(reader.request)
        driver.start()
        driver.receive_data(bytes(rest.data[rest.start :]))
        if rest.is_last:
            driver.receive_eof()
        return True

    def _choose(self, request: Request) -> Driver:
        headers = request.headers
        is_secure = self._is_secure or is_forwarded_secure(
            headers.get("X-Forwarded-Proto"),
            headers.get("X-Forwarded-Scheme"),
            headers.get("X-Forwarded-Ssl"),
        )
        url = f"{'wss' if is_secure else 'ws'}://{headers.get('Host')}{request.target}"
        return choose_driver(request, url, **self._options)

    def receive_data(self, data: bytes) -> None:
        """Receive bytes: the request head, then frames."""
        self._driver.receive_data(data)

    def receive_eof(self) -> None:
        """Receive the end of the bytes."""
        self._driver.receive_eof()


# All else that a server is asked, attributes and methods, the driver in use is asked.
for _name in {*Driver.__annotations__, *vars(Driver)} - set(vars(Server)):
    if not _name.startswith("_"):
        _of_driver = attrgetter(f"_driver.{_name}")
        setattr(Server, _name, property(_of_driver, doc=getattr(Driver, _name, Driver).__doc__))

_NO_REQUEST = Request("GET", "/", Headers())
