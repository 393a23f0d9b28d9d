"""What is asked of a build, and what ties a result to that request."""

from typing import Any, Literal

from domain.canonical import digest
from domain.model import Value

VerifyPolicy = Literal["auto", "always"]
"""`auto` takes over the evidence of an earlier build with the same bytes and tests; `always` boots and checks anew."""


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
    verify: VerifyPolicy = "auto"

    @property
    def recipe_digest(self) -> str:
        """SHA-256 of the recipe's canonical JSON."""
        return digest(self.recipe)

    @property
    def input_digest(self) -> str:
        """SHA-256 of everything that a repeated request must have in common."""
        asked: dict[str, Any] = {"tool": "create_build", "recipe": self.recipe, "retry_of": self.retry_of}
        if self.verify != "auto":  # what earlier releases did not know stays out of their requests' digests
            asked["verify"] = self.verify
        return digest(asked)
