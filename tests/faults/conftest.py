"""One laboratory for all experiments of a session, and one real factory for those on real builds."""

from collections.abc import AsyncGenerator

import pytest_asyncio

from tests.e2e.conftest import session, stack
from tests.faults.__main__ import equipped
from tests.faults.experiment import Experiments
from tests.faults.kinds import Kind, kinds

__all__ = ["session", "stack"]


class Bench:
    """What a test of a fault needs: a laboratory with its ground laid."""

    def __init__(self, experiments: Experiments, points: dict[str, tuple[str, ...]]) -> None:
        self.experiments = experiments
        self._kinds = {kind.name: kind for kind in kinds(points)}

    def kind(self, name: str) -> Kind:
        """The kind of this name."""
        return self._kinds[name]


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def bench() -> AsyncGenerator[Bench]:
    """Run a laboratory."""
    async with equipped() as (_, experiments, points):
        yield Bench(experiments, points)
