"""One organization's view of all read models, within one transaction."""

from typing import Any, Literal, Protocol

from psycopg import AsyncConnection

from event_store.metering import MeterQueries
from event_store.models.builds import BuildQueries
from event_store.models.images import ImageQueries
from event_store.models.rebuilds import RebuildQueries
from event_store.models.saved_recipes import SavedRecipeQueries
from event_store.models.suites import SuiteQueries
from event_store.models.test_runs import RunQueries
from event_store.models.vms import VmQueries

Model = Literal["builds", "vms", "images", "suites", "test_runs", "saved_recipes", "rebuilds"]
"""The read models that somebody can wait for, by the attribute of `OrgReads`."""


class VersionQueries(Protocol):
    """What all questions about a kind of aggregate have in common."""

    async def version(self, key: str, /) -> int:
        """Read the version of an aggregate, 0 if it is absent or another organization's."""
        ...


class OrgReads:
    """Questions about everything that the organization of the transaction has."""

    def __init__(self, connection: AsyncConnection[Any]) -> None:
        self.builds = BuildQueries(connection)
        self.vms = VmQueries(connection)
        self.suites = SuiteQueries(connection)
        self.test_runs = RunQueries(connection)
        self.saved_recipes = SavedRecipeQueries(connection)
        self.images = ImageQueries(connection)
        self.meters = MeterQueries(connection)
        self.rebuilds = RebuildQueries(connection)

    def of(self, model: Model) -> VersionQueries:
        """Choose the questions about one kind of aggregate."""
        queries: VersionQueries = getattr(self, model)
        return queries
