"""The results of a benchmark, with the machine, the versions and the settings, kept as JSON."""

import json
import os
import platform
import shutil
import statistics
import subprocess
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

from measure import Run
from peers import PEERS, Peer
from scenarios import Scenario, scenarios

# Of a core. Outside of these, something else than the server was what limited the rate.
LEAST_SERVER_LOAD = 0.85
MOST_GENERATOR_LOAD = 0.95


@dataclass(frozen=True)
class Summary:
    """The rounds of one peer in one scenario, each value the median of its kind."""

    median: float
    low: float
    high: float
    server_load: float | None
    generator_load: float | None
    p50_us: float | None
    p99_us: float | None
    least_share: float | None

    @property
    def is_doubtful(self) -> bool:
        """The server was not busy or the generator was: the rate is not the server's limit."""
        if self.server_load is None or self.generator_load is None:
            return False
        return self.server_load < LEAST_SERVER_LOAD or self.generator_load > MOST_GENERATOR_LOAD


@dataclass
class Results:
    """All that a table or a picture needs; keys of `runs` and `failures` are "scenario/peer"."""

    date: str
    command: str
    machine: str
    seconds: float
    rounds: int
    idle_connections: int
    versions: dict[str, dict[str, str]] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    runs: dict[str, list[Run]] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)

    def add(self, scenario: Scenario, peer: Peer, run: Run) -> None:
        self.runs.setdefault(f"{scenario.name}/{peer.name}", []).append(run)

    def fail(self, scenario: Scenario, peer: Peer, reason: str) -> None:
        self.failures[f"{scenario.name}/{peer.name}"] = reason

    def failure(self, scenario: Scenario, peer: Peer) -> str | None:
        return self.failures.get(f"{scenario.name}/{peer.name}")

    def summary(self, scenario: Scenario, peer_name: str) -> Summary | None:
        """Return what came out, or `None` if this was not measured or failed in any round."""
        key = f"{scenario.name}/{peer_name}"
        if key in self.failures or key not in self.runs:
            return None
        runs = self.runs[key]
        values = [run["value"] for run in runs]

        def median(what: str) -> float | None:
            present = [value for run in runs if isinstance(value := run.get(what), float)]
            return statistics.median(present) if present else None

        return Summary(
            statistics.median(values),
            min(values),
            max(values),
            median("server_load"),
            median("generator_load"),
            median("p50_us"),
            median("p99_us"),
            median("least_share"),
        )

    def measured_scenarios(self) -> list[Scenario]:
        keys = {key.split("/")[0] for key in [*self.runs, *self.failures]}
        return [scenario for scenario in scenarios(self.idle_connections) if scenario.name in keys]

    def measured_peers(self) -> list[Peer]:
        keys = {key.split("/")[1] for key in [*self.runs, *self.failures]}
        return [peer for peer in PEERS if peer.name in keys]

    def save(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self), indent=1) + "\n")

    @classmethod
    def load(cls, path: Path) -> "Results":
        return cls(**json.loads(path.read_text()))

    @classmethod
    def begin(cls, command: str, seconds: float, rounds: int, idle_connections: int) -> "Results":
        """Return results without any runs yet, of today and this machine."""
        today = time.strftime("%Y-%m-%d", time.gmtime())
        return cls(today, command, describe_machine(), seconds, rounds, idle_connections)


def describe_machine() -> str:
    """Return what the numbers depend on besides the peers."""
    cores = len(os.sched_getaffinity(0))
    description = [
        processor_name(),
        f"{cores} core{'s' * (cores > 1)}",
        f"{platform.system()} {platform.release().partition('-')[0]}",
        f"{platform.python_implementation()} {platform.python_version()}",
    ]
    if node := shutil.which("node"):
        version = subprocess.check_output([node, "--version"], text=True).strip()
        description.append(f"Node {version.removeprefix('v')}")
    return ", ".join(description)


def processor_name() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
