"""Writing an event stream (WHATWG HTML, 9.2.5).

    stream = [ bom ] *event
    event  = *( comment / field ) end-of-line

The law of this file: whatever is written is read as it was meant. What would end a field
before its time, or forge another one, is a `ValueError`.
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
    """Return an event.

    Args:
        data: what it carries, of any number of lines; all ends of lines become LF. Without
            data (None) there is no event, but its id and retry count.
        event: its type; None or an empty one is `message`.
        id: the new last event ID; an empty one resets it, None leaves it.
        retry: seconds before the client connects again, when the connection is lost.

    Raises:
        TypeError: an argument is of another type.
        ValueError: a line break or NUL in `event` or `id`, or `retry` is negative.
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
        # The space is optional, but not where the line begins with one itself.
        lines += [f"data: {line}" for line in _END_OF_LINE.split(data)]
    return encode("\n".join([*lines, "", ""]))


def format_comment(text: str = "") -> bytes:
    """Return a comment, which clients ignore; each line of the text becomes one.

    Raises:
        TypeError: the text is none.
    """
    lines = [f":{' ' * bool(line)}{line}" for line in _END_OF_LINE.split(text)]
    return encode("\n".join([*lines, "", ""]))


def check_field(name: str, value: object) -> str:
    """Return the value of a field that must stay on its line.

    Raises:
        TypeError: it is no string.
        ValueError: a CR, LF or NUL is in it. The first two would end the field, and a client
            ignores an id that has the third (9.2.6).
    """
    if not isinstance(value, str):
        raise TypeError(f"the {name} of an event must be a str, not {type(value).__name__}")
    if "\r" in value or "\n" in value or "\0" in value:
        raise ValueError(f"a line break or NUL in the {name} of an event: {value!r}")
    return value


def to_milliseconds(seconds: float) -> int:
    """Return a reconnection time as it is written: "ASCII digits only" (9.2.6).

    Raises:
        TypeError: it is no number.
        ValueError: it is negative, infinite or NaN.
    """
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)):
        raise TypeError(f"retry must be a number of seconds, not {seconds!r}")
    if not 0 <= seconds < float("inf"):
        raise ValueError(f"retry must be at least 0 seconds, not {seconds}")
    return round(seconds * 1000)


def encode(text: str) -> bytes:
    """Return the text in UTF-8; half of a character, which has no form there, is U+FFFD."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        return _SURROGATE.sub("\ufffd", text).encode()
