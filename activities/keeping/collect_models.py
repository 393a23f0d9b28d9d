"""What the collection of garbage takes and gives. Frozen values only: workflows import this module. Sizes in bytes."""

from datetime import datetime
from typing import Final

from activities.swept import Gone
from domain.model import Value

FIND_EXPIRED: Final = "find_expired"
SWEEP_OBJECTS: Final = "sweep_objects"
FIND_HOSTS: Final = "find_hosts"
KEEP_HISTORIES: Final = "keep_histories"


class CollectInput(Value):
    """Collect, or with `dry_run` only say what would go."""

    dry_run: bool = False


class Expired(Value):
    """A build whose files its plan keeps no longer."""

    build_id: str
    reason: str


class ExpiredFound(Value):
    """They; at most so many at a time."""

    builds: tuple[Expired, ...]


class SweepInput(Value):
    """Remove from the object store what nobody refers to; `expired` builds count as if they had no files."""

    dry_run: bool
    expired: tuple[str, ...] = ()


class HostsFound(Value):
    """The task queues of the hosts that are up."""

    queues: tuple[str, ...]


class Collected(Value):
    """All of it."""

    dry_run: bool
    expired: tuple[Expired, ...] = ()
    gone: tuple[Gone, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def bytes(self) -> int:
        """How much room that makes."""
        return sum(gone.bytes for gone in self.gone)


class KeepHistories(Value):
    """Keep the histories of runs that closed since then (of all without it), at most so many."""

    since: datetime | None = None
    limit: int = 50


class HistoriesKept(Value):
    """How many were kept, and up to where the runs were looked at."""

    kept: int
    until: datetime | None = None
