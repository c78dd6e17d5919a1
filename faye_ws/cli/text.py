"""What may be shown on a terminal, and how."""

from __future__ import annotations

import unicodedata

_RESET = "\x1b[0m"
_STYLES = {"incoming": "\x1b[36m", "note": "\x1b[2m", "error": "\x1b[31m"}
# Besides controls: what turns the order of a line around, and what has no character at all.
_UNSHOWN = frozenset(("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"))
# Joiners, without which some scripts and most families of emoji fall apart.
_SHOWN = "\n\t\u200c\u200d"


def make_harmless(text: str) -> str:
    """Escape what could drive the terminal, or lie about what is on it."""
    if text.isprintable():
        return text
    return "".join(map(_escape, text))


def make_line(text: str) -> str:
    """Escape the ends of lines, too: a sentence with a peer's words in it has no second line,
    which could pass for somebody else's."""
    return make_harmless(text).replace("\n", "\\n")


def _escape(char: str) -> str:
    if char in _SHOWN or unicodedata.category(char) not in _UNSHOWN:
        return char
    return char.encode("unicode_escape").decode()


def paint(text: str, style: str, wanted: bool) -> str:
    """Return a text in the colour of its kind: `incoming`, `note` or `error`."""
    return f"{_STYLES[style]}{text}{_RESET}" if wanted else text


def format_message(message: str | bytes) -> str:
    """Return a message as it is written down: text as it is, bytes as hexadecimal digits."""
    return message if isinstance(message, str) else message.hex()
