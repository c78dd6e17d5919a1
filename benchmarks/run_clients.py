"""Measure the client of faye_ws and its peers on this machine, and write the table.

    python benchmarks/run_clients.py --help

Each client talks to the same server, the echo of picows, which has a core of its own. Every
process talks over 127.0.0.1 only, and none outlives this one.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from measure import (
    STARTUP_LIMIT,
    MeasurementError,
    cpu_seconds,
    free_port,
    next_json,
    next_line,
    running,
    settled_memory,
)
from peers import HERE, server_environment
from report import table as markdown
from results import describe_machine
from run import raise_file_limit

PAGE = HERE.parent / "docs" / "benchmarks-clients.md"
SERVER = HERE / "servers" / "picows_server.py"
# The server has to have some of its core left, or it is what limits the client.
MOST_SERVER_LOAD = 0.95
FEW = 50


@dataclass(frozen=True)
class Client:
    """One library in use, run by `program` in clients/."""

    name: str
    program: str
    packages: tuple[str, ...]
    holds: bool = True


CLIENTS = (
    Client("faye_ws", "faye_ws_client.py", ("gevent",)),
    Client("faye_ws, blocking", "faye_ws_blocking_client.py", ("gevent",), holds=False),
    Client("websocket-client", "websocket_client_client.py", ("websocket-client",)),
    Client("websockets, sync", "websockets_sync_client.py", ("websockets",)),
    Client("websockets, asyncio", "websockets_client.py", ("websockets", "uvloop")),
    Client("picows", "picows_client.py", ("picows", "uvloop")),
)


@dataclass(frozen=True)
class Scenario:
    title: str
    connections: int
    in_flight: int
    size: int

    def arguments(self, seconds: float) -> list[str]:
        return [str(self.connections), str(self.in_flight), str(self.size), str(seconds)]


SCENARIOS = (
    Scenario("1 x 32 B", 1, 1, 32),
    Scenario(f"{FEW} x 32 B", FEW, 1, 32),
    Scenario("1 x 32 B x 16", 1, 16, 32),
    Scenario("1 x 1 KiB", 1, 1, 2**10),
    Scenario("1 x 64 KiB", 1, 1, 2**16),
)


class Bench:
    """A server, and the clients that are measured against it, one after the other."""

    def __init__(self, seconds: float, idle: int) -> None:
        self._seconds = seconds
        self._idle = idle
        self._environment = server_environment(HERE / "node_modules")
        self._cores = (0, 1) if len(os.sched_getaffinity(0)) > 1 else (None, None)

    def rate(self, client: Client, scenario: Scenario) -> tuple[float, float]:
        """Return the echoes a second, and how much of its core the server used."""
        arguments = scenario.arguments(self._seconds)
        with (
            self._server() as (server, port),
            self._run(client, "rate", port, arguments) as program,
        ):
            used, begin = cpu_seconds(server.pid), time.monotonic()
            result = next_json(program)
            load = (cpu_seconds(server.pid) - used) / (time.monotonic() - begin)
        return result["count"] / result["seconds"], load

    def memory(self, client: Client) -> float:
        """Return the bytes that an idle connection takes."""
        few = self._hold(client, FEW)
        return (self._hold(client, self._idle) - few) / (self._idle - FEW)

    def _hold(self, client: Client, connections: int) -> int:
        with (
            self._server() as (_, port),
            self._run(client, "hold", port, [str(connections)]) as program,
        ):
            next_line(program)
            return settled_memory(program.pid)

    @contextmanager
    def _server(self) -> Any:
        port = free_port()
        command = [sys.executable, str(SERVER), str(port), "none"]
        limit = STARTUP_LIMIT + 120
        with running(command, self._cores[0], limit, env=self._environment) as process:
            next_line(process)
            yield process, port

    def _run(self, client: Client, mode: str, port: int, arguments: list[str]) -> Any:
        program = str(HERE / "clients" / client.program)
        command = [sys.executable, program, mode, str(port), *arguments]
        return running(
            command, self._cores[1], 120.0, env=self._environment, stdin=subprocess.PIPE
        )


def measure(bench: Bench, rounds: int) -> dict[str, dict[str, str]]:
    """Return what stands in the table: for each client, its cells by their titles."""
    rates: dict[tuple[str, str], list[tuple[float, float]]] = {}
    idle: dict[str, list[float]] = {}
    for number in range(1, rounds + 1):
        for client in CLIENTS:
            for scenario in SCENARIOS:
                rate, load = bench.rate(client, scenario)
                rates.setdefault((client.name, scenario.title), []).append((rate, load))
                note(number, scenario.title, client, f"{rate:12,.0f} /s  (server {load:.0%})")
            if client.holds:
                idle.setdefault(client.name, []).append(bench.memory(client))
                note(number, "idle", client, f"{idle[client.name][-1]:12,.0f} bytes")
    cells: dict[str, dict[str, str]] = {client.name: {} for client in CLIENTS}
    for (name, title), runs in rates.items():
        doubtful = statistics.median(load for _, load in runs) > MOST_SERVER_LOAD
        cells[name][title] = f"{statistics.median(rate for rate, _ in runs):,.0f}{'*' * doubtful}"
    for name, sizes in idle.items():
        cells[name]["idle"] = f"{statistics.median(sizes):,.0f}"
    return cells


def note(number: int, title: str, client: Client, result: str) -> None:
    print(f"{number} {title:14} {client.name:20} {result}", flush=True)


def table(cells: dict[str, dict[str, str]]) -> str:
    """Return the table of medians."""
    titles = [*(scenario.title for scenario in SCENARIOS), "idle"]
    rows = [[name, *(row.get(title, "") for title in titles)] for name, row in cells.items()]
    return markdown([["", *titles], *rows])


def page(options: argparse.Namespace, text: str) -> str:
    versions = {package: metadata.version(package) for c in CLIENTS for package in c.packages}
    command = "python benchmarks/run_clients.py"
    described = ", ".join(f"{package} {version}" for package, version in versions.items())
    return f"""\
# Benchmarks of clients

Clients of several libraries, each in one process on one core, measured in the same run against the
same server on another core, the echo of picows. Written by `benchmarks/run_clients.py`; change
that, not this page. [Servers](benchmarks.md) have a page of their own.

Measured on {time.strftime("%Y-%m-%d", time.gmtime())} with
`{command} --seconds {options.seconds:g} --rounds {options.rounds} --idle {options.idle}`,
on {describe_machine()}; {described}.

Echoes per second, and bytes of memory per idle connection; medians of the rounds.

{text}

- "50 x 32 B" is 50 connections, each with a message of 32 bytes in flight; "1 x 32 B x 16" is one
  connection with 16 in flight. Small messages are text, those of 64 KiB binary.
- faye_ws has a listener that sends the next message; "blocking" is a loop of `receive` and `send`,
  in a greenlet for each connection. websocket-client and the sync client of websockets block, so
  each connection has a thread, and the latter starts another one itself. The asyncio client of
  websockets and picows are on uvloop.
- An asterisk marks a rate at which the server was busy all the time, so that it may be the limit.
- Memory is the growth of the client's proportional set size (PSS) from {FEW} connections to
  {options.idle:,}, divided by the number of those in between, after a message each way.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=2.0, help="of a measurement (2)")
    parser.add_argument("--rounds", type=int, default=3, help="measurements of each (3)")
    parser.add_argument("--idle", type=int, default=1000, help="idle connections to hold (1000)")
    parser.add_argument("--out", type=Path, help=f"page to write, such as docs/{PAGE.name}")
    options = parser.parse_args()
    raise_file_limit(options.idle)
    try:
        text = table(measure(Bench(options.seconds, options.idle), options.rounds))
    except MeasurementError as error:
        sys.exit(str(error))
    print("\n" + text)
    if options.out:
        options.out.write_text(page(options, text))


if __name__ == "__main__":
    main()
