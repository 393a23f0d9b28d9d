"""What keeping needs of the outside."""

from typing import NamedTuple, Protocol

from activities.keeping.models import End
from domain.jobs import OpenJob


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
