"""The command line, from its arguments to its exit status."""

from __future__ import annotations

import os
from collections.abc import Sequence

import gevent

from ..constants import VERSION
from ..eventsource.client import EventSourceClient
from .arguments import parse_arguments
from .conversation import Conversation, connect
from .output import occupy_closed_descriptors, standard_error, standard_output
from .pipe import Pipe
from .status import INTERRUPTED, MISUSED
from .stream import Tail, connect_stream
from .terminal import Terminal


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line, and return its exit status.

    Args:
        arguments: those of the process by default.
    """
    occupy_closed_descriptors()
    # With a hub in this thread, the client belongs to it, and not to the background.
    gevent.get_hub()
    try:
        return run(arguments)
    except KeyboardInterrupt:
        # Ctrl-C before `Signals` handles it.
        return INTERRUPTED


def run(arguments: Sequence[str] | None) -> int:
    """Do what the arguments say, and return the exit status."""
    options = parse_arguments(arguments, VERSION)
    is_stream = options.url.lower().startswith(("http:", "https:"))
    try:
        held = connect_stream(options) if is_stream else connect(options)
    except (TypeError, ValueError, ImportError, OSError) as error:
        standard_error().say(f"faye-ws: {error}")
        return MISUSED
    console = open_console(options.color, not options.no_history)
    if isinstance(held, EventSourceClient):
        return Tail(held, options, console).hold()
    return Conversation(held, options, console).hold()


def open_console(color: str, history: bool) -> Pipe | Terminal:
    """Return a `Terminal` if input and output are one, else a `Pipe`.

    Args:
        color: `auto`, `always` or `never`.
        history: whether to keep the typed lines in a file.
    """
    if not (os.isatty(0) and standard_output().is_terminal):
        return Pipe()
    can_color = "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"
    return Terminal(color == "always" or (color == "auto" and can_color), history)
