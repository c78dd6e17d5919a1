"""What the tests of extensions share: both roles."""

from __future__ import annotations

import pytest

from support.extended_drivers import ROLES, Role


@pytest.fixture(params=ROLES, ids=lambda role: f"as {role.name}")
def role(request: pytest.FixtureRequest) -> Role:
    """Which end we are; a test that asks for it runs as each."""
    chosen: Role = request.param
    return chosen
