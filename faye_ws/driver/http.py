"""HTTP heads (RFC 9112), as far as the opening handshake needs them.

Invariants:
- The length of a head is checked before it is parsed, and parsing takes linear time.
- A head that violates the grammar is a `HandshakeError`.
- No header value that is sent has a line break or NUL in it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from http import HTTPStatus
from itertools import chain
from typing import NamedTuple

from ..constants import MAX_HEAD_LENGTH, MAX_HEADER_FIELDS
from ..errors import HandshakeError, HeadTooLarge

_TOKEN_CHARS = frozenset(
    "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
)
_END_OF_HEAD = b"\r\n\r\n"

HeaderFields = Mapping[str, str] | Iterable[tuple[str, str]]


class Headers:
    """Header fields: names are compared without case, and fields of one name keep their order.

    Raises:
        ValueError: a name is not a token, or a value has a CR, LF or NUL or is not Latin-1.
    """

    __slots__ = ("_fields",)

    def __init__(self, fields: HeaderFields = ()) -> None:
        pairs = fields.items() if isinstance(fields, Mapping) else fields
        self._fields: dict[str, list[tuple[str, str]]] = {}
        for name, value in pairs:
            self.append(name, value)

    def append(self, name: str, value: str) -> None:
        """Add a field; others of the same name stay."""
        if not is_token(name):
            raise ValueError(f"not a header name: {name!r}")
        value = str(value)
        if "\r" in value or "\n" in value or "\0" in value:
            raise ValueError(f"a line break or NUL in the value of {name}")
        if not value.isascii() and max(value) > "\xff":
            raise ValueError(f"the value of {name} is not Latin-1: {value!r}")
        self._fields.setdefault(name.lower(), []).append((name, value))

    def get(self, name: str, default: str | None = None) -> str | None:
        """Return the values of a name, joined by commas (RFC 9110, 5.3), or `default`."""
        fields = self._fields.get(name.lower())
        return ", ".join([value for _, value in fields]) if fields else default

    def get_all(self, name: str) -> list[str]:
        """Return the values of all fields of a name."""
        return [value for _, value in self._fields.get(name.lower(), ())]

    def __contains__(self, name: str) -> bool:
        return name.lower() in self._fields

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return chain.from_iterable(self._fields.values())

    def __len__(self) -> int:
        return sum(map(len, self._fields.values()))

    def __repr__(self) -> str:
        return f"Headers({list(self)!r})"


class Request(NamedTuple):
    """A request head: `target` is the path and query, `version` is like `HTTP/1.1`."""

    method: str
    target: str
    headers: Headers
    version: str = "HTTP/1.1"

    def serialize(self) -> bytes:
        """Return the bytes of the head."""
        return _serialize_head(f"{self.method} {self.target} {self.version}", self.headers)


class Response(NamedTuple):
    """A response head and its body; an empty `phrase` stands for the usual one."""

    status: int
    headers: Headers
    body: bytes = b""
    phrase: str = ""
    version: str = "HTTP/1.1"

    @property
    def status_line(self) -> str:
        """The status and its phrase: `101 Switching Protocols`."""
        try:
            return f"{self.status} {self.phrase or HTTPStatus(self.status).phrase}"
        except ValueError:
            return f"{self.status} Unknown"

    def serialize(self) -> bytes:
        """Return the bytes of head and body."""
        return _serialize_head(f"HTTP/1.1 {self.status_line}", self.headers) + self.body


def _serialize_head(first_line: str, headers: Headers) -> bytes:
    lines = [first_line, *(f"{name}: {value}" for name, value in headers), "", ""]
    return "\r\n".join(lines).encode("latin-1")


def find_end_of_head(
    buffer: bytes, max_length: int = MAX_HEAD_LENGTH, *, searched: int = 0
) -> int | None:
    """Return the length of the head that `buffer` begins with, or None if it is incomplete.

    Args:
        searched: how many bytes of the buffer an earlier call has searched.

    Raises:
        HeadTooLarge: the head is longer than `max_length` bytes.
    """
    start = max(searched - len(_END_OF_HEAD) + 1, 0)
    end = buffer.find(_END_OF_HEAD, start, max_length)
    if end >= 0:
        return end + len(_END_OF_HEAD)
    if len(buffer) >= max_length:
        raise HeadTooLarge(f"a head of more than {max_length} bytes")
    return None


def parse_request(head: bytes) -> Request:
    """Parse a request head.

    Raises:
        HandshakeError: it is malformed.
    """
    first_line, headers = _parse_head(head)
    words = first_line.split(" ")
    if len(words) != 3 or not all(words) or not is_token(words[0]):
        raise HandshakeError(f"not a request line: {first_line[:100]!r}")
    method, target, version = words
    if not (target.isascii() and target.isprintable()):
        raise HandshakeError(f"not a request target: {target[:100]!r}")
    _check_version(version)
    return Request(method, target, headers, version)


def parse_response(head: bytes) -> Response:
    """Parse a response head.

    Raises:
        HandshakeError: it is malformed.
    """
    first_line, headers = _parse_head(head)
    version, _, rest = first_line.partition(" ")
    _check_version(version)
    status = rest[:3]
    if not (len(status) == 3 and status.isascii() and status.isdigit() and rest[3:4] in ("", " ")):
        raise HandshakeError(f"not a status line: {first_line[:100]!r}")
    return Response(int(status), headers, version=version)


def _check_version(version: str) -> None:
    name, _, number = version.partition("/")
    digits = number[:1] + number[2:]
    # isdigit() alone is also true for the superscripts of Latin-1.
    is_number = len(digits) == 2 and digits.isascii() and digits.isdigit()
    if name != "HTTP" or number[1:2] != "." or not is_number:
        raise HandshakeError(f"not a version of HTTP: {version[:100]!r}")


def _parse_head(head: bytes) -> tuple[str, Headers]:
    first_line, *lines = head[: -len(_END_OF_HEAD)].decode("latin-1").split("\r\n")
    if len(lines) > MAX_HEADER_FIELDS:
        raise HeadTooLarge(f"more than {MAX_HEADER_FIELDS} header fields")
    headers = Headers()
    for line in lines:
        name, colon, value = line.partition(":")
        # RFC 9112, 5.2: a line that begins with white space continues the line before it, an
        # obsolete syntax: "A server MUST either reject the message [...]".
        if not colon:
            raise HandshakeError(f"not a header field: {line[:100]!r}")
        try:
            headers.append(name, value.strip(" \t"))
        except ValueError as error:
            raise HandshakeError(str(error)) from None
    return first_line, headers


def is_token(text: str) -> bool:
    """Tell whether `text` is a token (RFC 9110, 5.6.2)."""
    return bool(text) and _TOKEN_CHARS.issuperset(text)


def parse_list(value: str | None) -> list[str]:
    """Split a header value at its commas, without empty elements (RFC 9110, 5.6.1)."""
    return [part for part in (part.strip(" \t") for part in (value or "").split(",")) if part]


def has_token(value: str | None, token: str) -> bool:
    """Tell whether a list of tokens contains `token`, without regard to case."""
    return token in (part.lower() for part in parse_list(value))
