"""See that each source is covered by its own test files, branches included.

    python -m campaigns.coverage --help

For each source, its own test files run alone, and only what they execute of that source counts:
a line that other tests happen to pass through is not a line that is tested. A source without test
files, such as one of constants, has to be covered by being imported. Which test files are whose,
and the exceptions, `own_tests` tells.

A line with `pragma: no cover` is excused if it says why: `# pragma: no cover - only on Windows`.

Exit status: 0 if all is covered, 1 if not.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from .own_tests import PYTEST, ROOT, all_sources, module_name, own_tests

# Seconds that the test files of one source may take. Those that do not end are stopped.
LIMIT = 300.0
PRAGMA = re.compile(r"#\s*pragma: no (?:cover|branch)(.*)")


class Outcome(NamedTuple):
    """What came of one source: what is wrong, nothing if all is well, and the seconds it took."""

    source: str
    faults: list[str]
    seconds: float


def measure(source: Path) -> Outcome:
    """Run the own test files of a source, and see what they leave out of it."""
    start = time.monotonic()
    faults = unexplained_pragmas(source)
    with tempfile.TemporaryDirectory(prefix="coverage-") as name:
        folder = Path(name)
        tests = [str(path.relative_to(ROOT)) for path in own_tests(source)]
        alone = [*PYTEST, "-p", "campaigns.raw_threads", *tests]
        faults += run(folder, "run", *(alone if tests else [importing(source, folder)]))
        # With a list that is empty if the tests have not even imported the source.
        report = folder / "report.json"
        run(folder, "json", "--quiet", f"--include={source}", "-o", str(report))
        files = json.loads(report.read_text())["files"] if report.exists() else {}
        faults += [fault for file in files.values() for fault in missing(file)]
        if not files:
            faults.append("it is not measured")
    return Outcome(source.relative_to(ROOT).as_posix(), faults, time.monotonic() - start)


def importing(source: Path, folder: Path) -> str:
    """Return the path of a program that only imports a source."""
    program = folder / "importing.py"
    program.write_text(f"import {module_name(source)}\n")
    return str(program)


def run(folder: Path, *arguments: str) -> list[str]:
    """Run coverage with its data in a folder; return what it says if it fails."""
    environ = os.environ | {"COVERAGE_FILE": f"{folder}/data", "PYTHONPATH": str(ROOT)}
    try:
        done = subprocess.run(
            [sys.executable, "-m", "coverage", *arguments],
            cwd=ROOT,
            env=environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=LIMIT,
        )
    except subprocess.TimeoutExpired:
        return [f"its tests have not ended after {LIMIT:.0f} s"]
    if done.returncode == 0:
        return []
    return ["its tests fail:\n" + "\n".join(done.stdout.splitlines()[-30:])]


def missing(file: dict[str, Any]) -> list[str]:
    """Return the lines and the branches that coverage's report on a file has as not executed."""
    lines: list[int] = file["missing_lines"]
    faults = [f"not executed: {ranges(lines)}"] if lines else []
    for start, end in file["missing_branches"]:
        # What leads to or from such a line is not worth another word.
        if start not in lines and abs(end) not in lines:
            where = f"to line {end}" if end > 0 else "out of the function"
            faults.append(f"line {start} never leads {where}")
    return faults


def ranges(numbers: list[int]) -> str:
    """Return line numbers in ascending order in a short form, such as `3, 5-8`."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)


def unexplained_pragmas(source: Path) -> list[str]:
    """Return the lines that are excused without a reason."""
    lines = source.read_text(encoding="utf-8").splitlines()
    found = ((number, PRAGMA.search(line)) for number, line in enumerate(lines, 1))
    return [
        f"line {number} is excused without a reason"
        for number, match in found
        if match and not re.search(r"\w", match[1])
    ]


def parse_arguments() -> list[Path]:
    parser = argparse.ArgumentParser(
        prog=".ci/coverage",
        description="See that each source is covered by its own test files, branches included.",
    )
    parser.add_argument(
        "sources", nargs="*", type=Path, help="such as faye_ws/driver/http.py; all by default"
    )
    sources = [path.resolve() for path in parser.parse_args().sources] or all_sources()
    for source in sources:
        if source not in all_sources():
            parser.error(f"{source} is not one of the sources that are measured")
    return sources


def main() -> int:
    """Measure what the command line asks for; return the exit status."""
    failed = 0
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for source, faults, seconds in pool.map(measure, parse_arguments()):
            print(f"{'failed' if faults else 'ok':6}  {source}, {seconds:.0f} s", flush=True)
            for fault in faults:
                print(f"        {fault}")
            failed += bool(faults)
    if failed:
        print(f"{failed} sources are not covered by their own tests", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
