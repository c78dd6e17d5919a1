"""Autobahn|Testsuite: install it, list its cases, and compose the command that runs it.

The suite is Python 2 software. Its packages, in the versions of `suite-requirements.txt`, go
to a plain folder below `$AUTOBAHN_HOME` (by default `~/.cache/faye_ws/autobahn`), which only
`fuzzer.py` ever looks into. Python 2.7 itself has to be there.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
FUZZER = HERE / "fuzzer.py"
REQUIREMENTS = HERE / "suite-requirements.txt"

# The last pip for Python 2.7, and what it builds the packages with that come as source.
BUILD_TOOLS = ("pip==20.3.4", "setuptools==44.0.0", "wheel==0.37.1", "Cython==3.0.12")

# pip needs TLS; the compiled packages are for builds with 4-byte characters.
CHECK_PYTHON27 = """
import pip, ssl, sys, zlib
assert sys.version_info[:2] == (2, 7) and sys.maxunicode > 0xffff
"""

NO_PYTHON27 = """\
Autobahn|Testsuite needs Python 2.7 with pip, and {where} is none. Install it with pyenv:
    pyenv install 2.7.18
or say where it is:
    export PYTHON27=/path/to/python2.7"""


class SuiteError(Exception):
    """The suite can't be installed or run; the message says what to do."""


@dataclass(frozen=True)
class Suite:
    """An installed suite: a Python 2.7 and the folder with its packages."""

    python: str
    packages: Path

    def command(self, *words: str) -> list[str]:
        """Return the command that runs the fuzzer with some arguments."""
        return [self.python, "-E", "-s", "-u", str(FUZZER), str(self.packages), *words]

    def describe(self) -> dict[str, Any]:
        """Return what the suite is; see `fuzzer.py`.

        Raises:
            SuiteError: it does not load, or would be too slow.
        """
        done = subprocess.run(self.command("describe"), capture_output=True, timeout=60)
        if done.returncode != 0:
            raise SuiteError(
                f"Autobahn|Testsuite does not load; remove {self.packages} to install it again:"
                f"\n{done.stderr.decode(errors='replace')}"
            )
        description: dict[str, Any] = json.loads(done.stdout)
        if not description["compiled"]:
            raise SuiteError("Autobahn|Testsuite does not use wsaccel, and is too slow without it")
        return description


def install() -> Suite:
    """Install the suite, unless it is there.

    Raises:
        SuiteError: there is no Python 2.7, or a package can't be installed.
    """
    python = find_python27()
    home = Path(os.environ.get("AUTOBAHN_HOME") or Path.home() / ".cache/faye_ws/autobahn")
    # Another Python 2.7 or other requirements make another suite.
    key = hashlib.sha256(f"{python}\n{BUILD_TOOLS}\n".encode() + REQUIREMENTS.read_bytes())
    packages = home / key.hexdigest()[:16]
    suite = Suite(python, packages)
    if packages.is_dir():
        return suite

    print(f"Installing Autobahn|Testsuite into {packages} ...", file=sys.stderr, flush=True)
    home.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=home, prefix="installing-") as folder:
        fresh = Path(folder, "packages")
        _install_packages(python, Path(folder, "tools"), fresh)
        Suite(python, fresh).describe()
        # What has its name is whole. Two runs may install at once; one of them is the first.
        try:
            fresh.rename(packages)
        except OSError:
            if not packages.is_dir():
                raise
    return suite


def find_python27() -> str:
    """Return a Python 2.7 that the suite can be installed for.

    Raises:
        SuiteError: there is none.
    """
    for python in _candidates():
        try:
            done = subprocess.run([python, "-E", "-c", CHECK_PYTHON27], capture_output=True)
        except OSError:
            continue
        if done.returncode == 0:
            return python
    chosen = os.environ.get("PYTHON27")
    where = f"PYTHON27={chosen}" if chosen else "there"
    raise SuiteError(NO_PYTHON27.format(where=where))


def _candidates() -> Iterator[str]:
    chosen = os.environ.get("PYTHON27")
    if chosen:
        yield chosen
        return
    for root in (os.environ.get("PYENV_ROOT"), Path.home() / ".pyenv"):
        if root:
            yield from map(str, sorted(Path(root).glob("versions/2.7*/bin/python2.7")))
    yield "python2.7"


def _install_packages(python: str, tools: Path, packages: Path) -> None:
    _pip(python, None, "--target", str(tools), *BUILD_TOOLS)
    # Built with the tools above instead of the newest ones, which are not for Python 2.
    _pip(python, tools, "--target", str(packages), "--no-build-isolation", "-r", str(REQUIREMENTS))


def _pip(python: str, tools: Path | None, *words: str) -> None:
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONHOME", "PYTHONPATH")}
    if tools is not None:
        environment["PYTHONPATH"] = str(tools)
    command = [python, "-s", "-m", "pip", "install", "--quiet", "--no-deps"]
    done = subprocess.run(
        [*command, "--disable-pip-version-check", "--timeout", "60", *words],
        env=environment,
        capture_output=True,
        timeout=900,
    )
    if done.returncode != 0:
        raise SuiteError(
            "pip could not install Autobahn|Testsuite (it needs a C compiler and a package index):"
            f"\n{done.stderr.decode(errors='replace')}"
        )
