"""What every fact in the event log is."""

from datetime import datetime
from typing import ClassVar

from domain.model import Value


class Event(Value):
    """A fact about one aggregate of an organization; `at` is when it happened (UTC), as its workflow saw it.

    `NAME` is versioned and never depends on a class path.
    """

    NAME: ClassVar[str]
    org_id: str
    at: datetime
