"""Finds evidence that an organization's earlier builds left, for the core: it works as the tables' owner."""

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import Connection

from domain.errors import Fault
from domain.verification import Reuse, VerificationReport
from event_store.connections import ALIVE

_QUERY = """
    SELECT DISTINCT ON (report->>'evidence')
           build_id, state->>'verified_at' AS verified_at, report::text AS report
    FROM read_model.builds, jsonb_array_elements(state->'reports') AS report
    WHERE org_id = %(org)s AND evidence && %(names)s::text[]
      AND report->>'evidence' = ANY(%(names)s::text[]) AND report->>'reused' IS NULL
    ORDER BY report->>'evidence', created_at DESC, build_id DESC
"""


class EvidenceIndex:
    """Looks in the read model of builds: what it does not show yet is found next time. Blocking."""

    def __init__(self, owner_url: str) -> None:
        self._url = owner_url

    def find(self, org_id: str, names: Sequence[str]) -> tuple[VerificationReport, ...]:
        """Find the newest report of each name among the completed builds of this organization alone.

        Each is marked with the build that made it; a report that was itself taken over is never found.

        Raises:
            Fault: `database.unavailable`.

        """
        with _typed_errors(), self._connection() as connection:
            rows = connection.execute(_QUERY, {"org": org_id, "names": list(names)}).fetchall()
        return tuple(map(_earlier, rows))

    def _connection(self) -> Connection[Any]:
        return psycopg.connect(self._url, autocommit=True, application_name="openfactory evidence", **ALIVE)


def _earlier(row: tuple[str, str, str]) -> VerificationReport:
    build_id, verified_at, report = row
    reuse = Reuse.model_validate({"build_id": build_id, "verified_at": verified_at})
    return VerificationReport.model_validate_json(report).model_copy(update={"reused": reuse})


@contextmanager
def _typed_errors() -> Generator[None]:
    try:
        yield
    except psycopg.Error as error:
        raise Fault.because(
            "database.unavailable",
            f"the database does not tell of earlier evidence: {error}",
            next="Look at the database; images are booted and checked anew meanwhile.",
        ) from error
