"""What is asked of a build, and what ties a result to that request."""

from typing import Any, Literal

from domain.artifacts import Blob
from domain.canonical import digest
from domain.model import Value

VerifyPolicy = Literal["auto", "always"]
"""`auto` takes over the evidence of an earlier build with the same bytes and tests; `always` boots and checks anew."""


class BuildRequest(Value):
    """A validated request. `recipe` is the canonical document of `domain.recipe.schema.Recipe`.

    `plan` names the organization's plan, whose allowance guards the first event.
    `retry_of` is a failed build that this one replaces, `rerun_of` a build whose inputs are built again; `lock` is
    that one's, which says exactly which packages these are.
    """

    build_id: str
    org_id: str
    requested_by: str
    plan: str = "self-hosted"
    recipe: dict[str, Any]
    retry_of: str | None = None
    verify: VerifyPolicy = "auto"
    rerun_of: str | None = None
    lock: Blob | None = None

    @property
    def recipe_digest(self) -> str:
        """SHA-256 of the recipe's canonical JSON."""
        return digest(self.recipe)

    @property
    def input_digest(self) -> str:
        """SHA-256 of everything that a repeated request must have in common."""
        asked: dict[str, Any] = {"tool": "create_build", "recipe": self.recipe, "retry_of": self.retry_of}
        # What earlier releases did not know stays out of their requests' digests.
        if self.verify != "auto":
            asked["verify"] = self.verify
        if self.rerun_of is not None:
            asked["rerun_of"] = self.rerun_of
        return digest(asked)
