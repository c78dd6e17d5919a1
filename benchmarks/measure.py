"""Measure one server once: start it, put the load on it, watch both processes, end them.

The server gets a core of its own and the load generator another one where there are two. Every
process that is started here is ended here, whatever happens.
"""

import json
import os
import shlex
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, TypedDict

from peers import HERE, YARDSTICK, Peer, server_environment
from scenarios import Scenario

STARTUP_LIMIT = 20.0
IDLE_LIMIT = 240.0
WARM_UP_CONNECTIONS = 50
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


class MeasurementError(Exception):
    """A server did not start, or did not do what a WebSocket server has to; the text says what."""


class Run(TypedDict, total=False):
    """One measurement: `value` in the scenario's unit, loads in cores, latencies in microseconds.

    `least_share` is what the worst-served connection got of what an average one did.
    """

    value: float
    server_load: float
    generator_load: float
    p50_us: float
    p99_us: float
    least_share: float


def build_generator(folder: Path) -> Path:
    """Compile the load generator into `folder`."""
    program = folder / "load"
    compiler = shlex.split(os.environ.get("CC", "cc"))
    try:
        sources = map(str, sorted((HERE / "load").glob("*.c")))
        subprocess.run([*compiler, "-O2", "-o", str(program), *sources], check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise SystemExit(f"the load generator needs a C compiler: {error}") from error
    return program


@contextmanager
def pinned(core: int | None) -> Iterator[None]:
    """Stay on one core during the block: programs started in it inherit that, and their threads."""
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, allowed if core is None else {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)


@contextmanager
def running(
    command: list[str], core: int | None, limit: float, **options: Any
) -> Iterator[subprocess.Popen[str]]:
    """Run a program for the duration of the block, and at most for `limit` seconds.

    It is in a session of its own, so that Ctrl-C reaches only us, and we end it.

    Raises:
        MeasurementError: it cannot be started, or its output ended while the block waited for more.
    """
    with tempfile.TemporaryFile("w+") as errors:
        try:
            with pinned(core):
                process = subprocess.Popen(
                    command,
                    stdout=subprocess.PIPE,
                    stderr=errors,
                    text=True,
                    start_new_session=True,
                    **options,
                )
        except OSError as error:
            raise MeasurementError(f"{error.filename}: {error.strerror}") from None
        timer = threading.Timer(limit, process.kill)
        timer.start()
        try:
            yield process
        except EOFError:
            process.wait()
            raise MeasurementError(complaint(errors, process.returncode)) from None
        finally:
            timer.cancel()
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()


def complaint(errors: IO[str], status: int) -> str:
    """Return the line of a failed program's standard error that says most."""
    errors.seek(0)
    lines = [line.strip() for line in errors if line.strip()]
    if not lines and status == -signal.SIGKILL:
        return "it took too long"
    if not lines:
        return f"it ended with status {status} and no word"
    line = next((line for line in lines if line.split(":")[0].endswith("Error")), lines[-1])
    return line.replace(f"{HERE.parent}/", "")


def next_line(process: subprocess.Popen[str]) -> str:
    """Return the next line that a program prints.

    Raises:
        EOFError: there is none; `running` turns that into the program's own complaint.
    """
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise EOFError
    return line


def next_json(process: subprocess.Popen[str]) -> dict[str, float]:
    values: dict[str, float] = json.loads(next_line(process))
    return values


def cpu_seconds(pid: int) -> float:
    """Return the processor time that all threads of a process have used."""
    # The second field, the name in parentheses, may itself contain spaces.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_SECOND


def occupied_memory(pid: int) -> int:
    """Return the bytes that a process occupies; pages that it shares with others count in part.

    Raises:
        MeasurementError: there is no such process any more.
    """
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    raise MeasurementError("the server has ended")


def settled_memory(pid: int) -> int:
    """Have a server collect its garbage, and return the bytes it occupies when that has settled."""
    os.kill(pid, signal.SIGUSR2)
    before, now = 0, occupied_memory(pid)
    deadline = time.monotonic() + 10
    while abs(now - before) > now / 1000 and time.monotonic() < deadline:
        time.sleep(0.5)
        before, now = now, occupied_memory(pid)
    return now


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


class Bench:
    """The load generator, the cores and the times of a series of measurements, in seconds."""

    def __init__(self, generator: Path, node_modules: Path, seconds: float, warm_up: float) -> None:
        self.generator = generator
        self.environment = server_environment(node_modules)
        self.seconds = seconds
        self.warm_up = warm_up
        cores = sorted(os.sched_getaffinity(0))
        self.server_core = cores[0] if len(cores) > 1 else None
        self.generator_core = cores[1] if len(cores) > 1 else None

    def measure(self, peer: Peer, scenario: Scenario) -> Run:
        """Start the peer's server, measure it once, end it.

        Raises:
            MeasurementError: the server failed.
        """
        with self._server(peer, scenario) as (server, port):
            arguments = [*scenario.arguments(), "--port", str(port)]
            if peer.name == YARDSTICK:
                arguments.append("--raw")
            if scenario.mode == "idle":
                return self._memory(server.pid, arguments, scenario.connections)
            return self._rate(server.pid, arguments)

    def check(self, peer: Peer, scenario: Scenario) -> None:
        """Start and end the peer's server for a scenario.

        Raises:
            MeasurementError: it does not start, most likely because a package is missing.
        """
        with self._server(peer, scenario):
            pass

    @contextmanager
    def _server(
        self, peer: Peer, scenario: Scenario
    ) -> Iterator[tuple[subprocess.Popen[str], int]]:
        port = free_port()
        limit = STARTUP_LIMIT + max(IDLE_LIMIT, self.seconds + self.warm_up)
        command = peer.command(scenario, port)
        with running(command, self.server_core, limit, env=self.environment) as process:
            if next_line(process).strip() != "READY":
                raise MeasurementError("it printed something else than READY")
            yield process, port

    def _load(self, arguments: list[str], limit: float, **options: Any) -> Any:
        return running([str(self.generator), *arguments], self.generator_core, limit, **options)

    def _rate(self, pid: int, arguments: list[str]) -> Run:
        times = ["--seconds", str(self.seconds), "--warm-up", str(self.warm_up)]
        limit = STARTUP_LIMIT + self.seconds + self.warm_up
        with self._load(arguments + times, limit) as generator:
            next_line(generator)
            used, begin = cpu_seconds(pid), time.monotonic()
            result = next_json(generator)
            used, elapsed = cpu_seconds(pid) - used, time.monotonic() - begin
        run: Run = {
            "value": result["count"] / result["seconds"],
            "server_load": used / elapsed,
            "generator_load": result["cpu_seconds"] / result["seconds"],
            "p50_us": result["p50_us"],
            "p99_us": result["p99_us"],
        }
        if "least_share" in result:
            run["least_share"] = result["least_share"]
        return run

    def _memory(self, pid: int, arguments: list[str], connections: int) -> Run:
        # The first connections also pay for what a server loads and allocates only once, and the
        # memory they used may stay with the server. Hence the growth from some to all of them.
        some = min(WARM_UP_CONNECTIONS, connections // 2)
        before = self._hold([*arguments, "--connections", str(some)], pid)
        return {"value": (self._hold(arguments, pid) - before) / (connections - some)}

    def _hold(self, arguments: list[str], pid: int) -> int:
        """Return the memory of the server while it has the connections that `arguments` ask for."""
        with self._load(arguments, IDLE_LIMIT, stdin=subprocess.PIPE) as generator:
            next_line(generator)
            memory = settled_memory(pid)
            generator.stdin.close()
            lost = next_json(generator)["lost"]
            if lost:
                raise MeasurementError(f"the server dropped {lost:,} idle connections")
        return memory
