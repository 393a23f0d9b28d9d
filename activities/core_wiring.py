"""Builds the adapters of a core worker: what it needs, opened and closed again. It holds the database's address."""

from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any

from temporalio.client import Client

from activities.evidence import EvidenceActivities
from activities.keeping.activities import KeepingActivities
from activities.keeping.collection import CollectionActivities
from activities.keeping.histories import HistoryActivities
from activities.keeping.rebuilds import RebuildActivities
from activities.keeping.temporal_engine import TemporalEngine
from activities.keeping.temporal_histories import TemporalHistories
from activities.keeping.temporal_timetable import TemporalTimetable
from activities.record import RecordActivities
from activities.usual import UsualActivities
from event_store.evidence import EvidenceIndex
from event_store.log import EventLog
from event_store.open_jobs import OpenJobReads
from event_store.rebuild_facts import RebuildReads
from event_store.references import ReferenceReads
from event_store.usual import UsualDurations
from infra.objects import S3ObjectStore
from infra.settings import Settings, missing


@dataclass(frozen=True)
class CoreActivities:
    """All activities of a core worker, and the log that they share."""

    log: EventLog
    record: RecordActivities
    evidence: EvidenceActivities
    usual: UsualActivities

    def all(self) -> list[Callable[..., object]]:
        """Return every one, for a worker."""
        return [*self.record.all(), self.evidence.find_evidence, self.usual.find_usual_durations]


@contextmanager
def open_core(settings: Settings) -> Generator[CoreActivities]:
    """Open the event log for a core worker.

    Raises:
        Verdict: `settings.invalid` without a database's address.

    """
    if settings.database_url is None:
        raise missing("DATABASE_URL")
    url = settings.database_url.get_secret_value()
    with EventLog(url) as log:
        yield CoreActivities(
            log=log,
            record=RecordActivities(log),
            evidence=EvidenceActivities(EvidenceIndex(url)),
            usual=UsualActivities(UsualDurations(url)),
        )


@asynccontextmanager
async def open_keeping(settings: Settings, client: Client) -> AsyncGenerator[list[Callable[..., Any]]]:
    """Open what keeps the factory tidy, as the activities of a core worker.

    Raises:
        Verdict: `settings.invalid` without the addresses of database and object store.

    """
    if settings.database_url is None:
        raise missing("DATABASE_URL")
    if settings.s3 is None:
        raise missing("S3_ENDPOINT")
    url = settings.database_url.get_secret_value()
    objects = S3ObjectStore(settings.s3)
    try:
        keeping = KeepingActivities(OpenJobReads(url), TemporalEngine(client))
        collection = CollectionActivities(ReferenceReads(url), objects)
        histories = HistoryActivities(TemporalHistories(client), objects)
        yield [*keeping.all(), *collection.all(), *histories.all()]
    finally:
        await objects.aclose()


def rebuilds_of(settings: Settings, log: EventLog, client: Client, queue: str) -> RebuildActivities:
    """Make what scheduled rebuilds need of a core worker, whose workflows are on `queue`.

    Raises:
        Verdict: `settings.invalid` without a database's address.

    """
    if settings.database_url is None:
        raise missing("DATABASE_URL")
    past = RebuildReads(settings.database_url.get_secret_value(), log)
    return RebuildActivities(past, TemporalTimetable(client, queue))
