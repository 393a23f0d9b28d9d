"""What is asked of a schedule, and what a look at it found."""

from typing import Any, Literal

from domain.canonical import digest
from domain.model import Value

LookOutcome = Literal["started", "unchanged", "already_building", "already_tried", "failed"]


class Timing(Value):
    """How often packages are looked at, in seconds; each look comes up to `jitter` later."""

    every: int
    jitter: int = 0


class ScheduleRequest(Value):
    """A validated request. `recipe` is the canonical document; `plan` is that of its builds."""

    schedule_id: str
    org_id: str
    requested_by: str
    plan: str
    recipe: dict[str, Any]
    timing: Timing

    @property
    def recipe_digest(self) -> str:
        """SHA-256 of the recipe's canonical JSON."""
        return digest(self.recipe)

    @property
    def input_digest(self) -> str:
        """SHA-256 of everything that a repeated request must have in common."""
        timing = self.timing.model_dump(mode="json")
        return digest({"tool": "create_rebuild_schedule", "recipe": self.recipe, "timing": timing})


class Look(Value):
    """What one look found.

    `packages` is the digest of the solved packages; `changed` counts all changes, none if those of the last build are
    not known any more.
    """

    outcome: LookOutcome
    build_id: str | None = None
    packages: str | None = None
    changed: int = 0
    summary: str
