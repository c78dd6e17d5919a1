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
from results import LEAST_SERVER_LOAD, MOST_GENERATOR_LOAD, describe_machine
from run import raise_file_limit

PAGE = HERE.parent / "docs" / "benchmarks-clients.md"
SERVER = HERE / "servers" / "picows_server.py"
# Here the client is what is measured, so the loads of a core change their parts: below the one,
# or with a server above the other, something else than the client was what limited the rate.
LEAST_CLIENT_LOAD = LEAST_SERVER_LOAD
MOST_SERVER_LOAD = MOST_GENERATOR_LOAD
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
    Scenario("1 x 64 KiB x 16", 1, 16, 2**16),
)


@dataclass(frozen=True)
class Rate:
    """Echoes a second, and how much of its core each end used for them."""

    value: float
    client_load: float
    server_load: float


@dataclass(frozen=True)
class Results:
    """All rounds: rates by the names of client and scenario, bytes by that of the client."""

    rates: dict[tuple[str, str], list[Rate]]
    idle: dict[str, list[float]]


class Bench:
    """A server, and the clients that are measured against it, one after the other."""

    def __init__(self, seconds: float, idle: int) -> None:
        self._seconds = seconds
        self._idle = idle
        self._environment = server_environment(HERE / "node_modules")
        cores = sorted(os.sched_getaffinity(0))
        self._cores = cores[:2] if len(cores) > 1 else (None, None)

    def rate(self, client: Client, scenario: Scenario) -> Rate:
        """Measure a client in a scenario once."""
        arguments = scenario.arguments(self._seconds)
        with (
            self._server() as (server, port),
            self._run(client, "rate", port, arguments) as program,
        ):
            next_line(program)
            used, begin = cpu_seconds(server.pid), time.monotonic()
            result = next_json(program)
            server_load = (cpu_seconds(server.pid) - used) / (time.monotonic() - begin)
        seconds = result["seconds"]
        return Rate(result["count"] / seconds, result["cpu_seconds"] / seconds, server_load)

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
        return running(command, self._cores[1], 120.0, env=self._environment, stdin=subprocess.PIPE)


def measure(bench: Bench, rounds: int) -> Results:
    """Measure in rounds: every client in every scenario once, then all again."""
    results = Results({}, {})
    for number in range(1, rounds + 1):
        for scenario in SCENARIOS:
            for client in CLIENTS:
                rate = bench.rate(client, scenario)
                results.rates.setdefault((client.name, scenario.title), []).append(rate)
                loads = f"(client {rate.client_load:.0%}, server {rate.server_load:.0%})"
                note(number, scenario.title, client, f"{rate.value:12,.0f} /s  {loads}")
        for client in CLIENTS:
            if client.holds:
                size = bench.memory(client)
                results.idle.setdefault(client.name, []).append(size)
                note(number, "idle", client, f"{size:12,.0f} bytes")
    return results


def note(number: int, title: str, client: Client, result: str) -> None:
    print(f"{number} {title:16} {client.name:20} {result}", flush=True)


def median(rates: list[Rate]) -> Rate:
    """Return the median of each value."""
    return Rate(
        statistics.median(rate.value for rate in rates),
        statistics.median(rate.client_load for rate in rates),
        statistics.median(rate.server_load for rate in rates),
    )


def amount(rate: Rate) -> str:
    doubtful = rate.client_load < LEAST_CLIENT_LOAD or rate.server_load > MOST_SERVER_LOAD
    return f"{rate.value:,.0f}{'*' * doubtful}"


def overview(results: Results) -> str:
    """Return the table of medians."""
    rows = [["", *(scenario.title for scenario in SCENARIOS), "idle"]]
    for client in CLIENTS:
        medians = [median(results.rates[client.name, scenario.title]) for scenario in SCENARIOS]
        sizes = results.idle.get(client.name)
        idle = f"{statistics.median(sizes):,.0f}" if sizes else ""
        rows.append([client.name, *map(amount, medians), idle])
    return markdown(rows)


def details(results: Results, scenario: Scenario) -> str:
    """Return the table of one scenario."""
    rows = [["", "echoes/s", "lowest", "highest", "x ours", "client", "server"]]
    ours = median(results.rates[CLIENTS[0].name, scenario.title])
    for client in CLIENTS:
        rates = results.rates[client.name, scenario.title]
        middle = median(rates)
        ends = (min(rate.value for rate in rates), max(rate.value for rate in rates))
        rows.append(
            [
                client.name,
                amount(middle),
                *(f"{end:,.0f}" for end in ends),
                f"{middle.value / ours.value:.2f}",
                f"{middle.client_load:.0%}",
                f"{middle.server_load:.0%}",
            ]
        )
    return markdown(rows)


def idle_details(results: Results) -> str:
    """Return the table of the memory of idle connections."""
    rows = [["", "bytes/connection", "lowest", "highest", "x ours"]]
    ours = statistics.median(results.idle[CLIENTS[0].name])
    for name, sizes in results.idle.items():
        middle = statistics.median(sizes)
        cells = (f"{size:,.0f}" for size in (middle, min(sizes), max(sizes)))
        rows.append([name, *cells, f"{middle / ours:.2f}"])
    return markdown(rows)


def tables(results: Results) -> str:
    """Return all tables, each under a heading."""
    parts = ["## Medians", overview(results)]
    for scenario in SCENARIOS:
        parts += [f"## {scenario.title}", details(results, scenario)]
    parts += ["## Memory of an idle connection", "Less is better.", idle_details(results)]
    return "\n\n".join(parts)


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

## How to read it

- "50 x 32 B" is 50 connections, each with a message of 32 bytes in flight; "x 16" is one with 16 in
  flight. Small messages are text, those of 64 KiB binary.
- faye_ws has a listener that sends the next message; "blocking" is a loop of `receive` and `send`,
  in a greenlet for each connection. websocket-client and the sync client of websockets block, so
  each connection has a thread, and the latter starts another one itself. The asyncio client of
  websockets and picows are on uvloop.
- "x ours" divides by faye_ws. "client" and "server" say how much of its core each used. An asterisk
  marks a rate that is not the client's limit, because it used less than {LEAST_CLIENT_LOAD:.0%} of
  its core or the server more than {MOST_SERVER_LOAD:.0%}. With one message in flight on one
  connection each end waits for the other, so such a rate is mostly the way there and back.
- Other work on the machine meets all clients of a round alike, and widens what is between lowest
  and highest. Differences smaller than that mean nothing.
- Memory is the growth of the client's proportional set size (PSS) from {FEW} connections to
  {options.idle:,}, divided by the number of those in between, after a message each way.

## How to run it

    python -m pip install -r benchmarks/requirements.txt
    {command} --out docs/{PAGE.name}
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
        text = tables(measure(Bench(options.seconds, options.idle), options.rounds))
    except MeasurementError as error:
        sys.exit(str(error))
    print("\n" + text)
    if options.out:
        options.out.write_text(page(options, text))


if __name__ == "__main__":
    main()
