"""Which packages of a recipe have updates."""

from activities.imaging.compare import PackageComparer
from activities.imaging.lock import Lock
from activities.imaging.models import CompareInput, CompareResult
from activities.imaging.publish_documents import package_manifest
from activities.step_log import StepLog
from domain.build.compare import PackageChange
from domain.errors import Problem
from tests.fakes.objects import FakeObjectStore
from tests.unit.imaging.locked import Notes, lock, locked


class Solved:
    """Solves every recipe into this."""

    def __init__(self, found: Lock | None, *problems: Problem) -> None:
        self._answer = (found, problems)

    async def solve(self, recipe: dict[str, object], log: StepLog) -> tuple[Lock | None, tuple[Problem, ...]]:
        return self._answer


async def compared(today: Solved, before: Lock | None, *, manifest: str | None = "m") -> CompareResult:
    objects = FakeObjectStore()
    if before is not None:
        await objects.put("blobs/m", package_manifest(before))
    return await PackageComparer(today, objects).compare(CompareInput(recipe={}, manifest=manifest), Notes())


THEN = lock(locked("curl"), locked("nginx"), base=(locked("libc6"),))


async def test_the_same_packages_are_no_change_whichever_index_they_come_from() -> None:
    today = THEN.model_copy(update={"index": "2027-01-01T00:00:00+00:00"})
    result = await compared(Solved(today), THEN)
    assert (result.changed, result.changes, result.total) == (0, (), 3)


async def test_updates_of_the_base_count_and_what_came_and_went_is_named() -> None:
    today = lock(locked("curl"), locked("jq"), base=(locked("libc6", version="1.0-2"),))
    result = await compared(Solved(today), THEN)
    assert result.changes == (
        PackageChange(name="jq", after="1.0-1"),
        PackageChange(name="libc6", before="1.0-1", after="1.0-2"),
        PackageChange(name="nginx", before="1.0-1"),
    )
    assert result.packages != (await compared(Solved(THEN), THEN)).packages


async def test_without_a_build_or_its_list_everything_is_new() -> None:
    first = await compared(Solved(THEN), None, manifest=None)
    swept = await compared(Solved(THEN), None)
    assert (first.changed, first.gone) == (3, False)
    assert (swept.changed, swept.gone) == (3, True)


async def test_a_recipe_that_cannot_be_solved_says_why() -> None:
    problem = Problem(code="package.not_found", message="there is no package `curll`")
    assert (await compared(Solved(None, problem), THEN)).problems == (problem,)
