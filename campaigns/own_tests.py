"""Which test files are a source's own, and what can be tested nowhere in them.

The own test files of `faye_ws/a/b.py` are `tests/a/test_b.py` and `tests/a/test_b_*.py`; those
of a module at the top are `tests/test_b.py` and `tests/test_b_*.py`. A file such as
`test_hixie_handshake.py` belongs to the longest name that fits: to `hixie_handshake.py`.

Invariants: whatever is covered only by other test files, or by none, stands in a table here with
its reason; `own_tests` returns only files that exist.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "faye_ws"
TESTS = ROOT / "tests"

# How they are run, by a Python: in one process, always in the same order and with the same
# examples, so that what is covered, or which fault is noticed, does not change by itself.
PYTEST = ["-m", "pytest", "-q", "--tb=short", "-p", "no:cacheprovider", "--numprocesses=0"]
PYTEST += ["--randomly-seed=0", "--hypothesis-seed=0"]


class Elsewhere(NamedTuple):
    """Test files that cover a part of a source beside its own, and why its own cannot."""

    files: tuple[str, ...]
    reason: str


# By the path of the source in the package; the files by their path in tests/.
COVERED_ELSEWHERE: dict[str, Elsewhere] = {
    "driver/base.py": Elsewhere(
        (
            "driver/test_answering.py",
            "driver/test_client.py",
            "driver/test_hixie.py",
            "driver/test_rfc6455_closing.py",
            "driver/test_server.py",
            "extensions/test_contract.py",
            "advisories/test_messages.py",
        ),
        "it is abstract: each driver runs a part of it",
    ),
    "driver/client.py": Elsewhere(
        ("driver/test_answering.py", "driver/test_rfc6455_bounds.py", "driver/test_properties.py"),
        "what all drivers promise is tested for all at once",
    ),
    "driver/events.py": Elsewhere(
        ("driver/test_rfc6455.py",), "events are what tests of drivers compare"
    ),
    "driver/rfc6455.py": Elsewhere(
        (
            "driver/test_prepared.py",
            "extensions/test_deflate_messages.py",
            "extensions/test_pipeline.py",
        ),
        "broadcasts, and what extensions do with messages, have tests of their own",
    ),
    "driver/server.py": Elsewhere(
        ("driver/test_answering.py", "driver/test_hixie.py", "driver/test_hixie_handshake.py"),
        "which version answers is tested with the versions",
    ),
    "eventsource/adapter.py": Elsewhere(
        (
            "eventsource/test_client.py",
            "eventsource/test_request.py",
            "advisories/test_event_stream_client.py",
        ),
        "connections are made by whole requests, with proxies and without",
    ),
    "runtime/listening.py": Elsewhere(
        (
            "eventsource/test_inbox.py",
            "eventsource/test_client.py",
            "eventsource/test_response.py",
            "websocket/test_connection_threads.py",
            "websocket/test_inbox.py",
        ),
        "listeners in threads need an owner that lives in the background",
    ),
    "websocket/endpoint.py": Elsewhere(
        ("websocket/test_hixie.py",), "only a draft leaves something of its handshake to come"
    ),
    "websocket/inbox.py": Elsewhere(
        ("websocket/test_connection_threads.py",), "only calls of other threads give back"
    ),
}

# Sources of which nothing runs in a process whose coverage is measured, and why.
NOT_MEASURED = {
    "cli/prompt.py": "tests/cli/test_terminal.py gives it a terminal, in a process of its own",
    "runtime/threads.py": "an interrupt that is raised in a greenlet ends coverage's tracing",
    "__main__.py": "importing it runs the command line, which tests do in a process of its own",
}


def all_sources() -> list[Path]:
    """Return the sources of the package that are measured."""
    return [
        path
        for path in sorted(PACKAGE.rglob("*.py"))
        if path.relative_to(PACKAGE).as_posix() not in NOT_MEASURED
    ]


def own_tests(source: Path) -> list[Path]:
    """Return the test files of a source: its own, and those that the table adds."""
    place = source.relative_to(PACKAGE)
    siblings = {path.stem for path in source.parent.glob("*.py")}
    found = [
        path
        for path in sorted((TESTS / place.parent).glob("test_*.py"))
        if owner(path.stem.removeprefix("test_"), siblings) == place.stem
    ]
    elsewhere = COVERED_ELSEWHERE.get(place.as_posix())
    return found + [TESTS / name for name in elsewhere.files] if elsewhere else found


def owner(name: str, sources: set[str]) -> str | None:
    """Return the longest of the sources whose name a test file's name has, or begins with."""
    parts = name.split("_")
    beginnings = ("_".join(parts[:length]) for length in range(len(parts), 0, -1))
    return next((beginning for beginning in beginnings if beginning in sources), None)


def module_name(source: Path) -> str:
    """Return the name under which a source is imported."""
    parts = source.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
