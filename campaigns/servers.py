"""The servers of the campaigns: each runs in a process group of its own, which is ended here."""

from __future__ import annotations

import json
import os
import re
import signal
import ssl
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import trustme

import faye_ws

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = Path(faye_ws.__file__).parent
STARTUP = 30.0

_GUNICORN = {
    "gunicorn gevent": ("-k", "gevent"),
    "gunicorn gthread": ("-k", "gthread", "--threads", "120"),
}
NAMES = ("pywsgi", *_GUNICORN, "Werkzeug")


class CampaignError(Exception):
    """A server does not start or does not answer; the message has what it has logged."""


class Kind(NamedTuple):
    """One of the servers, plain or with TLS."""

    name: str
    tls: bool

    def __str__(self) -> str:
        return f"{self.name} TLS" if self.tls else self.name

    @property
    def is_gunicorn(self) -> bool:
        return self.name in _GUNICORN


KINDS = [Kind(name, tls) for name in NAMES for tls in (False, True)]


def choose(words: str) -> list[Kind]:
    """Return the servers that a list such as `pywsgi,gunicorn gthread TLS` means.

    A name means both plain and TLS unless it ends with `TLS` or `plain`; the word `gunicorn` may
    be left out.

    Raises:
        ValueError: one is not known.
    """
    chosen: set[Kind] = set()
    for word in filter(None, (part.strip().lower() for part in words.split(","))):
        found = {kind for kind in KINDS if word in _spellings(kind)}
        if not found:
            known = ", ".join(NAMES)
            raise ValueError(f"no server is called {word!r}; there are {known}, plain or TLS")
        chosen |= found
    return [kind for kind in KINDS if kind in chosen]


def _spellings(kind: Kind) -> set[str]:
    names = {kind.name.lower(), kind.name.lower().removeprefix("gunicorn ")}
    return names | {f"{name} {'tls' if kind.tls else 'plain'}" for name in names}


class Certificates:
    """An authority, and a certificate of it for this machine, in files of a folder."""

    def __init__(self, folder: Path) -> None:
        authority = trustme.CA()
        certificate = authority.issue_cert("localhost", "127.0.0.1")
        self.ca, self.cert, self.key = (str(folder / name) for name in ("ca", "cert", "key"))
        authority.cert_pem.write_to_path(self.ca)
        certificate.private_key_pem.write_to_path(self.key)
        for blob in certificate.cert_chain_pems:
            blob.write_to_path(self.cert, append=True)


class Group:
    """A program in a process group of its own, as a context manager that ends the group."""

    _running: set[Group] = set()  # noqa: RUF012
    _lock = threading.Lock()

    def __init__(self, command: Sequence[str], log: Path, **options: Any) -> None:
        self.log = log
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                command,
                cwd=ROOT,
                stderr=output,
                start_new_session=True,
                **{"stdin": subprocess.DEVNULL, "stdout": output, **options},
            )
        with Group._lock:
            Group._running.add(self)

    def __enter__(self) -> Group:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def end(self) -> None:
        """Kill what is left of the group: children outlive a parent that crashes."""
        with Group._lock:
            if self not in Group._running:
                return
            Group._running.discard(self)
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()

    @classmethod
    def end_all(cls) -> None:
        """End all groups that are left, for when the campaign is broken off."""
        for group in list(cls._running):
            group.end()

    def logged(self) -> str:
        """Return what the program has logged so far."""
        return self.log.read_text(errors="replace")

    def wait_for_log(self, pattern: str, seconds: float = STARTUP) -> re.Match[str]:
        """Wait until the log matches.

        Raises:
            CampaignError: the program has ended, or the time is over.
        """
        deadline = time.monotonic() + seconds
        while not (match := re.search(pattern, self.logged())):
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise CampaignError(f"no {pattern!r} in its log:\n{self.logged()[-2000:]}")
            time.sleep(0.02)
        return match


class Server(Group):
    """One server that runs.

    Args:
        kind: which.
        folder: a folder for its log.
        certificates: what it shows where it speaks TLS.
        options: options of WebSocket and EventSource.
        line: what main of pywsgi's and Werkzeug's script says about signals.
        gunicorn: more arguments for gunicorn.
    """

    def __init__(
        self,
        kind: Kind,
        folder: Path,
        certificates: Certificates,
        options: dict[str, Any] | None = None,
        line: str | None = None,
        gunicorn: Sequence[str] = (),
    ) -> None:
        self.kind = kind
        command = _gunicorn(kind, gunicorn) if kind.is_gunicorn else _script(kind, line)
        if kind.tls and kind.is_gunicorn:
            command += ["--certfile", certificates.cert, "--keyfile", certificates.key]
        elif kind.tls:
            command += ["--tls", certificates.cert, certificates.key]
        self.ca = certificates.ca if kind.tls else None
        self._trust = ssl.create_default_context(cafile=self.ca) if self.ca else None
        environment = {**os.environ, "CAMPAIGN_OPTIONS": json.dumps(options or {})}
        super().__init__(command, folder / f"{kind}.log".replace(" ", "-"), env=environment)
        try:
            pattern = r"Listening at: https?://127\.0\.0\.1:(\d+)" if kind.is_gunicorn else None
            self.port = int(self.wait_for_log(pattern or r"(?m)^port (\d+)$")[1])
            if kind.is_gunicorn:
                self.wait_for_log("Booting worker")
            self.get("/", seconds=STARTUP)
        except BaseException:
            self.end()
            raise

    def __enter__(self) -> Server:
        return self

    def get(self, path: str, seconds: float = 15.0) -> bytes:
        """Return what a GET request is answered with.

        Raises:
            CampaignError: it is not answered.
        """
        url = f"http{'s' if self.ca else ''}://127.0.0.1:{self.port}{path}"
        proxyless = urllib.request.ProxyHandler({})
        opener = urllib.request.build_opener(
            proxyless, urllib.request.HTTPSHandler(context=self._trust)
        )
        try:
            with opener.open(url, timeout=seconds) as response:
                body: bytes = response.read()
                return body
        except (OSError, ValueError) as error:
            raise CampaignError(f"{self.kind} does not answer a GET of {path}: {error}") from None

    def stats(self) -> dict[str, Any]:
        """Return what there is in the process that serves."""
        stock: dict[str, Any] = json.loads(self.get("/stats"))
        return stock

    def serving_pid(self) -> int:
        """Return the process that serves: a worker of gunicorn, else the program itself."""
        pid = self.process.pid
        if not self.kind.is_gunicorn:
            return pid
        return int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])


def _gunicorn(kind: Kind, more: Sequence[str]) -> list[str]:
    return [
        *(sys.executable, "-m", "gunicorn", *_GUNICORN[kind.name], "-w", "1"),
        *("-b", "127.0.0.1:0", "--graceful-timeout", "10", "--timeout", "30"),
        *("--no-control-socket", *more, "campaigns.served:app"),
    ]


def _script(kind: Kind, line: str | None) -> list[str]:
    command = [sys.executable, "-u", "-m", "campaigns.served", kind.name.lower()]
    return command if line is None else [*command, "--line", line]


# What a server says when something has gone wrong, and how a table calls it.
_NOISE = {
    "worker timeout": r"WORKER TIMEOUT",
    "killed": r"SIGKILL|SIGABRT",
    "SIGSEGV": r"SIGSEGV",
    "fatal error": r"Fatal Python error",
    "corrupted": r"(?m)^(?:\(libev\)|malloc\(\)|free\(\)|corrupted ).*",
    "ignored exception": r"Exception ignored",
}


def tracebacks(log: str) -> list[str]:
    """Return the tracebacks in a log, without those of a Ctrl-C."""
    found = re.findall(r"(?m)^Traceback \(most recent[^\n]*\n(?:[ +|][^\n]*\n|\n)*[^\n]*", log)
    return [one for one in found if not one.rpartition("\n")[2].startswith("KeyboardInterrupt")]


def noise(log: str) -> str:
    """Return in a few words what is wrong in a log; empty if nothing is."""
    counts = {word: len(re.findall(pattern, log)) for word, pattern in _NOISE.items()}
    counts = {"traceback": len(tracebacks(log)), **counts}
    return ", ".join(f"{count} {word}" for word, count in counts.items() if count)
