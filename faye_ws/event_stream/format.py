"""Writing an event stream (WHATWG HTML, 9.2.5).

    stream = [ bom ] *event
    event  = *( comment / field ) end-of-line

Invariants:
- A client reads back what was written: a value that would end its field early, or inject
  another field, is a `ValueError`.
"""

from __future__ import annotations

import re

# 9.2.5: "end-of-line = ( cr lf / cr / lf )". `str.splitlines` knows many more.
_END_OF_LINE = re.compile("\r\n|\r|\n")
_SURROGATE = re.compile("[\ud800-\udfff]")


def format_event(
    data: str | None,
    *,
    event: str | None = None,
    id: str | int | None = None,
    retry: float | None = None,
) -> bytes:
    """Serialize an event.

    Args:
        data: any number of lines; all line breaks become LF. With None, no event is
            dispatched, but the client still applies `id` and `retry`.
        event: the type; None and "" mean `message`.
        id: the new last event ID; "" resets it, None keeps it.
        retry: seconds before the client reconnects after a loss.

    Raises:
        TypeError: an argument has the wrong type.
        ValueError: `event` or `id` has a line break or NUL in it, or `retry` is negative.
    """
    lines: list[str] = []
    if event:
        lines.append(f"event: {check_field('event', event)}")
    if id is not None:
        value = check_field("id", str(id) if type(id) is int else id)
        lines.append(f"id: {value}" if value else "id:")
    if retry is not None:
        lines.append(f"retry: {to_milliseconds(retry)}")
    if data is not None:
        if not isinstance(data, str):
            raise TypeError(f"the data of an event must be a str, not {type(data).__name__}")
        # The space is required before a line that begins with a space.
        lines += [f"data: {line}" for line in _END_OF_LINE.split(data)]
    return encode("\n".join([*lines, "", ""]))


def format_comment(text: str = "") -> bytes:
    """Serialize a comment, which clients ignore: one for each line of the text.

    Raises:
        TypeError: the text is not a `str`.
    """
    lines = [f":{' ' * bool(line)}{line}" for line in _END_OF_LINE.split(text)]
    return encode("\n".join([*lines, "", ""]))


def check_field(name: str, value: object) -> str:
    """Check the value of a field that has one line, and return it.

    Raises:
        TypeError: it is not a `str`.
        ValueError: it has a CR or LF, which would end the field, or a NUL, with which clients
            ignore an id (9.2.6).
    """
    if not isinstance(value, str):
        raise TypeError(f"the {name} of an event must be a str, not {type(value).__name__}")
    if "\r" in value or "\n" in value or "\0" in value:
        raise ValueError(f"a line break or NUL in the {name} of an event: {value!r}")
    return value


def to_milliseconds(seconds: float) -> int:
    """Return a reconnection time in whole milliseconds, as it is written (9.2.6).

    Raises:
        TypeError: it is not a number.
        ValueError: it is negative, infinite or NaN.
    """
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)):
        raise TypeError(f"retry must be a number of seconds, not {seconds!r}")
    if not 0 <= seconds < float("inf"):
        raise ValueError(f"retry must be at least 0 seconds, not {seconds}")
    return round(seconds * 1000)


def encode(text: str) -> bytes:
    """Encode a text as UTF-8; lone surrogates become U+FFFD."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        return _SURROGATE.sub("\ufffd", text).encode()
