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
    # Before there is a client: it belongs to this thread's hub.
    gevent.get_hub()
    try:
        return run(arguments)
    except KeyboardInterrupt:
        # Before the signals are ours.
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
    """Return what stands between the user and the connection.

    Args:
        color: `auto`, `always` or `never`.
        history: whether to remember what is typed from one time to the next.
    """
    if not (os.isatty(0) and standard_output().is_terminal):
        return Pipe()
    can_color = "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"
    return Terminal(color == "always" or (color == "auto" and can_color), history)
