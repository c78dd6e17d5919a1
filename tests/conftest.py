"""What tests of all kinds need."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from support.certificates import Certificates
from support.streams import CUTS, Cut


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="session", autouse=True)
def no_proxy_of_the_machine() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.lower() in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
                patch.delenv(name)
        yield


@pytest.fixture(params=list(CUTS.values()), ids=list(CUTS))
def cut(request: pytest.FixtureRequest) -> Cut:
    """A way to cut a stream; a test that asks for it runs with each."""
    chosen: Cut = request.param
    return chosen
