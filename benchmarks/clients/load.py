"""What every client here does: count echoes for a while, or hold connections.

    python SOMETHING_client.py rate PORT CONNECTIONS IN_FLIGHT SIZE SECONDS
    python SOMETHING_client.py hold PORT CONNECTIONS

`rate` prints MEASURING after a warm-up, and then JSON: the echoes in the seconds since, and the
processor time they took.
`hold` prints READY when all connections are open, and ends with its input; the echo of one
message on each has come then.
"""

from __future__ import annotations

import gc
import json
import signal
import sys
import time
from dataclasses import dataclass

WARM_UP = 0.5


@dataclass
class Load:
    """What to do; `payload` is text where it is small, as in a chat, and binary where it is not."""

    mode: str
    url: str
    connections: int
    in_flight: int = 1
    payload: str | bytes = "x"
    seconds: float = 1.0


def read_load() -> Load:
    mode, port, connections, *rest = sys.argv[1:]
    load = Load(mode, f"ws://127.0.0.1:{port}/", int(connections))
    if rest:
        size = int(rest[1])
        load.in_flight = int(rest[0])
        load.payload = "x" * size if size < 2**16 else b"x" * size
        load.seconds = float(rest[2])
    return load


class Counter:
    """Counts echoes, and tells when to begin and when to stop."""

    def __init__(self, load: Load) -> None:
        self.count = 0
        self._begin = time.perf_counter() + WARM_UP
        self.end = self._begin + load.seconds
        self._from = 0
        self._cpu = 0.0
        self._since = 0.0

    def begin(self) -> None:
        """Count from here on, and say so."""
        print("MEASURING", flush=True)
        self._from, self._cpu, self._since = self.count, time.process_time(), time.perf_counter()

    def report(self) -> None:
        seconds = time.perf_counter() - self._since
        cpu = time.process_time() - self._cpu
        rate = {"count": self.count - self._from, "seconds": seconds, "cpu_seconds": cpu}
        print(json.dumps(rate), flush=True)


def announce() -> None:
    """Say that all connections are open; from now on collect garbage on SIGUSR2."""
    signal.signal(signal.SIGUSR2, lambda *_: gc.collect())
    print("READY", flush=True)
