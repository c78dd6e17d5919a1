"""Put small faults into sources, one at a time, and see whether the sources' own tests notice.

    python -m campaigns.mutation --help

A mutant is killed if a test fails, or if the tests don't end in their time. One that survives
shows what no test tests, or a line that is not needed, or it does the same as the source; the
last are explained in `docs/mutation.md`, where a survivor is told from the others by its
difference, not by its line.

Each of two or more workers has a copy of the project, so nothing is ever changed in this one.

Exit status: 0 if all survivors are explained, 1 if not, 2 if the tests fail without a fault.
"""

from __future__ import annotations

import argparse
import os
import queue
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from .mutants import Mutant, mutants_of
from .own_tests import PACKAGE, PYTEST, ROOT, all_sources, own_tests

DEFAULT = ("driver", "connecting", "websocket")
EXPLAINED = ROOT / "docs" / "mutation.md"
# How often the time that the tests take without a fault they may take with one, and seconds more.
PATIENCE = 3.0
START = 5.0
# Seconds that they may take without a fault.
LIMIT = 300.0


class TestsFail(Exception):
    """The tests of a source fail without a fault; the message has their output."""


class Copy:
    """A copy of the project, in which sources are changed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        ignore = shutil.ignore_patterns(".*", "__pycache__", "node_modules")
        shutil.copytree(ROOT, folder, ignore=ignore)

    def survives(self, mutant: Mutant, limit: float) -> bool:
        """Tell whether the tests of a source pass with a fault in it."""
        path = self._folder / mutant.name
        original = path.read_text(encoding="utf-8")
        try:
            self._write(path, mutant.text)
            return self.run(mutant.path, limit) is None
        finally:
            self._write(path, original)

    def _write(self, path: Path, text: str) -> None:
        path.write_text(text, encoding="utf-8")
        # Python tells a source from an older one by its size and the second it was written in.
        for cached in (path.parent / "__pycache__").glob(f"{path.stem}.*"):
            cached.unlink()

    def run(self, source: Path, limit: float) -> str | None:
        """Run the tests of a source; return their output if they fail or don't end in time."""
        tests = [str(path.relative_to(ROOT)) for path in own_tests(source)]
        process = subprocess.Popen(
            [sys.executable, *PYTEST, "-x", *tests],
            cwd=self._folder,
            env=os.environ | {"PYTHONPATH": str(self._folder)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        try:
            output, _ = process.communicate(timeout=limit)
        except subprocess.TimeoutExpired:
            output = f"not ended after {limit:.0f} s"
        finally:
            # With what the tests may have started.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        return None if process.returncode == 0 else output


class Explained(NamedTuple):
    """A survivor that the page explains: of which source, and its difference."""

    name: str
    difference: str


def explained() -> set[Explained]:
    """Read the page of survivors: a heading for each source, a block for each difference."""
    text = EXPLAINED.read_text(encoding="utf-8")
    found = set()
    for name, part in re.findall(r"^## (\S+)\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL):
        for block in re.findall(r"^```diff\n(.*?)^```", part, re.MULTILINE | re.DOTALL):
            found.add(Explained(name, without_indent(block)))
    return found


def without_indent(difference: str) -> str:
    """Return a difference as it is compared: how deep its lines are does not count."""
    return "\n".join(line[0] + line[1:].strip() for line in difference.splitlines())


class Run:
    """One run: mutants are given to whatever copy of the project is free."""

    def __init__(self, folder: Path, workers: int) -> None:
        self._copies: queue.Queue[Copy] = queue.Queue()
        self._limits: dict[Path, float] = {}
        for number in range(workers):
            self._copies.put(Copy(folder / str(number)))

    def learn_limit(self, source: Path) -> None:
        """Learn how long the tests of a source take.

        Raises:
            TestsFail: they fail.
        """
        copy = self._copies.get()
        start = time.monotonic()
        try:
            output = copy.run(source, LIMIT)
        finally:
            self._copies.put(copy)
        if output is not None:
            raise TestsFail(f"{source}\n{output}")
        self._limits[source] = PATIENCE * (time.monotonic() - start) + START

    def survives(self, mutant: Mutant) -> bool:
        copy = self._copies.get()
        try:
            return copy.survives(mutant, self._limits[mutant.path])
        finally:
            self._copies.put(copy)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog=".ci/mutation", description="See whether the tests notice small faults in the sources."
    )
    add = parser.add_argument
    add(
        "sources",
        nargs="*",
        type=Path,
        help=f"files or folders, such as faye_ws/driver (default: {', '.join(DEFAULT)})",
    )
    add("--sample", type=int, default=200, help="how many mutants are tried (default: 200)")
    add("--seed", default="0", help="which: another seed tries others (default: 0)")
    options = parser.parse_args()
    paths = [path.resolve() for path in options.sources] or [PACKAGE / name for name in DEFAULT]
    options.sources = [
        source
        for source in all_sources()
        if own_tests(source) and any(path in (source, *source.parents) for path in paths)
    ]
    if not options.sources:
        parser.error("no source there has tests of its own")
    return options


def main() -> int:
    """Try what the command line asks for; return the exit status."""
    options = parse_arguments()
    mutants = [mutant for source in options.sources for mutant in mutants_of(source)]
    chosen = random.Random(options.seed).sample(mutants, min(options.sample, len(mutants)))
    chosen.sort(key=lambda mutant: (mutant.path, mutant.line))
    print(f"{len(chosen)} of {len(mutants)} mutants of {len(options.sources)} sources", flush=True)
    workers = os.cpu_count() or 1
    known = explained()
    tried: Counter[str] = Counter()
    with (
        tempfile.TemporaryDirectory(prefix="mutation-", ignore_cleanup_errors=True) as folder,
        ThreadPoolExecutor(workers) as pool,
    ):
        run = Run(Path(folder), workers)
        try:
            list(pool.map(run.learn_limit, {mutant.path for mutant in chosen}))
        except TestsFail as error:
            print(f"The tests fail without a fault: {error}", file=sys.stderr)
            return 2
        for mutant, survives in zip(chosen, pool.map(run.survives, chosen), strict=True):
            is_known = Explained(mutant.name, without_indent(mutant.difference)) in known
            outcome = ("explained" if is_known else "survived") if survives else "killed"
            tried[outcome] += 1
            if outcome == "survived":
                print(f"\n{mutant.name}:{mutant.line}\n{mutant.difference}", flush=True)
    print(", ".join(f"{number} {outcome}" for outcome, number in sorted(tried.items())))
    return 1 if tried["survived"] else 0


if __name__ == "__main__":
    sys.exit(main())
