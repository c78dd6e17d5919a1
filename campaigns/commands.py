"""What the commands share: options about servers, several at once, and the end of them all."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from .servers import Group

_Task = TypeVar("_Task")
_Result = TypeVar("_Result")


def add_servers(parser: argparse.ArgumentParser, what: str) -> None:
    """Add the options about servers; `what` there are several of at once."""
    add = parser.add_argument
    add(
        "--servers",
        default="pywsgi,gevent,gthread,werkzeug",
        help="such as 'pywsgi,gthread TLS'"
        " (default: pywsgi, gunicorn's gevent and gthread, Werkzeug; each plain and TLS)",
    )
    add("--together", type=int, default=1, help=f"how many {what} at once (default: 1)")
    add(
        "--line",
        help="Python code that main of pywsgi's and Werkzeug's script has about signals;"
        " it knows faye_ws and server (default: TERM and HUP exit)",
    )


def prepare_for_signals() -> None:
    """End by an exit when a signal comes, and have the programs that are started hear INT."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        # An exit unwinds the blocks that end processes, which the default action does not.
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    # A shell has its background jobs ignore INT, and they would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def run_together(
    function: Callable[[_Task], _Result], tasks: Iterable[_Task], at_once: int
) -> list[_Result]:
    """Call a function for each task, in so many threads; whatever is raised ends all programs."""
    with ThreadPoolExecutor(at_once) as pool:
        try:
            return list(pool.map(function, tasks))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            Group.end_all()
            raise
