"""What the keeping activities take and give. Frozen values only: workflows import this module."""

from typing import Any, Final, Literal

from domain.jobs import OpenJob
from domain.model import Value

FIND_ORPHANS: Final = "find_orphans"

End = Literal["completed", "failed", "cancelled", "terminated", "timed_out", "gone"]
"""How a workflow is over; `gone` if the workflow engine does not know it any more."""


class Orphan(Value):
    """A job whose workflow is over, or gone, and did not end it. `reason` is for people.

    `request` is what asked for a job that the log does not know, because its workflow was over too early.
    """

    job: OpenJob
    end: End
    reason: str
    request: dict[str, Any] | None = None


class FindOrphans(Value):
    """Asks for at most so many."""

    limit: int = 100


class OrphansFound(Value):
    """How many jobs are open, and those of them that nobody will end."""

    open: int
    orphans: tuple[Orphan, ...]
