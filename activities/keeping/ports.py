"""What keeping needs of the outside."""

from typing import NamedTuple, Protocol

from activities.keeping.models import ApplySchedule, End
from domain.jobs import OpenJob
from domain.rebuild.facts import RebuildFacts


class Ended(NamedTuple):
    """How a workflow is over, and what it says about that."""

    end: End
    reason: str


class OpenJobs(Protocol):
    """The jobs that have not ended. Raises `Fault` (`database.unavailable`) when it cannot know."""

    async def all(self) -> tuple[OpenJob, ...]:
        """List them, of every organization."""
        ...


class WorkflowEngine(Protocol):
    """What the workflow engine knows of workflows. Raises `Fault` (`temporal.unavailable`) when it cannot know."""

    async def ended(self, workflow_id: str) -> Ended | None:
        """Tell how the workflow is over; nothing while its latest run goes on."""
        ...

    async def hosts(self) -> tuple[str, ...]:
        """Tell the task queues of the hosts that are up."""
        ...


class RebuildPast(Protocol):
    """What happened to a schedule's recipe. Raises `Fault` (`database.unavailable`) when it cannot know."""

    async def facts(self, schedule_id: str) -> RebuildFacts | None:
        """Tell what is known; nothing for a schedule that is deleted or never was."""
        ...


class Timetable(Protocol):
    """When packages are looked at. Raises `Fault` (`temporal.unavailable`); all may be repeated."""

    async def put(self, wanted: ApplySchedule) -> None:
        """Make an entry, or change the one that is there."""
        ...

    async def remove(self, schedule_id: str) -> None:
        """Remove an entry; harmless if there is none."""
        ...
