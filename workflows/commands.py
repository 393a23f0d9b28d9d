"""What can be asked of workflows."""

from typing import Any

from domain.errors import Problem
from domain.model import Value


class RetryCommand(Value):
    """Go on from the failed step. The stock CLI may leave the whole command out.

    `generation` is the try whose failure was seen; with it the command never retries a later one.
    """

    command_id: str = ""
    requested_by: str = "signal"
    generation: int | None = None


class CancelCommand(Value):
    """End the build and give back what it holds."""

    command_id: str = ""
    requested_by: str = "signal"
    reason: str = "cancelled on request"


class ValidateInput(Value):
    """A canonical recipe to be checked against the package index."""

    recipe: dict[str, Any]


class ValidateResult(Value):
    """Everything wrong with the recipe; nothing if it can be built."""

    problems: tuple[Problem, ...]
