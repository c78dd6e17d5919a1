"""The opening handshake (RFC 6455, 4) of both sides, as pure functions.

Invariants:
- A handshake is accepted or refused by the head of the request (or response) alone.
- Every refusal is a `HandshakeError` whose message may be shown to the peer.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from typing import NamedTuple
from urllib.parse import urlsplit

from ..constants import DEFAULT_PORTS, HANDSHAKE_GUID, HYBI_13, PROTOCOL_VERSION
from ..errors import HandshakeError, InvalidStatus, OriginNotAllowed, UnsupportedVersion
from .hixie_handshake import find_version
from .http import HeaderFields, Headers, Request, Response, has_token, is_token, parse_list

# Which web pages may connect: those of the same origin (None), all ("*"), or those listed.
Origins = Sequence[str] | str | None

# Header fields that an application can't add: the handshake sets them, or they would be false.
_RESERVED = ("host", "upgrade", "connection", "content-length", "transfer-encoding")
_RESERVED_PREFIXES = ("sec-websocket-", "websocket-")
_SECURE_SCHEMES = ("https", "wss")


def compute_accept(key: str) -> str:
    """Return the Sec-WebSocket-Accept that answers a Sec-WebSocket-Key (4.2.2, 5.4)."""
    digest = hashlib.sha1(key.encode("latin-1") + HANDSHAKE_GUID, usedforsecurity=False).digest()
    return base64.b64encode(digest).decode()


def is_upgrade(method: str, upgrade: str | None, connection: str | None) -> bool:
    """Tell whether a request asks for WebSocket, of any version."""
    return (
        method == "GET"
        and upgrade is not None
        and upgrade.strip(" \t").lower() == "websocket"
        and has_token(connection, "upgrade")
    )


def check_upgrade(request: Request) -> None:
    """Check what all versions require of a request for WebSocket (4.2.1).

    Raises:
        HandshakeError: a requirement is not met.
    """
    headers = request.headers
    if request.method != "GET":
        raise HandshakeError("a WebSocket handshake must be a GET request")
    # 4.2.1 says "HTTP/1.1 or higher", but HTTP/2 and later have no Upgrade (RFC 9113, 8.2.2).
    if request.version != "HTTP/1.1":
        raise HandshakeError(f"a WebSocket handshake needs HTTP/1.1, not {request.version}")
    hosts = headers.get_all("Host")
    if not any(hosts):
        raise HandshakeError("the Host header is missing")
    if len(hosts) > 1 or "," in hosts[0]:
        # RFC 9112, 3.2: "A server MUST respond with a 400 (Bad Request) status code to [...]
        # any request message that contains more than one Host header field line". WSGI
        # servers join such lines with a comma.
        raise HandshakeError("more than one Host header")
    if (headers.get("Upgrade") or "").lower() != "websocket":
        raise HandshakeError("the Upgrade header must be 'websocket'")
    if not has_token(headers.get("Connection"), "upgrade"):
        raise HandshakeError("the Connection header must have 'Upgrade'")
    if has_body(headers):
        # The bytes behind the head are frames to us, but a body to a proxy that obeys these
        # fields: a client could smuggle a request past one of the two.
        raise HandshakeError("a WebSocket handshake must not have a body")


def has_body(headers: Headers) -> bool:
    """Tell whether the header fields announce a body. An invalid length counts as one.

    RFC 9112, 6.3: "The presence of a message body in a request is signaled by a Content-Length
    or Transfer-Encoding header field."
    """
    lengths = headers.get_all("Content-Length")
    return "Transfer-Encoding" in headers or any(length != "0" for length in lengths)


def check_request(request: Request) -> None:
    """Check that a request is an opening handshake of RFC 6455 (4.2.1).

    Raises:
        HandshakeError: it is not.
        UnsupportedVersion: it is an opening handshake of another version.
    """
    check_upgrade(request)
    headers = request.headers
    version = find_version(request)
    if version != HYBI_13:
        raise UnsupportedVersion(
            f"{version} is not spoken here: the Sec-WebSocket-Version must be {PROTOCOL_VERSION}"
        )
    if headers.get("Sec-WebSocket-Version") != PROTOCOL_VERSION:
        # 4.2.2: "If this version does not match a version understood by the server, the
        # server MUST abort the WebSocket handshake [...] and instead send an appropriate
        # HTTP error code (such as 426 Upgrade Required)".
        raise UnsupportedVersion(f"the Sec-WebSocket-Version must be {PROTOCOL_VERSION}")
    if not _is_key(headers.get("Sec-WebSocket-Key") or ""):
        raise HandshakeError("the Sec-WebSocket-Key must be 16 bytes in base64")
    for protocol in parse_list(headers.get("Sec-WebSocket-Protocol")):
        if not is_token(protocol):
            raise HandshakeError("the Sec-WebSocket-Protocol is not a list of tokens")


def _is_key(key: str) -> bool:
    # 4.2.1: "a base64-encoded [...] value that, when decoded, is 16 bytes in length".
    try:
        return len(base64.b64decode(key, validate=True)) == 16
    except ValueError:
        return False


def is_forwarded_secure(proto: str | None, scheme: str | None, ssl: str | None) -> bool:
    """Tell whether a proxy says that the client speaks TLS to it.

    Args:
        proto, scheme, ssl: the headers X-Forwarded-Proto, -Scheme and -Ssl. In a list of
            proxies the first is the one nearest to the client; Traefik says `wss`.
    """
    schemes = [*parse_list(proto)[:1], scheme or ""]
    return ssl == "on" or any(scheme.lower() in _SECURE_SCHEMES for scheme in schemes)


def check_origin(request: Request, origins: Origins, is_secure: bool = False) -> None:
    """Check that the web page a request comes from may connect (10.2).

    Browsers let every page open connections to every host, with the user's cookies, and
    they always send an Origin. A request without one does not come from a page: it is
    allowed.

    Args:
        origins: None allows pages of the same origin, `"*"` all pages, and a sequence pages
            of the origins in it, such as `"https://example.com"`.
        is_secure: whether the client is known to speak TLS.

    Raises:
        OriginNotAllowed: the page may not connect.
    """
    origin = request.headers.get("Origin")
    if origin is None or (origins is not None and "*" in origins):
        return
    if origins is None:
        # X-Forwarded-Host can be trusted here: a page can't set it.
        hosts = request.headers.get_all("Host") + parse_list(
            request.headers.get("X-Forwarded-Host")
        )
        allowed = any(_is_same_origin(origin, host, is_secure) for host in hosts)
    else:
        allowed = origin.lower() in (known.lower().rstrip("/") for known in origins)
    if not allowed:
        raise OriginNotAllowed(f"the origin {origin[:200]} is not allowed")


def _is_same_origin(origin: str, host: str, is_secure: bool) -> bool:
    # An `http` page can be forged on the network, so it never has the origin of a server
    # that speaks TLS. An `https` page may have that of a server without TLS: a proxy may
    # terminate TLS without saying so. A host without a port has the page's default port.
    try:
        page = urlsplit(origin)
        if page.scheme not in (("https",) if is_secure else ("http", "https")):
            return False
        here = urlsplit(f"{page.scheme}://{host}")
        default = DEFAULT_PORTS[page.scheme]
        return (
            page.hostname is not None
            and page.hostname == here.hostname
            and (page.port or default) == (here.port or default)
        )
    except ValueError:
        return False


def choose_protocol(request: Request, supported: Sequence[str]) -> str | None:
    """Return the first subprotocol of the client's that we support (4.2.2), or None."""
    requested = parse_list(request.headers.get("Sec-WebSocket-Protocol"))
    return next((protocol for protocol in requested if protocol in supported), None)


def accept_response(
    request: Request, protocol: str | None, extensions: str, extra: Headers
) -> Response:
    """Return the 101 response to a checked request (4.2.2)."""
    key = request.headers.get("Sec-WebSocket-Key") or ""
    headers = Headers(
        [
            ("Upgrade", "websocket"),
            ("Connection", "Upgrade"),
            ("Sec-WebSocket-Accept", compute_accept(key)),
        ]
    )
    if protocol is not None:
        headers.append("Sec-WebSocket-Protocol", protocol)
    if extensions:
        headers.append("Sec-WebSocket-Extensions", extensions)
    for name, value in extra:
        headers.append(name, value)
    return Response(101, headers)


def refuse_response(error: HandshakeError) -> Response:
    """Return the response that refuses a handshake, after which the connection closes."""
    body = f"{error}\n".encode("latin-1", errors="replace")
    headers = Headers(
        [
            ("Content-Type", "text/plain; charset=iso-8859-1"),
            ("Content-Length", str(len(body))),
            ("Connection", "close"),
        ]
    )
    if isinstance(error, UnsupportedVersion):
        # 4.4: "the server MUST respond with a |Sec-WebSocket-Version| header field".
        headers.append("Sec-WebSocket-Version", PROTOCOL_VERSION)
        # RFC 9110, 15.5.22: "The server MUST send an Upgrade header field in a 426 response".
        headers.append("Upgrade", "websocket")
    return Response(error.status, headers, body)


def unexpected_status(who: str, response: Response) -> InvalidStatus:
    """Return the error for a response that does not open the connection or tunnel."""
    said = " ".join(response.body[:200].decode("utf-8", errors="replace").split())
    sentence = f"{who} answered {response.status_line}"
    sentence += f": {said}" if said else ""
    return InvalidStatus(sentence, response.status, response.body)


def check_response(response: Response, key: str, protocols: Sequence[str]) -> str | None:
    """Check that a response opens the connection (4.1), and return the subprotocol or None.

    Raises:
        HandshakeError: it does not.
        InvalidStatus: its status is not 101.
    """
    headers = response.headers
    if response.status != 101:
        raise unexpected_status("the server", response)
    if response.version != "HTTP/1.1":
        # RFC 9110, 15.2: "a server MUST NOT send a 1xx response to an HTTP/1.0 client", and
        # HTTP/2 and later have no 101.
        raise HandshakeError(f"the server upgrades {response.version}, not HTTP/1.1")
    if (headers.get("Upgrade") or "").lower() != "websocket":
        raise HandshakeError("the server's Upgrade header is not 'websocket'")
    if not has_token(headers.get("Connection"), "upgrade"):
        raise HandshakeError("the server's Connection header does not have 'Upgrade'")
    if headers.get("Sec-WebSocket-Accept") != compute_accept(key):
        raise HandshakeError("the server's Sec-WebSocket-Accept does not match the key")
    protocol = headers.get("Sec-WebSocket-Protocol")
    if protocol is not None and protocol not in protocols:
        raise HandshakeError("the server chose a subprotocol that was not asked for")
    return protocol


def check_protocols(protocols: Sequence[str]) -> tuple[str, ...]:
    """Check an application's list of subprotocols, and return it as a tuple.

    Raises:
        TypeError: it is one string, or an element is not a string.
        ValueError: an element is not a token, or is there twice (4.1).
    """
    if isinstance(protocols, str):
        raise TypeError(f"protocols must be a list of strings: [{protocols!r}]")
    names = tuple(protocols)
    for name in names:
        if not isinstance(name, str):
            raise TypeError(f"a subprotocol must be a str, not {type(name).__name__}")
        if not is_token(name):
            raise ValueError(f"not a subprotocol: {name!r}")
    if len(set(names)) != len(names):
        raise ValueError("the same subprotocol twice")
    return names


class Terms(NamedTuple):
    """An application's options for the handshakes with its clients."""

    protocols: tuple[str, ...]
    headers: Headers
    origins: Origins


def check_terms(protocols: Sequence[str], headers: HeaderFields, origins: Origins) -> Terms:
    """Check an application's options for handshakes.

    Raises:
        TypeError, ValueError: one of them is invalid.
    """
    if isinstance(origins, str) and origins != "*":
        raise TypeError(f"origins must be None, '*' or a list of strings: [{origins!r}]")
    return Terms(check_protocols(protocols), check_headers(headers), origins)


def check_headers(headers: HeaderFields) -> Headers:
    """Check the header fields that an application adds to a handshake.

    Raises:
        ValueError: one is invalid, or is set by the handshake itself.
    """
    extra = Headers(headers)
    for name, _ in extra:
        if name.lower() in _RESERVED or name.lower().startswith(_RESERVED_PREFIXES):
            raise ValueError(f"the header {name} belongs to the handshake")
    return extra
