"""What is said to other libraries with permessage-deflate, and the policies of our end."""

from __future__ import annotations

import base64
import random
from typing import Any

Message = str | bytes

LINE = "a line that has been said before is said in little. " * 5
# Empty ones, short ones, what has just been said, what no compressor can do anything with,
# and more than a window, a frame's 16-bit length and a buffer of zlib.
MESSAGES: list[Message] = [
    "",
    b"",
    "Hello",
    "Hello",
    LINE,
    LINE,
    LINE.encode(),
    "größer als zuvor: \U0001f44b" * 40,
    random.Random(1).randbytes(5000),
    random.Random(2).randbytes(70_000),
    random.Random(2).randbytes(70_000),
    bytes(300_000),
    "the end " * 20_000,
    LINE,
    "",
    LINE,
]

POLICIES: dict[str, dict[str, Any]] = {
    "as it is": {},
    "all messages": {"min_size": 0},
    "no takeover": {"no_context_takeover": True},
    "small window": {"max_window_bits": 9},
    "peer without takeover": {"request_no_context_takeover": True},
    "peer with a small window": {"request_max_window_bits": 9},
    "least memory": {
        "level": 1,
        "mem_level": 1,
        "no_context_takeover": True,
        "max_window_bits": 9,
        "request_no_context_takeover": True,
        "request_max_window_bits": 9,
    },
}


def count_compressed(options: dict[str, Any]) -> int:
    """Return how many of the messages our end compresses."""
    min_size = options.get("min_size", 64)
    sizes = [len(m.encode() if isinstance(m, str) else m) for m in MESSAGES]
    return sum(size >= min_size for size in sizes)


def pack(message: Message) -> dict[str, str]:
    """Return a message as JSON can have it."""
    if isinstance(message, str):
        return {"text": message}
    return {"base64": base64.b64encode(message).decode()}


def unpack(message: dict[str, str]) -> Message:
    """Return a message that came as JSON."""
    return message["text"] if "text" in message else base64.b64decode(message["base64"])
