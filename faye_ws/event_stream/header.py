"""The header fields of an event stream (WHATWG HTML, 9.2), as pure functions."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ..driver.http import is_token
from .format import encode

_EVENT_STREAM = "text/event-stream"
# A quoted string, also one without an end. Whatever a character stands for after a backslash,
# it does not end the string.
_QUOTED_STRING = re.compile(r'"(?:[^"\\]|\\.)*"?', re.DOTALL)
# Fetch, 2.2: "An HTTP whitespace byte is an HTTP newline byte or HTTP tab or space byte."
_WHITESPACE = " \t\r\n"


def format_last_event_id(id: str) -> bytes:
    """Return the value of Last-Event-ID, or b"" if the field is not to be sent.

    The value of a header field has no white space around it (RFC 9110, 5.5), so browsers send
    an ID without its own; so do we, and with what else Python's clients refuse in front of a
    value, VT and FF.
    """
    # 9.2.4: "encoded as UTF-8".
    return encode(id).strip()


def is_event_stream_type(content_types: Sequence[str]) -> bool:
    """Tell whether the values of all Content-Type fields of a response name an event stream.

    They are one list, of which the last element counts that is a type at all: "extract a MIME
    type" (Fetch, 3.5).
    """
    # Commas in quoted strings separate nothing. A quotation mark stays of each, so that no
    # type comes out where there was none: it stands in none.
    values = _QUOTED_STRING.sub('"', ", ".join(content_types)).split(",")
    essences = [essence for essence in map(_find_essence, values) if essence is not None]
    return bool(essences) and essences[-1] == _EVENT_STREAM


def _find_essence(value: str) -> str | None:
    """Return the type and subtype of a media type, or None if it says nothing."""
    essence = value.partition(";")[0].strip(_WHITESPACE)
    type, _, subtype = essence.partition("/")
    # "If temporaryMimeType is failure or its essence is "*/*", then continue."
    if not (is_token(type) and is_token(subtype)) or essence == "*/*":
        return None
    return essence.lower()
