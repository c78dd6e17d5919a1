"""Making text safe for a terminal, and colouring it."""

from __future__ import annotations

import unicodedata

_RESET = "\x1b[0m"
_STYLES = {"incoming": "\x1b[36m", "note": "\x1b[2m", "error": "\x1b[31m"}
# Unicode categories: controls, formats (some reverse the order of a line), surrogates, private
# and unassigned characters, line and paragraph separators.
_UNSHOWN = frozenset(("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"))
# The last two are joiners, which some scripts and many emoji need.
_SHOWN = "\n\t\u200c\u200d"


def make_harmless(text: str) -> str:
    """Escape characters that control the terminal, or that are invisible or misleading."""
    if text.isprintable():
        return text
    return "".join(map(_escape, text))


def make_line(text: str) -> str:
    """Escape line breaks, too, so that a peer's text can't fake another line."""
    return make_harmless(text).replace("\n", "\\n")


def _escape(char: str) -> str:
    if char in _SHOWN or unicodedata.category(char) not in _UNSHOWN:
        return char
    return char.encode("unicode_escape").decode()


def paint(text: str, style: str, wanted: bool) -> str:
    """Return a text in the colour of its kind: `incoming`, `note` or `error`."""
    return f"{_STYLES[style]}{text}{_RESET}" if wanted else text


def format_message(message: str | bytes) -> str:
    """Return a message as text: bytes become hexadecimal digits."""
    return message if isinstance(message, str) else message.hex()
