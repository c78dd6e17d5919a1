"""The servers of these tests, and the browser."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support import programs
from support.chromium import chromium

__all__ = ["chromium"]

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def port() -> Iterator[int]:
    """The port of our server, in a process of its own."""
    with programs.python(HERE / "echo_server.py") as program:
        yield int(program.wait_for_line(r"^port (\d+)$")[1])
        assert program.stop() == 0
        assert program.errors() == ""


@pytest.fixture(scope="session")
def node_port() -> Iterator[int]:
    """The port of the server on Node.js."""
    for module in ("ws", "faye-websocket", "permessage-deflate"):
        programs.require_node_module(module, HERE)
    with programs.Program([programs.require("node"), HERE / "node_server.js"]) as program:
        yield int(program.wait_for_line(r"^port (\d+)$")[1])
        assert program.process.poll() is None, program.errors()
