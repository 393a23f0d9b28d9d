"""One factory for all end-to-end tests: starting is slow, and a shared cache is what users have too."""

import tempfile
from collections.abc import AsyncGenerator, Generator
from pathlib import Path

import pytest
import pytest_asyncio

from cli.client.session import FactorySession
from tests.e2e.stack import Stack, running_stack


@pytest.fixture(scope="session")
def stack() -> Generator[Stack]:
    """Run a factory with a home of its own, removed afterwards."""
    with tempfile.TemporaryDirectory(prefix="of-e2e-", ignore_cleanup_errors=True) as folder:
        with running_stack(Path(folder) / "home") as running:
            yield running
        assert running.process is not None
        assert running.process.returncode == 0


@pytest_asyncio.fixture
async def session(stack: Stack) -> AsyncGenerator[FactorySession]:
    """Connect with the operator's key."""
    async with stack.session() as opened:
        yield opened
