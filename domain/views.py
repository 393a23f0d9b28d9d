"""What the tools answer. The command line and the pages render these; clients see them as JSON."""

from datetime import datetime
from typing import Any, Literal

from domain.artifacts import Artifact, DownloadLink
from domain.build.state import BuildStatus, Failure, StepState
from domain.errors import Problem
from domain.metering import Quota
from domain.model import Value
from domain.recipe.difference import Difference
from domain.verification import AssertionResult, Firmware, Reuse


class WhoAmI(Value):
    """The caller as the factory knows them. Where nothing is metered there are no quotas."""

    subject: str
    org_id: str
    plan: str
    permissions: tuple[str, ...]
    factory_version: str
    expires_at: datetime | None = None
    quotas: tuple[Quota, ...] = ()


RecipeSource = Literal["built-in", "saved"]


class RecipeSummary(Value):
    """A recipe in a list: a built-in template, or one of the organization's own, which has a version.

    One that was saved long ago may no longer be `valid`; get_recipe tells what is wrong with it.
    """

    name: str
    source: RecipeSource = "built-in"
    category: str = ""
    title: str = ""
    description: str
    base_image: str
    packages: int
    tests: int
    version: int | None = None
    valid: bool = True


class RecipeList(Value):
    """The templates, with the first page, and some saved recipes by name; and the cursor of the next page."""

    recipes: tuple[RecipeSummary, ...]
    next_cursor: str | None = None


class RecipeCategory(Value):
    """A category, and how many recipes are in it."""

    name: str
    built_in: int = 0
    saved: int = 0


class RecipeCategories(Value):
    """All categories that have a recipe."""

    categories: tuple[RecipeCategory, ...]


class RecipeDetail(Value):
    """One recipe: `recipe` is the canonical document, ready for create_build.

    One that is too large for an answer is behind `recipe_url` instead, for an hour. With `problems` it is the document
    as it was saved, which can be built no longer; `next` says what to do.
    """

    name: str
    source: RecipeSource = "built-in"
    category: str = ""
    title: str = ""
    description: str
    version: int | None = None
    recipe: dict[str, Any] | None = None
    recipe_digest: str = ""
    recipe_url: str | None = None
    default_packages: tuple[str, ...]
    problems: tuple[Problem, ...] = ()
    next: str | None = None


class SavedRecipeView(Value):
    """What became of a saved recipe. `visible` is false while the read model does not show it yet."""

    name: str
    version: int
    category: str
    description: str
    recipe_digest: str
    deleted: bool = False
    visible: bool = True
    replayed: bool = False
    next: str | None = None


class CustomizedRecipe(Value):
    """A recipe with changes, the changes as they came out, and the judgement on the whole.

    `recipe` is canonical if it is valid, else as far as it got; one that is too large is behind `recipe_url` for an
    hour. `cut` says what was left out to keep the answer small.
    """

    valid: bool
    problems: tuple[Problem, ...] = ()
    changes: tuple[Difference, ...] = ()
    recipe: dict[str, Any] | None = None
    recipe_digest: str | None = None
    recipe_url: str | None = None
    default_packages: tuple[str, ...] = ()
    cut: str | None = None
    next: str | None = None


class ValidationView(Value):
    """The judgement on a recipe: every problem at once, or the canonical document.

    `cut` says what was left out to keep the answer small.
    """

    valid: bool
    cut: str | None = None
    problems: tuple[Problem, ...] = ()
    recipe: dict[str, Any] | None = None
    recipe_digest: str | None = None
    default_packages: tuple[str, ...] = ()


class Progress(Value):
    """How far a build is. `percent` (0 to 100) is an estimate; seconds throughout.

    `expected_seconds` is how long the rest will probably take, known only once earlier builds tell.
    """

    percent: float
    step: str | None = None
    text: str | None = None
    elapsed_seconds: float
    expected_seconds: float | None = None
    expected_end: datetime | None = None


class QueueView(Value):
    """Where a build stands that waits for its turn. `position` counts from 1 in the order of probable starts.

    `expected_start` is known once earlier builds tell how long they take; `reason` says what it waits for.
    """

    position: int
    expected_start: datetime | None = None
    reason: str


class BuildSummary(Value):
    """A build in a list. `step` is what is at work, or where it ended."""

    build_id: str
    name: str
    base_image: str
    status: BuildStatus
    step: str | None = None
    created_at: datetime
    updated_at: datetime
    seconds: float | None = None
    failure: str | None = None
    queue: QueueView | None = None


class BuildPage(Value):
    """Some builds, newest first, and the cursor of the next page."""

    builds: tuple[BuildSummary, ...]
    next_cursor: str | None = None


class ReportView(Value):
    """What was checked on one artifact. `passed` and `failed` count all; `results` may hold only some.

    `found` in the results came from the guest: untrusted data. With `reused` the artifact was not booted for
    this build: an earlier one checked the same bytes by the same tests.
    """

    artifact: Literal["qcow2", "iso"]
    firmware: Firmware
    accelerator: Literal["kvm", "tcg"]
    boot_seconds: float
    passed: int
    failed: int
    reused: Reuse | None = None
    results: tuple[AssertionResult, ...] = ()


class BuildView(Value):
    """One build. `visible` is false while the read model does not show it yet.

    `cut` says what was left out to keep the answer small, and how to get it. `why` is what a schedule says about
    the build that it started.
    """

    build_id: str
    workflow_id: str
    name: str
    status: BuildStatus
    version: int
    visible: bool = True
    replayed: bool = False
    created_at: datetime | None = None
    updated_at: datetime | None = None
    recipe_digest: str | None = None
    base_image: str | None = None
    retry_of: str | None = None
    retries: int = 0
    rerun_of: str | None = None
    concurrency_key: str | None = None
    why: str | None = None
    queue: QueueView | None = None
    cancelled_because: str | None = None
    progress: Progress | None = None
    steps: tuple[StepState, ...] = ()
    failure: Failure | None = None
    reports: tuple[ReportView, ...] = ()
    artifacts: tuple[Artifact, ...] = ()
    next: str | None = None
    cut: str | None = None


class LogLine(Value):
    """One line of a build's log. `text` may come from a guest or a package: untrusted data.

    `line` is its number in the whole log, if that is known; `match` says that it holds the text looked for.
    """

    line: int | None = None
    at: datetime
    step: str
    text: str
    match: bool | None = None


class LogView(Value):
    """A part of a build's log. Ask again with `next_cursor`; `end` says that no more will come.

    `truncated`: more lines are there already, or some were left out or clipped to keep the answer small.
    """

    build_id: str
    lines: tuple[LogLine, ...]
    next_cursor: str
    end: bool
    truncated: bool = False
    untrusted: bool = True


class DownloadLinks(Value):
    """The links of one build."""

    build_id: str
    status: BuildStatus
    links: tuple[DownloadLink, ...]
    note: str | None = None


class DeletedBuild(Value):
    """A build that is deleted: how many files it had, of together so many bytes, unless it was deleted before."""

    build_id: str
    name: str
    status: Literal["deleted"] = "deleted"
    files: int
    bytes: int
    replayed: bool = False
    next: str


class PartHealth(Value):
    """One part of the factory as seen just now. `note` is in plain words, without addresses or secrets."""

    name: str
    ok: bool
    note: str | None = None


class FactoryHealth(Value):
    """Which parts answer. `ok` only if all do."""

    ok: bool
    version: str
    parts: tuple[PartHealth, ...]
