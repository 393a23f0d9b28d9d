"""What a sweep of one place takes and gives: of the object store, or of a host. Sizes in bytes."""

from typing import Final

from domain.model import Value

COLLECT_STORE: Final = "collect_store"


class StoreInput(Value):
    """Make room in a host's store."""

    dry_run: bool


class Gone(Value):
    """So many things of one kind that went, or would go, for one reason; a few of them by name."""

    where: str
    kind: str
    reason: str
    count: int
    bytes: int
    examples: tuple[str, ...] = ()


class Swept(Value):
    """What went from one place, what is left there, and what cannot be said or done."""

    gone: tuple[Gone, ...] = ()
    kept: int = 0
    kept_bytes: int = 0
    notes: tuple[str, ...] = ()
