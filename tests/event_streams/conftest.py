"""The servers and the browser of these tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support.chromium import chromium
from support.event_streams import SERVERS, Served, serve

__all__ = ["chromium"]


@pytest.fixture(scope="module", params=SERVERS)
def server(request: pytest.FixtureRequest) -> Iterator[Served]:
    with serve(request.param) as served:
        yield served
        assert served.noise() == ""
