"""Run Autobahn|Testsuite against faye_ws, and write the page with the results.

    python autobahn/run.py server client --write-page
    python autobahn/run.py server --cases '1.*,5.19' --exclude '1.2.*'
    python autobahn/run.py --help

The suite is installed if it is not there. Exit status: 0 if every case is OK or informational,
1 if one is not or never ran, 2 if the suite can't be run.

The process under test and the suite talk over 127.0.0.1; neither outlives this one.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from page import page
from report import AGENT, ROLES, Report, ReportError
from suite import HERE, Suite, SuiteError, install

ROOT = HERE.parent
PAGE = ROOT / "docs" / "autobahn.md"

# Seconds that a process has to end when it is told to; the suite writes its reports then.
GRACE = 60.0

VERSIONS = """
import json, platform, faye_ws, gevent
json.dump({"faye_ws": faye_ws.__version__, "gevent": gevent.__version__,
           platform.python_implementation(): platform.python_version()}, __import__("sys").stdout)
"""


def parse_arguments() -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(description="Run Autobahn|Testsuite against faye_ws.")
    add = parser.add_argument
    add("roles", nargs="*", metavar="role", help="whom to test: server, client or both")
    add("--cases", default="*", help="patterns such as '1.*,5.19' (default: all)")
    add("--exclude", default="", help="patterns of cases to leave out (default: none)")
    add("--limit", type=float, default=3000.0, help="seconds for each role (default: 3000)")
    add(
        "--reports",
        type=Path,
        default=HERE / "reports",
        help="folder for the suite's reports, a folder below it for each role"
        " (default: autobahn/reports)",
    )
    add(
        "--write-page",
        action="store_true",
        help="write docs/autobahn.md from the reports of whole runs in both roles",
    )
    options = parser.parse_args()
    if unknown := set(options.roles) - set(ROLES):
        parser.error(f"no role: {', '.join(sorted(unknown))}")
    if not options.roles and not options.write_page:
        parser.error("a role, or --write-page")
    return options


def choose(cases: list[str], patterns: str, excluded: str) -> list[str]:
    """Return those cases that match one of the patterns and none that excludes.

    Raises:
        SuiteError: a pattern matches none at all.
    """

    def matching(words: str) -> set[str]:
        found: set[str] = set()
        for pattern in words.replace(",", " ").split():
            matches = {case for case in cases if fnmatchcase(case, pattern)}
            if not matches:
                raise SuiteError(f"no case of the suite matches {pattern}")
            found |= matches
        return found

    chosen = matching(patterns) - matching(excluded)
    if not chosen:
        raise SuiteError("no case is left to run")
    return [case for case in cases if case in chosen]


def empty(folder: Path) -> None:
    """Make a folder for reports, in place of the one of an earlier run.

    Raises:
        SuiteError: the folder holds something else.
    """
    if folder.exists() and any(folder.iterdir()) and not (folder / Report.FILE).exists():
        raise SuiteError(f"{folder} holds something else than reports")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)


def environment() -> dict[str, str]:
    """Return an environment in which Python 3 finds this checkout."""
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    return {**os.environ, "PYTHONPATH": path}


def our_versions() -> dict[str, str]:
    """Return the versions of what is tested.

    Raises:
        SuiteError: this Python does not have what faye_ws needs.
    """
    command = [sys.executable, "-c", VERSIONS]
    done = subprocess.run(command, env=environment(), capture_output=True, timeout=60)
    if done.returncode != 0:
        raise SuiteError(f"{sys.executable} can't import faye_ws:\n{done.stderr.decode()}")
    versions: dict[str, str] = json.loads(done.stdout)
    return versions


def listen() -> tuple[socket.socket, str]:
    """Listen on a free port, for a process that is given the socket; return also the URL."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=128)
    listener.setblocking(False)  # as Twisted expects it
    return listener, f"ws://127.0.0.1:{listener.getsockname()[1]}"


@contextmanager
def running(
    command: list[str], log: Path, listener: socket.socket | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a process for as long as the block lasts, with its output in a file.

    It inherits the listener, which is then closed here: who connects before the process is
    ready waits, and who connects after its end is refused.
    """
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            pass_fds=[listener.fileno()] if listener else [],
            env=environment(),
        )
    if listener:
        listener.close()
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(GRACE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait(process: subprocess.Popen[bytes], seconds: float, log: Path) -> bool:
    """Wait for the end of a process; return whether it ended well and in time."""
    try:
        status: object = process.wait(seconds)
    except subprocess.TimeoutExpired:
        status = f"nothing within {seconds:.0f} seconds"
    if status == 0:
        return True
    lines = log.read_text(errors="replace").splitlines()[-15:]
    print(f"{log.stem} ended with {status}:", *lines, sep="\n    ", file=sys.stderr)
    return False


def against_server(suite: Suite, spec: dict[str, Any], folder: Path) -> bool:
    """Let the suite play its cases against our server."""
    listener, url = listen()
    server = [sys.executable, str(HERE / "server.py"), "--listener", str(listener.fileno())]
    spec["servers"] = [{"agent": AGENT, "url": url}]
    tester, log = suite_command(suite, spec, folder), folder / "suite.log"
    server_log = folder / "server.log"
    with running(server, server_log, listener) as tested, running(tester, log) as process:
        ended_well = wait(process, spec["limit"] + GRACE, log)
        if tested.poll() is not None:  # a server does not end by itself
            wait(tested, 0, server_log)
            return False
        return ended_well


def against_client(suite: Suite, spec: dict[str, Any], folder: Path) -> bool:
    """Let the suite play its cases against our client."""
    listener, url = listen()
    client = [sys.executable, str(ROOT / "examples" / "autobahn_client.py"), url]
    log = folder / "client.log"
    spec["url"] = url
    spec["listener"] = listener.fileno()
    tester = suite_command(suite, spec, folder)
    with running(tester, folder / "suite.log", listener), running(client, log) as process:
        return wait(process, spec["limit"] + GRACE, log)


def suite_command(suite: Suite, spec: dict[str, Any], folder: Path) -> list[str]:
    """Return the command that lets the suite run a spec."""
    path = folder / "spec.json"
    path.write_text(json.dumps(spec))
    return suite.command("run", str(path))


def run(role: str, suite: Suite, options: argparse.Namespace) -> bool:
    """Run the cases in one role, print how it went, and return whether all is well."""
    description = suite.describe()
    cases = choose(description["cases"], options.cases, options.exclude)
    folder = options.reports / role
    empty(folder)
    start = time.monotonic()
    facts = {
        "role": role,
        "date": datetime.now(timezone.utc).date().isoformat(),
        "versions": our_versions(),
        "suite": description["versions"],
        "sections": description["sections"],
        "cases": cases,
        "whole": cases == description["cases"],
        "seconds": None,
    }
    # Before the run too, so that what is left of a broken one is known as a report.
    Report.note(folder, facts)
    spec = {"outdir": str(folder), "cases": cases, "limit": options.limit}
    play = against_server if role == "server" else against_client
    ended_well = play(suite, spec, folder)
    Report.note(folder, {**facts, "seconds": time.monotonic() - start})
    report = Report.load(folder)
    for fault in report.faults():
        print(f"{role}: {fault}")
    if not report.is_good:
        print(f"{role}: what went over the wire is in {folder}")
    print(f"{role}: {report.summary()}", flush=True)
    return ended_well and report.is_good


def main() -> int:
    """Do what the command line asks for; return the exit status."""
    options = parse_arguments()
    for number in (signal.SIGTERM, signal.SIGHUP):
        # An exit unwinds the blocks that end processes, which the default action does not.
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    try:
        suite = install() if options.roles else None
        results = [run(role, suite, options) for role in options.roles if suite]
        if options.write_page:
            PAGE.write_text(page([Report.load(options.reports / role) for role in ROLES]))
    except (SuiteError, ReportError, subprocess.TimeoutExpired) as error:
        print(error, file=sys.stderr)
        return 2
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
