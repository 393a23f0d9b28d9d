"""One factory for all end-to-end tests: starting is slow, and a shared cache is what users have too."""

import asyncio
import json
import tempfile
from collections.abc import AsyncGenerator, Generator
from pathlib import Path

import pytest
import pytest_asyncio

from cli.client.session import FactorySession
from tests.e2e.stack import Stack, running_stack
from tests.guests import tiny_guest


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


@pytest_asyncio.fixture
async def image_id(stack: Stack) -> str:
    """Upload the tiny guest by the command line; the same file is the same image."""
    image = await tiny_guest()
    uploaded = await asyncio.to_thread(stack.run, "image", "upload", str(image), "--json", timeout=120)
    assert uploaded.returncode == 0, uploaded.stdout + uploaded.stderr
    answer = json.loads(uploaded.stdout)
    assert answer["status"] == "ready"
    return str(answer["image_id"])
