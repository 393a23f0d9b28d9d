"""What is asked of a build, and what ties a result to that request."""

from typing import Any

from domain.canonical import digest
from domain.model import Value


class BuildRequest(Value):
    """A validated request. `recipe` is the canonical document of `domain.recipe.schema.Recipe`.

    `plan` names the organization's plan, whose allowance guards the first event.
    """

    build_id: str
    org_id: str
    requested_by: str
    plan: str = "self-hosted"
    recipe: dict[str, Any]
    retry_of: str | None = None

    @property
    def recipe_digest(self) -> str:
        """SHA-256 of the recipe's canonical JSON."""
        return digest(self.recipe)

    @property
    def input_digest(self) -> str:
        """SHA-256 of everything that a repeated request must have in common."""
        return digest({"tool": "create_build", "recipe": self.recipe, "retry_of": self.retry_of})
