"""The server and the clients of the interoperability tests."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from support import interop_clients as clients
from support import programs
from support.chromium import chromium
from support.interop_server import EchoServer

__all__ = ["chromium"]


@pytest.fixture(scope="session")
def server() -> Iterator[EchoServer]:
    with programs.python(Path(__file__).with_name("echo_server.py")) as program:
        yield EchoServer(program)
        assert program.stop() == 0
        assert program.errors() == ""


@pytest.fixture(params=[*clients.CLIENTS, "chromium"])
def client(request: pytest.FixtureRequest) -> clients.Client:
    if request.param == "chromium":
        return partial(clients.chromium, request.getfixturevalue("chromium"))
    return clients.CLIENTS[request.param]
