"""What the tests of extensions share: every cut of a stream, and both roles."""

from __future__ import annotations

import pytest

from extensions.ends import ROLES, Role
from streams import CUTS, Cut


@pytest.fixture(params=CUTS.values(), ids=CUTS)
def cut(request: pytest.FixtureRequest) -> Cut:
    """A way to cut a stream; a test that asks for it runs with each."""
    chosen: Cut = request.param
    return chosen


@pytest.fixture(params=ROLES, ids=lambda role: f"as {role.name}")
def role(request: pytest.FixtureRequest) -> Role:
    """Which end we are; a test that asks for it runs as each."""
    chosen: Role = request.param
    return chosen
