"""Keeps the history of each closed run with the job's evidence: the workflow engine forgets it after a month.

An object's key says all that is known of it: `histories/<workflow>/<start>-<run>-<sha256>.json.gz`, so one list
answers what is there, and the key names the content for ever.
"""

import gzip
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple, Protocol

from temporalio import activity

from activities.keeping.collect_models import KEEP_HISTORIES, HistoriesKept, KeepHistories
from activities.session import heartbeats
from infra.ports import ObjectStore

_LAG = timedelta(minutes=5)  # the engine's lists show a closed run a little later than it closed


class ClosedRun(NamedTuple):
    """A run of a job's workflow that is over; after a retry a job has several."""

    workflow_id: str
    run_id: str
    started: datetime
    closed: datetime


class RunHistories(Protocol):
    """What the workflow engine remembers. Raises `Fault` (`temporal.unavailable`) when it does not answer."""

    async def closed(self, since: datetime | None) -> list[ClosedRun]:
        """List the runs of jobs that closed since then, oldest first."""
        ...

    async def history(self, run: ClosedRun) -> str:
        """Return a run's history as JSON, as `openfactory replay` reads it."""
        ...


@dataclass(frozen=True)
class HistoryActivities:
    """Copies what is not there yet."""

    runs: RunHistories
    objects: ObjectStore

    def all(self) -> list[Callable[..., Any]]:
        """Return every activity, for a worker."""
        return [self.keep_histories]

    @activity.defn(name=KEEP_HISTORIES)
    async def keep_histories(self, request: KeepHistories) -> HistoriesKept:
        """Keep the histories of runs that closed since then, at most so many; a repeat keeps none twice."""
        async with heartbeats():
            since = None if request.since is None else request.since - _LAG
            kept, until = 0, request.since
            for run in await self.runs.closed(since):
                if kept >= request.limit:
                    break
                prefix = f"histories/{run.workflow_id}/{run.started:%Y%m%dT%H%M%S}-{run.run_id}-"
                if not await self.objects.list(prefix, limit=1):
                    # mtime=0: the same history has the same bytes, so the same key.
                    data = gzip.compress((await self.runs.history(run)).encode(), mtime=0)
                    await self.objects.put(
                        f"{prefix}{hashlib.sha256(data).hexdigest()}.json.gz", data, "application/gzip"
                    )
                    kept += 1
                until = run.closed if until is None else max(until, run.closed)
            return HistoriesKept(kept=kept, until=until)
