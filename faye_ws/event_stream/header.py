"""The header fields of an event stream (WHATWG HTML, 9.2), as pure functions."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ..driver.http import is_token
from .format import encode

_EVENT_STREAM = "text/event-stream"
# A quoted string, which need not be closed. An escaped character does not end it.
_QUOTED_STRING = re.compile(r'"(?:[^"\\]|\\.)*"?', re.DOTALL)
# Fetch, 2.2: "An HTTP whitespace byte is an HTTP newline byte or HTTP tab or space byte."
_WHITESPACE = " \t\r\n"


def format_last_event_id(id: str) -> bytes:
    """Return the value of Last-Event-ID, or b"" to send no such field.

    A header value has no white space around it (RFC 9110, 5.5), so like browsers we strip
    the ID; also of VT and FF, which Python's HTTP clients refuse at the start of a value.
    """
    # 9.2.4: "encoded as UTF-8".
    return encode(id).strip()


def is_event_stream_type(content_types: Sequence[str]) -> bool:
    """Tell whether the Content-Type of a response is that of an event stream.

    The values of all its Content-Type fields form one list, in which the last valid type
    counts: "extract a MIME type" (Fetch, 3.5).
    """
    # Commas in quoted strings separate nothing. A quotation mark, which no type has in it,
    # replaces each string, so that removing the string can't make a valid type.
    values = _QUOTED_STRING.sub('"', ", ".join(content_types)).split(",")
    essences = [essence for essence in map(_find_essence, values) if essence is not None]
    return bool(essences) and essences[-1] == _EVENT_STREAM


def _find_essence(value: str) -> str | None:
    """Return the type and subtype of a media type, or None if it is to be ignored."""
    essence = value.partition(";")[0].strip(_WHITESPACE)
    type, _, subtype = essence.partition("/")
    # "If temporaryMimeType is failure or its essence is "*/*", then continue."
    if not (is_token(type) and is_token(subtype)) or essence == "*/*":
        return None
    return essence.lower()
