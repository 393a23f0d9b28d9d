"""What builds and the fleet tell each other about slots: the right to run on a host, one build each."""

from datetime import datetime

from pydantic import Field

from domain import jobs
from domain.build.inputs import BuildPriority, OnConflict
from domain.errors import Problem
from domain.model import Value


class SlotRequest(Value):
    """A build's workflow asks for its turn, as the signal `reserve_build`; a repeat keeps the place it has.

    Places are ordered by `asked_at`, so that asking again of a fleet that was begun anew gives them back.
    """

    build_id: str
    org_id: str
    most: int
    asked_at: datetime
    seconds: float | None = None
    priority: BuildPriority = "normal"
    key: str | None = None
    on_conflict: OnConflict = "queue"


class SlotEnd(Value):
    """A build needs its slot or its place no more, as the signal `release_build`; `completed` ones tell durations."""

    build_id: str
    completed: bool = False


class Slot(Value):
    """The right to run on a host, as the signal `slot_granted`."""

    host: str
    queue: str


class SlotWait(Value):
    """A build's place in the queue, as the signal `slot_queued`.

    `position` counts from 1 in the order in which builds will probably start.
    """

    position: int
    starts_at: datetime | None
    reason: str


class SlotRefused(Value):
    """The queue takes no more, as the signal `slot_refused`."""

    problem: Problem


class Superseded(Value):
    """A newer build took this one's place, as the signal `superseded`."""

    by: str


class SlotCheck(Value):
    """Asks nothing, as the signal `slot_checked`: whom it cannot reach is gone, and so is its slot."""


class SlotState(Value):
    """A slot as the fleet holds it."""

    request: SlotRequest
    host: str
    queue: str
    since: datetime
    superseded_by: str | None = None


class Place(Value):
    """A build in the queue, and the position that it was last told (0: none yet)."""

    request: SlotRequest
    told: int = 0


class BuildsState(Value):
    """Who runs and who waits.

    `served` counts, for each organization of these, the turns at which it was last given a slot. `recent` is how
    long completed builds held theirs, in seconds.
    """

    running: tuple[SlotState, ...] = ()
    waiting: tuple[Place, ...] = ()
    turn: int = 0
    served: dict[str, int] = Field(default_factory=dict)
    recent: tuple[float, ...] = ()
    checked_at: datetime | None = None


class BuildAnswer(Value):
    """A signal that is due to a build's workflow."""

    build_id: str
    told: Slot | SlotWait | SlotRefused | Superseded | SlotCheck

    @property
    def workflow_id(self) -> str:
        """The workflow that is told."""
        return jobs.workflow_id("build", self.build_id)


class QueuePlace(Value):
    """A build's place."""

    build_id: str
    org_id: str
    position: int
    starts_at: datetime | None
    reason: str
