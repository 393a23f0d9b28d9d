"""What is asked of a build, and what ties a result to that request."""

from typing import Any, Literal

from domain.artifacts import Blob
from domain.canonical import digest
from domain.model import Value

VerifyPolicy = Literal["auto", "always"]
"""`auto` takes over the evidence of an earlier build with the same bytes and tests; `always` boots and checks anew."""
BuildPriority = Literal["high", "normal", "low"]
OnConflict = Literal["queue", "cancel_queued", "cancel_running"]


class BuildRequest(Value):
    """A validated request. `recipe` is the canonical document of `domain.recipe.schema.Recipe`.

    `plan` names the organization's plan, whose allowance guards the first event.
    `retry_of` is a failed build that this one replaces, `rerun_of` a build whose inputs are built again; `lock` is
    that one's, which says exactly which packages these are.
    Builds of an organization with one `concurrency_key` run one at a time; `on_conflict` says what becomes of
    the older ones: they go first, those that still wait are superseded, or those that run are too.
    `priority` orders the organization's own builds. `why` is what a schedule says about its build.
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
    priority: BuildPriority = "normal"
    concurrency_key: str | None = None
    on_conflict: OnConflict = "cancel_queued"
    why: str | None = None

    @property
    def recipe_digest(self) -> str:
        """SHA-256 of the recipe's canonical JSON."""
        return digest(self.recipe)

    @property
    def input_digest(self) -> str:
        """SHA-256 of everything that a repeated request must have in common.

        What has its default is left out, so that a digest made before there was such a choice still fits.
        """
        asked: dict[str, Any] = {"tool": "create_build", "recipe": self.recipe, "retry_of": self.retry_of}
        if self.verify != "auto":
            asked["verify"] = self.verify
        if self.rerun_of is not None:
            asked["rerun_of"] = self.rerun_of
        if self.priority != "normal":
            asked["priority"] = self.priority
        if self.concurrency_key is not None:
            asked |= {"concurrency_key": self.concurrency_key, "on_conflict": self.on_conflict}
        return digest(asked)


class QueueTerms(Value):
    """What the factory says about a build's turn when it is asked for.

    `most` of its organization's builds run at a time; `seconds` is how long it will probably take, if earlier
    builds tell.
    """

    most: int = 1
    seconds: float | None = None
