"""What the keeping activities take and give. Frozen values only: workflows import this module."""

from typing import Any, Final, Literal

from domain.jobs import OpenJob
from domain.model import Value
from domain.rebuild.facts import RebuildFacts
from domain.rebuild.inputs import Timing

FIND_ORPHANS: Final = "find_orphans"
FIND_FACTS: Final = "find_rebuild_facts"
APPLY_SCHEDULE: Final = "apply_rebuild_schedule"
MEND_TIMETABLE: Final = "mend_rebuild_timetable"
LOOK_WORKFLOW: Final = "RebuildWorkflow"
"""The workflow that a rebuild's schedule starts, by name: activities know no workflow."""

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


class FindFacts(Value):
    """Asks what is known for a rebuild schedule."""

    schedule_id: str


class FactsFound(Value):
    """It; nothing for a schedule that is deleted or never was."""

    facts: RebuildFacts | None


class ApplySchedule(Value):
    """Has the workflow engine's timetable agree with what the log holds of a rebuild schedule.

    `timing` and `paused` are not looked at: histories from when this told the entry itself hold them.
    """

    schedule_id: str
    org_id: str
    name: str
    timing: Timing | None = None
    paused: bool = False


class Applied(Value):
    """It does."""


class Entry(Value):
    """A schedule's entry in the timetable."""

    schedule_id: str
    org_id: str
    name: str
    timing: Timing
    paused: bool = False


class Mended(Value):
    """The schedules whose entries were made, changed or removed, and what could not be done yet."""

    schedules: tuple[str, ...] = ()
    left: tuple[str, ...] = ()


class LookInput(Value):
    """What the timetable starts a look with."""

    schedule_id: str
