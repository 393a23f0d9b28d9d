"""What keeping needs of the outside."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any, NamedTuple, Protocol

from activities.keeping.models import End, Entry
from domain.jobs import OpenJob
from domain.rebuild.facts import RebuildFacts, Times
from domain.rebuild.state import ScheduleState


class Ended(NamedTuple):
    """How a workflow is over, and what it says about that."""

    end: End
    reason: str


class OpenJobs(Protocol):
    """The jobs that have not ended. Raises `Fault` (`database.unavailable`) when it cannot know."""

    async def all(self) -> tuple[OpenJob, ...]:
        """List them, of every organization."""
        ...

    async def recorded(self, job_ids: Collection[str]) -> frozenset[str]:
        """Tell which of these jobs the log knows, whatever became of them."""
        ...


class WorkflowEngine(Protocol):
    """What the workflow engine knows of workflows. Raises `Fault` (`temporal.unavailable`) when it cannot know."""

    async def ended(self, workflow_id: str) -> Ended | None:
        """Tell how the workflow is over; nothing while its latest run goes on."""
        ...

    async def ended_early(self, since: datetime) -> tuple[str, ...]:
        """Name the workflows that were ended from outside since then while their jobs waited to begin."""
        ...

    async def request_of(self, workflow_id: str) -> dict[str, Any]:
        """Return the request that the job's workflow was started with."""
        ...

    async def hosts(self) -> tuple[str, ...]:
        """Tell the task queues of the hosts that are up."""
        ...


class RebuildPast(Protocol):
    """What happened to schedules and their recipes. Raises `Fault` (`database.unavailable`) when it cannot know."""

    async def facts(self, schedule_id: str) -> RebuildFacts | None:
        """Tell what is known; nothing for a schedule that is deleted or never was."""
        ...

    async def times(self) -> Mapping[str, Times | None]:
        """Tell when which schedule looks, of all organizations and as the read model has it; deleted ones never do."""
        ...

    async def recorded(self, schedule_id: str) -> ScheduleState | None:
        """Tell what the log itself holds of a schedule at this moment."""
        ...


class Timetable(Protocol):
    """When packages are looked at. Raises `Fault` (`temporal.unavailable`); all may be repeated."""

    async def shown(self) -> Mapping[str, Times]:
        """List the entries by their schedules' ids; what changed a moment ago may not be there yet."""
        ...

    async def put(self, wanted: Entry) -> None:
        """Make an entry, or change the one that is there."""
        ...

    async def remove(self, schedule_id: str) -> None:
        """Remove an entry; harmless if there is none."""
        ...
