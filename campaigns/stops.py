"""Stop every server by a signal while connections are open, and measure how they end.

    python -m campaigns.stops --help

To each server go WebSockets (idle, fed by a greenlet, fed by a native thread, in a blocking
view) and event streams. Then it gets a signal. Each WebSocket must be told 1001, and each event
stream must end, within a second; the process (with HUP and gunicorn: the old worker) must end
soon; and the log must have no errors.

Exit status: 0 if all requirements are met, 1 if not, 2 if a server can't be tested.
"""

from __future__ import annotations

import argparse
import shlex
import signal
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from .commands import add_servers, prepare_for_signals, run_together
from .departing import Departure, Watcher, WebSocketPeer, open_streams, open_websockets
from .servers import (
    ROOT,
    CampaignError,
    Certificates,
    Kind,
    Server,
    choose,
    noise,
    tracebacks,
)
from .tables import Page, table
from .wire import Address

SIGNALS = ("TERM", "HUP", "INT")
# Seconds that a server has in which to end. gunicorn's own limits are 10 and 30.
LIMIT = 45.0
# How late a process may end whose peers have all answered, and one of which some never do:
# the grace that the servers are given, and a little.
EXIT = 3.0
EXIT_WITH_DEAF = 12.0


@dataclass(frozen=True)
class Stop:
    """One stop: which server, by which signal, and how many peers never answer."""

    kind: Kind
    signal: str
    deaf: int


@dataclass(frozen=True)
class Result:
    """How one stop went. Seconds count from the signal; None is never."""

    stop: Stop
    websockets: list[Departure]
    streams: list[Departure]
    exit_seconds: float | None
    status: int | None
    noise: str

    def faults(self, within: float) -> list[str]:
        """Return what is not as wanted."""
        faults = []
        told = [peer.told for peer in self.websockets if peer.code == 1001]
        if len(told) < len(self.websockets):
            faults.append(f"{len(self.websockets) - len(told)} WebSockets are not told 1001")
        if any(seconds > within for seconds in told if seconds is not None):
            faults.append(f"1001 comes after {within} s")
        if any(peer.how != "clean" for peer in self.streams):
            faults.append(f"event streams: {hows(self.streams)}")
        if any(peer.ended is not None and peer.ended > within for peer in self.streams):
            faults.append(f"event streams end after {within} s")
        limit = EXIT_WITH_DEAF if self.stop.deaf else EXIT
        if self.exit_seconds is None or self.exit_seconds > limit:
            faults.append(f"it does not exit within {limit:.0f} s")
        number = getattr(signal, f"SIG{self.stop.signal}")
        if self.status not in (None, 0, -number, 128 + number):
            faults.append(f"it exits with {self.status}")
        if self.noise:
            faults.append(f"{self.noise} in the log")
        return faults

    def cells(self) -> list[str]:
        """Return the row of the table."""
        told = [peer.told for peer in self.websockets if peer.code == 1001]
        ended = [peer.ended for peer in self.streams]
        status = "" if self.status is None else str(self.status)
        return [
            str(self.stop.kind),
            self.stop.signal,
            str(self.stop.deaf),
            f"{len(told)} of {len(self.websockets)}",
            latest(told),
            hows(self.streams),
            latest(ended),
            latest([self.exit_seconds]),
            status,
            self.noise or "none",
        ]


HEAD = [
    "server",
    "signal",
    "deaf",
    "1001",
    "last, s",
    "streams",
    "last, s",
    "exit, s",
    "status",
    "trouble in the log",
]


def hows(streams: list[Departure]) -> str:
    """Return how event streams ended, as a cell."""
    return ", ".join(f"{number} {how}" for how, number in Counter(p.how for p in streams).items())


def latest(seconds: list[float | None]) -> str:
    """Return the latest of some times, as a cell."""
    if not seconds:
        return "-"
    known = [one for one in seconds if one is not None]
    return f"{max(known):.2f}" if len(known) == len(seconds) else "never"


def play(stop: Stop, options: argparse.Namespace, certificates: Certificates) -> Result:
    """Start a server, connect, send it the signal, and watch all end."""
    with tempfile.TemporaryDirectory(prefix="stops-") as folder:
        more = shlex.split(options.gunicorn)
        server = Server(stop.kind, Path(folder), certificates, line=options.line, gunicorn=more)
        with server:
            address = Address(server.port, server.ca)
            websockets = open_websockets(address, options.connections, stop.deaf)
            streams = open_streams(address, options.connections)
            return watch(stop, server, websockets, streams)


def watch(
    stop: Stop, server: Server, websockets: list[WebSocketPeer], streams: list[Departure]
) -> Result:
    """Send the signal, and note when what ends."""
    with Watcher([*websockets, *streams]) as watcher:
        watcher.settle()
        before = len(server.logged())
        reload = stop.signal == "HUP" and stop.kind.is_gunicorn
        old = server.serving_pid()
        server.process.send_signal(getattr(signal, f"SIG{stop.signal}"))
        watcher.start()

        def has_ended() -> bool:
            if reload:
                return not Path(f"/proc/{old}").exists()
            return server.process.poll() is not None

        exit_seconds = watcher.run_until(has_ended, LIMIT)
        # What was sent before the end may still be on its way.
        watcher.drain()
    # The status of a worker is its parent's to know.
    status = None if reload else server.process.poll()
    trouble = [] if not reload or serves(server) else ["the new worker does not serve"]
    log = server.logged()[before:]
    last_words = tracebacks(log)[:1]
    if status in (-signal.SIGABRT, -signal.SIGSEGV):
        last_words.append("\n".join(log.splitlines()[-5:]))
    for words in last_words:
        print(f"{stop.kind} {stop.signal}: {words}", file=sys.stderr)
    said = ", ".join(filter(None, (noise(log), *trouble)))
    return Result(stop, [*websockets], streams, exit_seconds, status, said)


def serves(server: Server) -> bool:
    """Tell whether a server answers."""
    try:
        return bool(server.get("/"))
    except CampaignError:
        return False


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=".ci/stops", description="Stop every server while connections are open."
    )
    add = parser.add_argument
    add_servers(parser, "stops")
    add("--signals", default=",".join(SIGNALS), help="of TERM, HUP, INT (default: all)")
    add("--connections", type=int, default=50, help="of each of the two kinds (default: 50)")
    add(
        "--deaf",
        default="0,5",
        help="how many peers never answer; one stop for each number of the list (default: 0,5)",
    )
    add("--within", type=float, default=1.0, help="seconds in which all must be told (default: 1)")
    add("--gunicorn", default="", help="more arguments for gunicorn, such as '-c hooks.py'")
    add(
        "--write-page",
        metavar="PAGE",
        help="put the table into this page, such as docs/stopping.md, between its comments",
    )
    return parser


def parse_arguments() -> argparse.Namespace:
    """Return the options of the command line."""
    parser = make_parser()
    options = parser.parse_args()
    try:
        options.kinds = choose(options.servers)
        options.deaf = [int(number) for number in options.deaf.split(",")]
        options.page = Page(ROOT / options.write_page, "stops") if options.write_page else None
    except (OSError, ValueError) as error:
        parser.error(str(error))
    options.signals = [
        word.strip().upper().removeprefix("SIG") for word in options.signals.split(",")
    ]
    if unknown := set(options.signals) - set(SIGNALS):
        parser.error(f"no signal: {', '.join(sorted(unknown))}")
    if max(options.deaf) > options.connections:
        parser.error("more deaf peers than connections")
    return options


def run(options: argparse.Namespace) -> list[Result | CampaignError]:
    """Play all stops, and print how each went."""
    stops = [
        Stop(kind, word, deaf)
        for kind in options.kinds
        for deaf in options.deaf
        for word in options.signals
    ]
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="stops-") as folder:
        certificates = Certificates(Path(folder))

        def play_and_tell(stop: Stop) -> Result | CampaignError:
            name = f"{stop.kind} {stop.signal}" + (f", {stop.deaf} deaf" if stop.deaf else "")
            outcome: Result | CampaignError
            try:
                outcome = play(stop, options, certificates)
            except (CampaignError, OSError, AssertionError) as error:
                outcome = CampaignError(f"{name}: {error}")
                words = str(error)
            else:
                words = "; ".join(outcome.faults(options.within)) or "as wanted"
            seconds = time.monotonic() - start
            print(f"{seconds:5.0f} s  {name}: {words}", file=sys.stderr, flush=True)
            return outcome

        return run_together(play_and_tell, stops, options.together)


def main() -> int:
    """Do what the command line asks for; return the exit status."""
    options = parse_arguments()
    prepare_for_signals()
    outcomes = run(options)
    results = [outcome for outcome in outcomes if isinstance(outcome, Result)]
    text = table([HEAD, *(result.cells() for result in results)], words={0, 1, 5, 9})
    print(text)
    if len(results) < len(outcomes):
        return 2
    if options.page:
        options.page.write(text)
    return 1 if any(result.faults(options.within) for result in results) else 0


if __name__ == "__main__":
    sys.exit(main())
