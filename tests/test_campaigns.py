"""The commands `.ci/soak` and `.ci/stops`, for moments only: they measure what they say."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from support import programs

pytestmark = pytest.mark.timeout(180)

# For main of the server: keep every WebSocket for ever.
LEAK = """
kept = []
answer = faye_ws.WebSocket.__call__
def keep(self, *arguments):
    kept.append(self)
    return answer(self, *arguments)
faye_ws.WebSocket.__call__ = keep
"""


def run(command: str, *options: str) -> subprocess.CompletedProcess[str]:
    """Run a campaign to its end."""
    return subprocess.run(
        [sys.executable, "-m", f"campaigns.{command}", "--servers", "pywsgi plain", *options],
        cwd=programs.ROOT,
        capture_output=True,
        text=True,
        timeout=150,
    )


def test_stops_tells_how_many_websockets_have_heard_1001() -> None:
    done = run("stops", "--signals", "TERM", "--connections", "2", "--deaf", "1")
    assert done.returncode in (0, 1), done.stderr
    head, _, row = (
        [cell.strip() for cell in line.strip("|").split("|")] for line in done.stdout.splitlines()
    )
    cells = dict(zip(head, row, strict=True))
    assert (cells["server"], cells["signal"], cells["deaf"]) == ("pywsgi", "TERM", "1")
    assert cells["1001"] == "2 of 2"
    assert float(cells["exit, s"]) > 0


def test_stops_sees_a_server_that_says_nothing() -> None:
    line = "import os; signal.signal(signal.SIGTERM, lambda *_: os._exit(3))"
    done = run(*("stops", "--signals", "TERM", "--connections", "2", "--deaf", "0", "--line", line))
    assert done.returncode == 1, done.stderr
    assert "2 WebSockets are not told 1001" in done.stderr
    row = [cell.strip() for cell in done.stdout.splitlines()[2].split("|")]
    assert row[4] == "0 of 2"
    assert row[9] == "3"


def test_soak_sees_a_leak() -> None:
    done = run("soak", "--seconds", "3", "--at-once", "8", "--line", LEAK)
    assert done.returncode == 1, done.stderr
    assert "objects are left of all" in done.stdout
    assert re.search(r"more than before: .*\b\d+ WebSocket\b", done.stdout), done.stdout


@pytest.mark.parametrize("command", ["soak", "stops"])
def test_a_server_that_is_not_known_is_an_error(command: str) -> None:
    done = run(command, "--servers", "apache")
    assert done.returncode == 2
    assert "no server is called 'apache'" in done.stderr
