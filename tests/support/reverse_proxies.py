"""For tests of reverse proxies (nginx, HAProxy): the server behind, and the port in front."""

from __future__ import annotations

import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from support import programs

SERVED = Path(__file__).parent.parent / "proxies" / "served.py"
DEADLINE = 15.0


def dial(port: int) -> socket.socket:
    """Return a connection to a port."""
    return socket.create_connection(("127.0.0.1", port), DEADLINE)


def wait_until_it_listens(port: int) -> None:
    """Wait until somebody listens on a port."""
    deadline = time.monotonic() + DEADLINE
    while True:
        try:
            dial(port).close()
            return
        except ConnectionRefusedError:
            assert time.monotonic() < deadline, "the proxy does not listen"
            time.sleep(0.02)


@contextmanager
def serve() -> Iterator[int]:
    """Run the server, and give its port."""
    with programs.Program([sys.executable, "-u", str(SERVED)]) as program:
        yield int(program.wait_for_line(r"port (\d+)")[1])
