"""The activities that keep the factory tidy. They run on core workers, which alone hold the database's address."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from temporalio import activity

from activities.keeping.collect_models import FIND_HOSTS, HostsFound
from activities.keeping.models import FIND_ORPHANS, FindOrphans, Orphan, OrphansFound
from activities.keeping.ports import OpenJobs, WorkflowEngine
from domain.jobs import OpenJob, kind_of

_AT_ONCE = 8
_LOOK_BACK = timedelta(days=7)  # for what was ended early; the schedule looks every minute


@dataclass(frozen=True)
class KeepingActivities:
    """Looks for what nobody else will look after."""

    jobs: OpenJobs
    engine: WorkflowEngine

    def all(self) -> list[Callable[..., Any]]:
        """Return every activity, for a worker."""
        return [self.find_orphans, self.find_hosts]

    @activity.defn(name=FIND_ORPHANS)
    async def find_orphans(self, request: FindOrphans) -> OrphansFound:
        """Compare open jobs with their workflows.

        The read models may lag behind the log, so a job may be among the orphans that has just ended: whoever
        ends it decides against the log. Each workflow is asked for by its id, which shows what was started an
        instant ago, and its latest run, which after a retry or a reset is a new one.
        """
        jobs = await self.jobs.all()
        turns = asyncio.Semaphore(_AT_ONCE)

        async def look(job: OpenJob) -> Orphan | None:
            async with turns:
                found = await self.engine.ended(job.workflow_id)
            return None if found is None else Orphan(job=job, end=found.end, reason=found.reason)

        looked = await asyncio.gather(*map(look, jobs))
        orphans = (*(orphan for orphan in looked if orphan is not None), *await self._unrecorded())
        return OrphansFound(open=len(jobs), orphans=orphans[: request.limit])

    async def _unrecorded(self) -> list[Orphan]:
        """Find the jobs that were accepted, and whose workflows were ended before they told the log."""
        names = await self.engine.ended_early(activity.info().scheduled_time - _LOOK_BACK)
        early = {name: found for name in names if (found := kind_of(name)) is not None}
        known = await self.jobs.recorded([job_id for _, job_id in early.values()]) if early else frozenset[str]()
        orphans: list[Orphan] = []
        for name, (kind, job_id) in early.items():
            found = None if job_id in known else await self.engine.ended(name)
            if found is not None:
                request = await self.engine.request_of(name)
                job = OpenJob(kind=kind, job_id=job_id, org_id=str(request["org_id"]), status="pending")
                orphans.append(Orphan(job=job, end=found.end, reason=found.reason, request=request))
        return orphans

    @activity.defn(name=FIND_HOSTS)
    async def find_hosts(self) -> HostsFound:
        """Tell which hosts are up."""
        return HostsFound(queues=await self.engine.hosts())
