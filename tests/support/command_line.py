"""The command line, run between other programs: what goes in, and what comes out."""

from __future__ import annotations

import os
import subprocess
import sys

COMMAND = [sys.executable, "-W", "error", "-m", "faye_ws"]


def run(*arguments: str, input: str | bytes = "", **env: str) -> tuple[int, str, str]:
    """Return the exit status, the output and the errors of a run."""
    done = subprocess.run(
        [*COMMAND, *arguments],
        input=input.encode() if isinstance(input, str) else input,
        capture_output=True,
        timeout=100,
        env={**os.environ, **env},
    )
    return done.returncode, done.stdout.decode(), done.stderr.decode()
