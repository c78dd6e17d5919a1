"""The tables of a benchmark, as Markdown that reads well in a terminal, and the page with them."""

import os
from pathlib import Path

from peers import OURS, YARDSTICK, Peer
from results import LEAST_SERVER_LOAD, MOST_GENERATOR_LOAD, Results, Summary
from scenarios import Scenario

LOADS = ("server", "generator", "least served")
LATENCIES = ("p50 ms", "p99 ms")

GROUPS = {
    "general": "Messages and handshakes per second; bytes of memory per idle connection.",
    "broadcast": "Broadcasts: deliveries per second to so many connections.",
    "compression": "Compression: bytes of memory per connection after a message each way.",
}

READING = f"""\
## How to read it

- Each number is the median of the rounds; beside it stand the lowest and the highest. In a round
  every server is started afresh and measured once, one after the other, so that a drift of the
  machine meets them all.
- "x yardstick" divides by the plain TCP echo on gevent: what gevent gives without any WebSocket. A
  server above 1 does less work a message than a greenlet that waits in `recv`. With 16 messages in
  flight the yardstick is out of reach, since it returns all 16 at once without looking at them.
  "x ours" divides by faye_ws.
- The server has one core for itself and the load generator another; "server" and "generator" say
  how much of it they used. An asterisk marks a rate that is not the server's limit, because the
  server used less than {LEAST_SERVER_LOAD:.0%} of its core
  or the generator more than {MOST_GENERATOR_LOAD:.0%}:
  the machine was busy with something else, or the generator was not fast enough.
- The latencies are those of a saturated server: every connection asks again as soon as it is
  answered. They show how evenly a server treats its connections, not how quick it is at rest.
  "Least served" is what the worst-served connection got of what an average one did: near 0% it
  starved.
- Nobody logs or checks more than it does by default, or compresses where that is not said; limits
  of messages are lifted to 64 MiB. Small messages are text, those of 64 KiB and more binary.
  Answers are verified: the length of all, the content of one in eight; of compressed ones only that
  they are shorter.
- In a broadcast one connection sends messages, each another one, and the server sends each to all
  connections, the sender included. The next goes when all have got an earlier one. faye_ws and
  websockets use their `broadcast`, which does not wait for slow peers; the loop of sends would.
- With "deflate" a client offers permessage-deflate as browsers do, and a server does what it does
  by default: faye_ws has windows of 32 KiB, websockets of 4 KiB. "No takeover" is without context
  takeover on either side. What a window will take has not been touched after one small message, so
  it counts for less than it may come to in use.
- Accelerators that a library does not install by itself (wsaccel for gevent-websocket, bufferutil
  for ws) are not used.
- A handshake is counted when its answer has arrived. The closing handshake and a new TCP connection
  belong to the cycle, and so to the rate.
- Memory is the growth of the server's proportional set size (PSS) from a few connections to all of
  them, divided by the number of those in between, after the handshake, or a message where that is
  said, when garbage is collected and the size has come to rest. What the kernel keeps for a socket
  comes on top, for every server alike.
"""

RUNNING = """\
## How to run it

    python -m pip install -r benchmarks/requirements.txt
    npm install --prefix benchmarks
    python benchmarks/run.py

It needs Linux, a C compiler and, for the peers on Node, `node`. What is missing is skipped and
named. `--quick` shows in two minutes whether all works. `--peers` and `--scenarios` choose,
`--seconds` and `--rounds` make it more exact, `--idle 10000` holds more connections, and
`--node-modules` names another folder with packages for Node.

A whole run writes this page, the picture and the raw numbers; a run of some peers or scenarios only
prints, unless `--out` names a page to write. To draw page and picture again from the numbers:

    python benchmarks/run.py --from docs/benchmarks.json --out docs/benchmarks.md
"""


def table(rows: list[list[str]]) -> str:
    """Return a Markdown table, the first row its head; all columns but the first are numbers."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]

    def line(row: list[str]) -> str:
        cells = [
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        return "| " + " | ".join(cells) + " |"

    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    return "\n".join([line(rows[0]), "| " + " | ".join(rule) + " |", *map(line, rows[1:])])


def amount(summary: Summary) -> str:
    return f"{summary.median:,.0f}" + "*" * summary.is_doubtful


def overview(results: Results, scenarios: list[Scenario]) -> str:
    """Return the medians of some scenarios in one table."""
    rows = [["", *(scenario.short for scenario in scenarios)]]
    for peer in results.measured_peers():
        if not any(peer.suits(scenario) for scenario in scenarios):
            continue
        summaries = [results.summary(scenario, peer.name) for scenario in scenarios]
        cells = [
            amount(summary) if summary else "failed" if results.failure(scenario, peer) else ""
            for scenario, summary in zip(scenarios, summaries, strict=True)
        ]
        rows.append([peer.label, *cells])
    return table(rows)


def ratio(summary: Summary, reference: Summary | None) -> str:
    return f"{summary.median / reference.median:.2f}" if reference and reference.median > 0 else ""


def details(results: Results, scenario: Scenario) -> str:
    """Return the table of one scenario, without the columns that are empty in it."""
    yardstick, ours = results.summary(scenario, YARDSTICK), results.summary(scenario, OURS)
    rows = [["", scenario.unit, "lowest", "highest", "x yardstick", "x ours", *LOADS, *LATENCIES]]
    for peer in results.measured_peers():
        summary = results.summary(scenario, peer.name)
        if summary is None:
            continue
        loads = (summary.server_load, summary.generator_load, summary.least_share)
        latencies = (summary.p50_us, summary.p99_us)
        rows.append(
            [
                peer.label,
                amount(summary),
                f"{summary.low:,.0f}",
                f"{summary.high:,.0f}",
                ratio(summary, yardstick),
                ratio(summary, ours),
                *("" if load is None else f"{load:.0%}" for load in loads),
                *("" if latency is None else f"{latency / 1000:.2f}" for latency in latencies),
            ]
        )
    filled = [i for i in range(len(rows[0])) if i == 0 or any(row[i] for row in rows[1:])]
    return table([[row[i] for i in filled] for row in rows])


def failures(results: Results) -> list[str]:
    """Return a line for every peer that was skipped and every measurement that failed."""
    lines = [f"- {name} was skipped: {reason}." for name, reason in results.skipped.items()]
    for scenario in results.measured_scenarios():
        for peer in results.measured_peers():
            if reason := results.failure(scenario, peer):
                lines.append(f"- {peer.label}, {scenario.title}: {reason}.")
    return lines


def describe_load(scenario: Scenario) -> str:
    connections = f"{scenario.connections:,} connection{'s' * (scenario.connections > 1)}"
    if scenario.mode == "idle":
        then = f", {scenario.size} B sent and echoed on each," if scenario.size else ""
        return f"{connections}, opened{then} and left alone; less is better."
    if scenario.mode == "handshake":
        return f"{scenario.connections} at once: connect, open, close, connect again."
    kind = "binary" if scenario.binary else "text"
    flight = f"{scenario.in_flight} {kind} message{'s' * (scenario.in_flight > 1)} in flight"
    if scenario.mode == "broadcast":
        return f"{connections}, {flight}, from one of them to all of them."
    return f"{connections}, {flight} on each."


def describe_peer(peer: Peer, results: Results) -> str:
    versions = [f"{package} {version}" for package, version in results.versions[peer.name].items()]
    return f"- {peer.label}: {peer.setup} ({', '.join(versions)})"


def tables(results: Results) -> str:
    """Return all tables, each under a heading."""
    scenarios = results.measured_scenarios()
    parts = ["## Medians"]
    for group, meaning in GROUPS.items():
        if chosen := [scenario for scenario in scenarios if scenario.group == group]:
            parts += [meaning, overview(results, chosen)]
    for scenario in scenarios:
        parts += [f"## {scenario.title}", describe_load(scenario), details(results, scenario)]
    if lines := failures(results):
        parts += ["## Not measured", "\n".join(lines)]
    return "\n\n".join(parts) + "\n"


def page(results: Results, place: Path, picture: Path) -> str:
    """Return the whole page, to be written to `place`."""
    setups = "\n".join(describe_peer(peer, results) for peer in results.measured_peers())
    link = Path(os.path.relpath(picture, place.parent)).as_posix()
    return f"""\
# Benchmarks

Servers of several libraries, each in one process on one core, measured in the same run by the same
clients. Written by `benchmarks/run.py`; change that, not this page.
[Clients](benchmarks-clients.md) have a page of their own.

![Bars of the medians below]({link})

Measured on {results.date} with `{results.command}`,
on {results.machine}.

{setups}

{tables(results)}
{READING}
{RUNNING}"""
