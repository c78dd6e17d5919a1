"""The Sec-WebSocket-Extensions header (RFC 6455, 9.1), parsed and serialized.

    extension-list  = 1#extension
    extension       = extension-token *( ";" extension-param )
    extension-token = registered-token
    extension-param = token [ "=" (token | quoted-string) ]

Invariants:
- Parsing is one pass from left to right, in linear time.
- There are limits for the length of the header, the number of extensions, and the number of
  parameters of each.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from ..errors import HandshakeError

# Each of these can match in one way only, so none backtracks.
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_QUOTED = re.compile(r'"((?:[\t\x20\x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t\x20-\x7e\x80-\xff])*)"')
_SPACES = re.compile(r"[ \t]*")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]{0,15})(?:\.[0-9]{1,15})?")
_ESCAPE = re.compile(r"\\(.)")

# Bytes of the header, extensions in it, and parameters of each; browsers send about 50
# bytes with one extension of two parameters.
MAX_LENGTH = 8 * 1024
MAX_EXTENSIONS = 32
MAX_PARAMETERS = 32

# The value of a parameter: True if it has none, and a list if the parameter is repeated.
Value = str | int | float | bool
Parameters = Mapping[str, Value | Sequence[Value]]


def parse_header(header: str) -> list[tuple[str, dict[str, Value | list[Value]]]]:
    """Parse a header into pairs of an extension's name and its parameters, in order.

    Numbers become `int` or `float`.

    Raises:
        HandshakeError: the header is malformed, or over a limit.
    """
    if len(header) > MAX_LENGTH:
        raise HandshakeError(f"a Sec-WebSocket-Extensions header over {MAX_LENGTH} bytes")
    extensions: list[tuple[str, dict[str, Value | list[Value]]]] = []
    position = _skip_spaces(header, 0)
    while position < len(header):
        if header[position] == ",":
            # RFC 9110, 5.6.1.2: empty elements of a list are to be ignored.
            position = _skip_spaces(header, position + 1)
            continue
        name, parameters, position = _parse_extension(header, position)
        extensions.append((name, parameters))
        if len(extensions) > MAX_EXTENSIONS:
            raise HandshakeError(f"more than {MAX_EXTENSIONS} extensions")
        if position < len(header) and header[position] != ",":
            raise _bad(position)
    return extensions


def _parse_extension(header: str, position: int) -> tuple[str, dict[str, Value | list[Value]], int]:
    name, position = _parse_token(header, position)
    parameters: dict[str, Value | list[Value]] = {}
    count = 0
    while header[position : position + 1] == ";":
        position = _skip_spaces(header, position + 1)
        key, position = _parse_token(header, position)
        value: Value = True
        if header[position : position + 1] == "=":
            position = _skip_spaces(header, position + 1)
            value, position = _parse_value(header, position)
        _add(parameters, key, value)
        count += 1
        if count > MAX_PARAMETERS:
            raise HandshakeError(f"an extension with more than {MAX_PARAMETERS} parameters")
    return name, parameters, position


def _parse_token(header: str, position: int) -> tuple[str, int]:
    match = _TOKEN.match(header, position)
    if match is None:
        raise _bad(position)
    return match[0], _skip_spaces(header, match.end())


def _parse_value(header: str, position: int) -> tuple[Value, int]:
    match = _QUOTED.match(header, position)
    if match is None:
        text, position = _parse_token(header, position)
    else:
        text = _ESCAPE.sub(r"\1", match[1])
        position = _skip_spaces(header, match.end())
    return _to_number(text), position


def _to_number(text: str) -> Value:
    if _NUMBER.fullmatch(text) is None:
        return text
    number = float(text) if "." in text else int(text)
    # A number that Python would write differently, such as 1.10, stays text.
    return number if str(number) == text else text


def _add(parameters: dict[str, Value | list[Value]], key: str, value: Value) -> None:
    if key not in parameters:
        parameters[key] = value
        return
    known = parameters[key]
    if isinstance(known, list):
        known.append(value)
    else:
        parameters[key] = [known, value]


def _skip_spaces(header: str, position: int) -> int:
    match = _SPACES.match(header, position)
    return match.end() if match else position


def _bad(position: int) -> HandshakeError:
    return HandshakeError(f"the Sec-WebSocket-Extensions header is wrong at byte {position + 1}")


def serialize_extension(name: str, parameters: Parameters) -> str:
    """Serialize an extension and its parameters, without those that are False or None.

    Raises:
        ValueError: a name is not a token, or a value can't be quoted.
    """
    parts = [name]
    for key, values in parameters.items():
        several = isinstance(values, Sequence) and not isinstance(values, str)
        for value in values if several else [values]:  # type: ignore[union-attr]
            if value is True:
                parts.append(key)
            elif value is not False and value is not None:
                parts.append(f"{key}={_serialize_value(str(value))}")
    for part in (name, *parameters):
        if _TOKEN.fullmatch(part) is None:
            raise ValueError(f"not a token: {part!r}")
    return "; ".join(parts)


def _serialize_value(text: str) -> str:
    if _TOKEN.fullmatch(text):
        return text
    quoted = '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
    if _QUOTED.fullmatch(quoted) is None:
        raise ValueError(f"not a value of a parameter: {text!r}")
    return quoted
