"""The fake factory for every test of the service."""

import pytest

from tests.fakes.factory import World


@pytest.fixture
def world() -> World:
    """Return a factory in memory."""
    return World()
