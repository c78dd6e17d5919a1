"""What the tests of the drivers share: both roles."""

from __future__ import annotations

import pytest
from hypothesis import settings

from support.roles import ROLES, Role

# How long an example takes says more about the machine than about us.
settings.register_profile("without a deadline", deadline=None)
settings.load_profile("without a deadline")


@pytest.fixture(params=ROLES, ids=lambda role: f"as {role.name}")
def role(request: pytest.FixtureRequest) -> Role:
    """Which end we are; a test that asks for it runs as each."""
    chosen: Role = request.param
    return chosen
