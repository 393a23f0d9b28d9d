"""Tells how long a recipe's builds usually take, for the core: it works as the tables' owner."""

from typing import Any

import psycopg
from psycopg import Connection
from psycopg.rows import dict_row

from domain.build.progress import StepDuration
from domain.errors import Fault
from event_store.connections import ALIVE
from event_store.models.builds import DURATIONS, SAMPLES


class UsualDurations:
    """Looks in the read model of builds. Blocking."""

    def __init__(self, owner_url: str) -> None:
        self._url = owner_url

    def find(self, org_id: str, recipe: str) -> tuple[StepDuration, ...]:
        """Tell it of the latest completed builds of this recipe, else of any of the organization's.

        Raises:
            Fault: `database.unavailable`.

        """
        try:
            with self._connection() as connection, connection.cursor(row_factory=dict_row) as cursor:
                found = cursor.execute(DURATIONS, {"org": org_id, "name": recipe, "samples": SAMPLES})
                return tuple(StepDuration.model_validate(row) for row in found.fetchall())
        except psycopg.Error as error:
            raise Fault.because(
                "database.unavailable",
                f"the database does not tell how long builds take: {error}",
                next="Look at the database; builds go on without an expected end meanwhile.",
            ) from error

    def _connection(self) -> Connection[Any]:
        return psycopg.connect(self._url, autocommit=True, application_name="openfactory usual", **ALIVE)
