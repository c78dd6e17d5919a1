"""Measure faye_ws and its peers on this machine, and write the table and the picture.

    python benchmarks/run.py --help

Every process listens on or talks to 127.0.0.1 only, and none outlives this one.
"""

import argparse
import os
import resource
import signal
import sys
import tempfile
from pathlib import Path
from typing import Any

from chart import draw
from measure import Bench, MeasurementError, build_generator
from peers import HERE, PEERS, Peer
from report import page, tables
from results import Results
from scenarios import Scenario, scenarios

DOCS = HERE.parent / "docs"


def make_parser() -> argparse.ArgumentParser:
    peers = ", ".join(peer.name for peer in PEERS)
    names = ", ".join(scenario.name for scenario in scenarios(0))
    parser = argparse.ArgumentParser(description="Measure faye_ws and its peers on this machine.")
    add = parser.add_argument
    add("--peers", help=f"names separated by commas, of: {peers} (default: all)")
    add("--scenarios", help=f"names separated by commas, of: {names} (default: all)")
    add("--seconds", type=float, default=3.0, help="of a measurement (default: 3)")
    add("--rounds", type=int, default=3, help="measurements of each (default: 3)")
    add("--idle", type=int, default=5000, help="idle connections to hold (default: 5000)")
    add("--quick", action="store_true", help="one short round, to see whether all works")
    add("--out", type=Path, help="page to write (default: docs/benchmarks.md after a whole run)")
    add("--svg", type=Path, help="picture to write (default: beside the page)")
    add("--from", dest="saved", type=Path, help="measure nothing, draw these results (.json)")
    add(
        "--node-modules",
        type=Path,
        default=Path(os.environ.get("NODE_PATH") or HERE / "node_modules"),
        help="folder with the packages for Node (default: $NODE_PATH or benchmarks/node_modules)",
    )
    return parser


def parse_arguments() -> argparse.Namespace:
    """Return the options of the command line, with peers and scenarios in place of their names."""
    parser = make_parser()
    options = parser.parse_args()
    # The numbers of a partial run must not replace those that are published.
    partial = options.quick or options.peers or options.scenarios or options.saved
    if options.out is None and not partial:
        options.out = DOCS / "benchmarks.md"
    if options.out and not options.svg:
        options.svg = options.out.with_suffix(".svg")
    if options.quick:
        options.seconds, options.rounds, options.idle = 0.5, 1, min(options.idle, 1000)
    known = {scenario.name: scenario for scenario in scenarios(options.idle)}
    options.scenarios = choose(parser, options.scenarios, known)
    options.peers = choose(parser, options.peers, {peer.name: peer for peer in PEERS})
    options.node_modules = options.node_modules.resolve()
    return options


def choose(parser: argparse.ArgumentParser, names: str | None, known: dict[str, Any]) -> list[Any]:
    """Return the chosen values of `known` in its order, all of them if no names are given."""
    if names is None:
        return list(known.values())
    wanted = set(names.split(","))
    if unknown := wanted - known.keys():
        parser.error(f"unknown: {', '.join(sorted(unknown))}; known: {', '.join(known)}")
    return [value for name, value in known.items() if name in wanted]


def raise_file_limit(connections: int) -> None:
    """Allow this process and those it starts the open files that connections take."""
    wanted = 2 * connections + 500  # simple-websocket duplicates each socket
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < wanted:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, wanted))
        except (OSError, ValueError):
            print(f"only {hard:,} files may be open, but {wanted:,} may be needed: see ulimit -n")
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    elif soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def check(bench: Bench, options: argparse.Namespace, results: Results) -> list[Peer]:
    """Return the peers whose servers start; note their versions, and why the others do not."""
    usable = []
    for peer in options.peers:
        suited = [scenario for scenario in options.scenarios if peer.suits(scenario)]
        if not suited:
            continue
        try:
            bench.check(peer, suited[0])
        except MeasurementError as error:
            results.skipped[peer.name] = str(error)
            print(f"{peer.name} is skipped: {error}", flush=True)
        else:
            results.versions[peer.name] = peer.versions(options.node_modules)
            usable.append(peer)
    return usable


def measure_one(bench: Bench, peer: Peer, scenario: Scenario, results: Results) -> str:
    """Add one measurement to the results, and return what there is to print of it."""
    try:
        run = bench.measure(peer, scenario)
    except MeasurementError as error:
        results.fail(scenario, peer, str(error))
        return f"failed: {error}"
    results.add(scenario, peer, run)
    words = f"{run['value']:12,.0f} {scenario.unit}"
    if "server_load" in run:
        words += f"  (server {run['server_load']:.0%}, generator {run['generator_load']:.0%})"
    return words


def measure_all(bench: Bench, peers: list[Peer], chosen: list[Scenario], results: Results) -> None:
    """Measure each scenario in rounds: every peer once, then every peer again."""
    for scenario in chosen:
        suited = [peer for peer in peers if peer.suits(scenario)]
        for number in range(1, results.rounds + 1):
            for peer in suited:
                if results.failure(scenario, peer):
                    continue
                step = f"{scenario.name:17} {number}/{results.rounds} {peer.name:18}"
                print(step, end="", flush=True)
                print(measure_one(bench, peer, scenario, results), flush=True)


def command(options: argparse.Namespace) -> str:
    """Return the command that repeats this benchmark, without the places of files."""
    words = f"python benchmarks/run.py --seconds {options.seconds:g} --rounds {options.rounds}"
    words += f" --idle {options.idle}"
    if len(options.peers) < len(PEERS):
        words += " --peers " + ",".join(peer.name for peer in options.peers)
    if len(options.scenarios) < len(scenarios(0)):
        words += " --scenarios " + ",".join(scenario.name for scenario in options.scenarios)
    return words


def write(results: Results, options: argparse.Namespace) -> None:
    """Write the page, the picture and the raw results, as far as they were asked for."""
    if options.svg:
        options.svg.write_text(draw(results))
        if not options.saved:
            results.save(options.svg.with_suffix(".json"))
    if options.out:
        options.out.write_text(page(results, options.out, options.svg))


def measure(options: argparse.Namespace) -> Results:
    """Return the results of a whole benchmark."""
    raise_file_limit(max(scenario.connections for scenario in options.scenarios))
    for number in (signal.SIGTERM, signal.SIGHUP):
        # An exit unwinds the blocks that end processes, which the default action does not.
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    results = Results.begin(command(options), options.seconds, options.rounds, options.idle)
    with tempfile.TemporaryDirectory() as folder:
        generator = build_generator(Path(folder))
        warm_up = min(1.0, options.seconds / 2)
        bench = Bench(generator, options.node_modules, options.seconds, warm_up)
        peers = check(bench, options, results)
        measure_all(bench, peers, options.scenarios, results)
    return results


def main() -> None:
    options = parse_arguments()
    results = Results.load(options.saved) if options.saved else measure(options)
    write(results, options)
    print("\n" + tables(results))


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
