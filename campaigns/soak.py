"""Let hostile and polite peers loose on every server, and see whether anything grows.

    python -m campaigns.soak --help

For each server, a process of peers plays some forty behaviours at random for a few seconds.
Then all peers leave, and the objects of faye_ws, the greenlets, threads, descriptors and memory
of the server are counted. This is repeated. The counts must not grow after the first minute, and
must be back at their start when the last peer has left; polite peers must be served, and no peer
may cause a traceback.

The numbers in a cell of the table are those after the warm-up, in the second minute, in the last
minute, and at the end. Exit status: 0 if all requirements are met, 1 if not.
"""

from __future__ import annotations

import argparse
import json
import select
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .commands import add_servers, prepare_for_signals, run_together
from .hostile import MAX_LENGTH
from .judging import Series
from .servers import (
    PACKAGE,
    CampaignError,
    Certificates,
    Group,
    Kind,
    Server,
    choose,
    noise,
    tracebacks,
)
from .stock import MEASURES, Stock
from .tables import table

SEND_TIMEOUT = 1.0
# Short, so that soon all is quiet.
OPTIONS = {
    "max_length": MAX_LENGTH,
    "ping": 2,
    "ping_timeout": 1,
    "close_timeout": 0.5,
    "send_timeout": SEND_TIMEOUT,
}
# Seconds that peers are let loose before a sample, and that the server then has to come to rest.
ROUND = 6.0
REST = 6.0
LAST_REST = 20.0
# Seconds in which the peers have to do what they are told.
ANSWER_LIMIT = 180.0
# What there is for a connection, and goes with it.
COUNTS = ("objects", "greenlets", "descriptors")
# Of each kind those that hold on to what they never read, and the seconds they may.
HELD = 5
HELD_LIMIT = 3 * SEND_TIMEOUT + 6.0


@dataclass
class Outcome:
    """What came of the soak of one server."""

    kind: Kind
    served: Series | None = None
    peers: Series | None = None
    played: int = 0
    failed: dict[str, int] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)

    def rows(self) -> list[list[str]]:
        """Return the rows of the table."""
        rows = []
        for name, series in ((str(self.kind), self.served), ("- its peers", self.peers)):
            if series is None:
                continue
            cells = [series.cell(measure) for measure in MEASURES]
            faults = self.faults if series is self.served else series.faults()
            rows.append([name, f"{self.played:,}", *cells, "flat" if not faults else "no"])
        return rows


class Peers(Group):
    """The process of the peers."""

    def __init__(self, server: Server, folder: Path, options: argparse.Namespace) -> None:
        command = [sys.executable, "-m", "campaigns.load", str(server.port)]
        command += ["--at-once", str(options.at_once), "--rate", str(options.rate)]
        if server.ca:
            command += ["--ca", server.ca]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        super().__init__(command, folder / "peers.log", **pipes)

    def __enter__(self) -> Peers:
        return self

    def obey(self, line: str) -> dict[str, Any]:
        """Have the peers do something, and return what they say of it.

        Raises:
            CampaignError: the process has ended.
        """
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        with suppress(OSError, ValueError):
            self.process.stdin.write(line + "\n")
            self.process.stdin.flush()
            # One answer is one line, so nothing of it is in a buffer already.
            if not select.select([self.process.stdout], [], [], ANSWER_LIMIT)[0]:
                raise CampaignError(f"the peers hang, told to {line}")
            answer: dict[str, Any] = json.loads(self.process.stdout.readline())
            return answer
        raise CampaignError(f"the peers have ended:\n{self.logged()[-2000:]}")


def rest(server: Server, seconds: float, goal: Stock) -> Stock:
    """Wait until there is no more than in `goal`, or for so many seconds; return what there is."""
    deadline = time.monotonic() + seconds
    while True:
        stock = server.stats()
        if not exceeds(stock, goal) or time.monotonic() > deadline:
            return stock
        time.sleep(0.3)


def exceeds(stock: Stock, goal: Stock, allowed: int = 0) -> bool:
    """Tell whether there is more of anything that goes with its connection."""
    return any(stock[name] > goal[name] + allowed for name in COUNTS)


def soak(kind: Kind, folder: Path, options: argparse.Namespace) -> Outcome:
    """Soak one server."""
    outcome = Outcome(kind)
    folder.mkdir()
    try:
        with (
            Server(kind, folder, Certificates(folder), OPTIONS, options.line) as server,
            Peers(server, folder, options) as peers,
        ):
            try:
                play(server, peers, outcome, options.seconds)
            finally:
                outcome.faults += judge_log(server)
    except CampaignError as error:
        outcome.faults.append(str(error))
    outcome.faults += [f"{number} x {words}" for words, number in outcome.failed.items()]
    for series in (outcome.served, outcome.peers):
        if series is not None:
            whose = "" if series is outcome.served else "peers: "
            faults = series.faults()
            outcome.faults += [whose + fault for fault in faults]
            if faults and (growth := series.growth()):
                outcome.faults.append(f"{whose}more than before: {growth}")
    return outcome


def play(server: Server, peers: Peers, outcome: Outcome, duration: float) -> None:
    """Let the peers loose, round after round, and take stock."""
    peers.obey("warm")
    answer = peers.obey("run 2")
    time.sleep(REST)
    first = server.stats()
    served = outcome.served = Series(duration, first)
    clients = outcome.peers = Series(duration, answer["stock"])

    start = time.monotonic()
    length = min(ROUND, duration / 8)
    while time.monotonic() - start < duration:
        answer = peers.obey(f"run {length}")
        outcome.played, outcome.failed = answer["played"], answer["failed"]
        stock = rest(server, min(REST, length), first)
        if stock["pid"] != first["pid"]:
            raise CampaignError("the process that serves has ended, and another has begun")
        elapsed = time.monotonic() - start
        served.samples.append((elapsed, stock))
        clients.samples.append((elapsed, answer["stock"]))
        tell(server.kind, elapsed, outcome, stock)
    if answer["stuck"]:
        outcome.faults.append(f"peers do not come back: {count(answer['stuck'])}")
    served.after = rest(server, LAST_REST, first)
    clients.after = peers.obey("run 0")["stock"]
    outcome.faults += see_held_let_go(server, peers, served.after)


def see_held_let_go(server: Server, peers: Peers, before: Stock) -> list[str]:
    """See that the server lets go of those who never read, while they hold on."""
    peers.obey(f"hold {HELD}")
    start = time.monotonic()
    while (seconds := time.monotonic() - start) < HELD_LIMIT:
        peers.obey("pong")
        stock = server.stats()
        if not exceeds(stock, before, allowed=HELD - 1):
            break
        time.sleep(0.3)
    peers.obey("leave")
    if seconds < HELD_LIMIT:
        return []
    more = ", ".join(f"{stock[name] - before[name]} {name}" for name in COUNTS)
    return [
        f"{HELD} WebSockets and {HELD} streams that never read are kept after"
        f" {HELD_LIMIT:.0f} s: {more}"
    ]


def judge_log(server: Server) -> list[str]:
    """Return what is wrong in the log of the server. Its own tracebacks are its own."""
    log = server.logged()
    ours = [one for one in tracebacks(log) if f'File "{PACKAGE}' in one]
    faults = [f"{len(ours)} tracebacks with faye_ws, the first:\n{ours[0]}"] if ours else []
    others = [words for words in noise(log).split(", ") if words and "traceback" not in words]
    return faults + [f"in the log: {words}" for words in others]


def count(names: list[str]) -> str:
    return ", ".join(f"{number} {name}" for name, number in Counter(names).most_common())


def tell(kind: Kind, seconds: float, outcome: Outcome, stock: Stock) -> None:
    """Print a line about how far a soak is."""
    counts = ", ".join(f"{stock[measure]:.0f} {word}" for measure, word in MEASURES.items())
    failed = sum(outcome.failed.values())
    print(
        f"{seconds:5.0f} s  {kind}: {outcome.played:,} conversations, {failed} failed; {counts}",
        file=sys.stderr,
        flush=True,
    )


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog=".ci/soak", description="Let hostile and polite peers loose on every server."
    )
    add = parser.add_argument
    add("--seconds", type=float, default=600.0, help="for each server (default: 600)")
    add_servers(parser, "servers")
    add("--at-once", type=int, default=24, help="peers at once (default: 24)")
    add("--rate", type=float, default=150.0, help="the most peers a second (default: 150)")
    options = parser.parse_args()
    try:
        options.kinds = choose(options.servers)
    except ValueError as error:
        parser.error(str(error))
    if options.seconds <= 0 or not 0 < options.rate <= 300 or not 0 < options.at_once <= 50:
        parser.error("seconds above 0, at most 50 peers at once and 300 a second")
    return options


def run(options: argparse.Namespace, folder: Path) -> list[Outcome]:
    """Soak all servers, so many at once."""

    def soak_one(kind: Kind) -> Outcome:
        return soak(kind, folder / str(kind), options)

    return run_together(soak_one, options.kinds, options.together)


def main() -> int:
    """Do what the command line asks for; return the exit status."""
    options = parse_arguments()
    prepare_for_signals()
    with tempfile.TemporaryDirectory(prefix="soak-", ignore_cleanup_errors=True) as folder:
        outcomes = run(options, Path(folder))
    head = ["server", "peers", *MEASURES.values(), ""]
    rows = [row for outcome in outcomes for row in outcome.rows()]
    print(table([head, *rows], words={0, len(head) - 1}))
    for outcome in outcomes:
        for fault in outcome.faults:
            print(f"{outcome.kind}: {fault}")
    return 1 if any(outcome.faults for outcome in outcomes) else 0


if __name__ == "__main__":
    sys.exit(main())
