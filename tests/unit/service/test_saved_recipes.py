"""Recipes are changed, kept under their names, built by them, and forgotten."""

import asyncio
from typing import Any

import pytest

from domain.artifacts import LOCK, Artifact, Blob
from domain.build import events as e
from domain.errors import Problem, Verdict
from domain.plan import plan_of
from domain.recipe.schema import MAX_BYTES
from service.admission.credentials import OPERATOR
from service.build_create import BuildWishes, create_build
from service.recipe_commands import SaveWish, delete_recipe, save_recipe
from service.recipe_customize import customize_recipe
from service.recipes import get_recipe, list_categories, list_recipes, validate_recipe
from tests.fakes.factory import GUEST, NOW, STRANGER, World, failed, recipe_document

MINE: dict[str, Any] = {**recipe_document(), "name": "mine"}
BUILD = "11111111-1111-4111-8111-111111111111"


async def refused(awaitable: Any) -> Verdict:
    with pytest.raises(Verdict) as caught:
        await awaitable
    return caught.value


async def test_a_saved_recipe_is_listed_shown_built_by_its_name_and_deleted(world: World) -> None:
    saved = await save_recipe(world.factory, OPERATOR, MINE, SaveWish(description="For me.", category="lab"))
    assert (saved.version, saved.category, saved.visible, saved.replayed) == (1, "lab", True, False)
    listed = (await list_recipes(world.factory, OPERATOR)).recipes
    assert [(r.name, r.source) for r in listed][-1] == ("mine", "saved")
    shown = await get_recipe(world.factory, OPERATOR, "mine")
    assert (shown.recipe, shown.version, shown.description) == (MINE, 1, "For me.")
    await create_build(world.factory, OPERATOR, "mine")
    assert world.workflows.started[-1].recipe == MINE
    gone = await delete_recipe(world.factory, OPERATOR, "mine")
    assert (gone.deleted, gone.version) == (True, 2)
    assert (await refused(get_recipe(world.factory, OPERATOR, "mine"))).code == "recipe.not_found"
    assert (await refused(delete_recipe(world.factory, OPERATOR, "mine"))).code == "recipe.not_found"
    assert (await save_recipe(world.factory, OPERATOR, MINE, SaveWish())).version == 3


async def test_replacing_a_recipe_takes_the_version_that_is_replaced(world: World) -> None:
    await save_recipe(world.factory, OPERATOR, MINE, SaveWish(description="first", category="lab"))
    other = {**MINE, "packages": ["htop"]}
    exists = await refused(save_recipe(world.factory, OPERATOR, other, SaveWish()))
    assert exists.code == "recipe.exists"
    assert "expected_version=1" in str(exists.problems[0].next)
    replaced = await save_recipe(world.factory, OPERATOR, other, SaveWish(expected_version=1))
    assert (replaced.version, replaced.description, replaced.category) == (2, "first", "lab")
    late = await refused(save_recipe(world.factory, OPERATOR, MINE, SaveWish(expected_version=1)))
    assert late.code == "recipe.version_conflict"
    assert (await refused(delete_recipe(world.factory, OPERATOR, "mine", expected_version=1))).code == late.code


async def test_the_same_content_is_kept_once(world: World) -> None:
    await save_recipe(world.factory, OPERATOR, MINE, SaveWish())
    assert (await save_recipe(world.factory, OPERATOR, MINE, SaveWish())).version == 1


async def test_a_repeated_request_key_changes_nothing_and_another_content_under_it_is_refused(world: World) -> None:
    first = await save_recipe(world.factory, OPERATOR, MINE, SaveWish(), request_key="k")
    other = {**MINE, "packages": ["htop"]}
    await save_recipe(world.factory, OPERATOR, other, SaveWish(expected_version=1), request_key="l")
    again = await save_recipe(world.factory, OPERATOR, MINE, SaveWish(), request_key="k")
    assert (first.replayed, again.replayed, again.version) == (False, True, 2)
    reused = await refused(save_recipe(world.factory, OPERATOR, other, SaveWish(), request_key="k"))
    assert reused.code == "request_key.reused"
    await delete_recipe(world.factory, OPERATOR, "mine", request_key="d")
    assert (await delete_recipe(world.factory, OPERATOR, "mine", request_key="d")).replayed


async def test_a_repeat_is_known_by_what_was_said_not_by_what_stayed_as_it_was_meanwhile(world: World) -> None:
    await save_recipe(world.factory, OPERATOR, MINE, SaveWish(), request_key="k")
    await save_recipe(world.factory, OPERATOR, MINE, SaveWish(description="web", expected_version=1), request_key="l")
    again = await save_recipe(world.factory, OPERATOR, MINE, SaveWish(), request_key="k")
    assert (again.replayed, again.description) == (True, "web")
    reused = await refused(save_recipe(world.factory, OPERATOR, MINE, SaveWish(description="web"), request_key="k"))
    assert reused.code == "request_key.reused"


async def test_a_recipe_that_is_named_counts_as_if_it_were_sent(world: World) -> None:
    large = {**MINE, "startupScripts": [{"name": f"s{number}", "script": "y" * 60_000} for number in range(4)]}
    await save_recipe(world.factory, GUEST, large, SaveWish())
    for _ in range(plan_of("guest").rate.burst_bytes // 240_000):
        await validate_recipe(world.factory, GUEST, "mine")
    taken = len(world.workflows.validated)
    for ask in (validate_recipe, customize_recipe):
        assert (await refused(ask(world.factory, GUEST, "mine"))).code == "rate.limited"
    assert len(world.workflows.validated) == taken
    await validate_recipe(world.factory, GUEST, MINE)


async def test_a_plan_allows_so_many_recipes_and_one_that_is_there_can_be_replaced(world: World) -> None:
    most = plan_of("guest").recipes
    for number in range(most):
        await save_recipe(world.factory, GUEST, {**MINE, "name": f"r{number}"}, SaveWish(), request_key=f"k{number}")
    full = await refused(save_recipe(world.factory, GUEST, MINE, SaveWish()))
    assert (full.code, str(most) in full.problems[0].message) == ("recipe.quota", True)
    assert "delete_recipe" in str(full.problems[0].next)
    again = await save_recipe(world.factory, GUEST, {**MINE, "name": "r0"}, SaveWish(), request_key="k0")
    assert again.replayed
    changed = {**MINE, "name": "r0", "packages": ["htop"]}
    assert (await save_recipe(world.factory, GUEST, changed, SaveWish(expected_version=1))).version == 2
    await delete_recipe(world.factory, GUEST, "r0")
    assert (await save_recipe(world.factory, GUEST, MINE, SaveWish())).version == 1
    assert (await refused(save_recipe(world.factory, GUEST, changed, SaveWish()))).code == "recipe.quota"
    await save_recipe(world.factory, OPERATOR, MINE, SaveWish())


async def test_a_new_recipe_has_nothing_of_a_deleted_one(world: World) -> None:
    await save_recipe(world.factory, OPERATOR, MINE, SaveWish(description="web", category="lab"))
    await delete_recipe(world.factory, OPERATOR, "mine")
    anew = await save_recipe(world.factory, OPERATOR, MINE, SaveWish())
    assert (anew.description, anew.category) == ("", "own")


async def test_of_two_who_save_a_name_at_once_one_is_refused(world: World) -> None:
    wishes = (SaveWish(description=text) for text in ("a", "b"))
    saves = (save_recipe(world.factory, OPERATOR, MINE, wish) for wish in wishes)
    outcomes = await asyncio.gather(*saves, return_exceptions=True)
    assert sum(isinstance(outcome, Verdict) for outcome in outcomes) == 1


async def test_built_in_names_cannot_be_taken_or_deleted(world: World) -> None:
    document = recipe_document()
    assert (await refused(save_recipe(world.factory, OPERATOR, document, SaveWish()))).code == "recipe.built_in"
    assert (await refused(save_recipe(world.factory, OPERATOR, "demo", SaveWish()))).code == "recipe.built_in"
    assert (await refused(delete_recipe(world.factory, OPERATOR, "demo"))).code == "recipe.built_in"


async def test_another_organization_has_names_of_its_own(world: World) -> None:
    await save_recipe(world.factory, OPERATOR, MINE, SaveWish())
    assert (await refused(get_recipe(world.factory, STRANGER, "mine"))).code == "recipe.not_found"
    theirs = await save_recipe(world.factory, STRANGER, {**MINE, "packages": ["htop"]}, SaveWish())
    assert theirs.version == 1
    assert (await get_recipe(world.factory, OPERATOR, "mine")).recipe == MINE


async def test_what_is_wrong_with_what_is_said_about_a_recipe_is_told_at_once(world: World) -> None:
    wish = SaveWish(description="two\nlines", category="No Such")
    wrong = await refused(save_recipe(world.factory, OPERATOR, MINE, wish))
    assert {problem.path for problem in wrong.problems} == {"description", "category"}


async def test_a_misspelt_name_is_suggested_from_both_kinds(world: World) -> None:
    await save_recipe(world.factory, OPERATOR, MINE, SaveWish())
    assert (await refused(get_recipe(world.factory, OPERATOR, "mime"))).problems[0].suggestions[0] == "mine"
    assert (await refused(create_build(world.factory, OPERATOR, "dem"))).problems[0].suggestions[0] == "demo"


async def test_categories_are_counted_and_narrow_the_list(world: World) -> None:
    await save_recipe(world.factory, OPERATOR, MINE, SaveWish(category="server"))
    counted = {c.name: (c.built_in, c.saved) for c in (await list_categories(world.factory, OPERATOR)).categories}
    assert counted["server"] == (2, 1)
    listed = (await list_recipes(world.factory, OPERATOR, category="server")).recipes
    assert [recipe.name for recipe in listed] == ["demo", "web-server", "mine"]


async def test_many_saved_recipes_come_in_pages(world: World) -> None:
    for number in range(5):
        await save_recipe(world.factory, OPERATOR, {**MINE, "name": f"r{number}"}, SaveWish())
    first = await list_recipes(world.factory, OPERATOR, limit=3)
    last = await list_recipes(world.factory, OPERATOR, limit=3, cursor=first.next_cursor)
    names = [r.name for r in (*first.recipes, *last.recipes) if r.source == "saved"]
    assert names == [f"r{number}" for number in range(5)]
    assert last.next_cursor is None


async def test_a_saved_recipe_that_is_refused_today_is_listed_as_such_and_told_with_its_problems(world: World) -> None:
    await save_recipe(world.factory, OPERATOR, {**MINE, "name": "fine"}, SaveWish())
    await save_recipe(world.factory, OPERATOR, MINE, SaveWish(description="For me."))
    document = {**MINE, "packages": {"now": "a mapping"}, "oldKey": 1}
    _was_saved(world, "mine", document)
    listed = {recipe.name: recipe for recipe in (await list_recipes(world.factory, OPERATOR)).recipes}
    assert (listed["fine"].valid, listed["mine"].valid) == (True, False)
    assert (listed["mine"].base_image, listed["mine"].packages) == (MINE["baseImage"], 0)
    shown = await get_recipe(world.factory, OPERATOR, "mine")
    assert (shown.recipe, shown.version, shown.description) == (document, 1, "For me.")
    assert {problem.path for problem in shown.problems} == {"oldKey", "packages"}
    assert "expected_version=1" in str(shown.next)
    assert (await refused(create_build(world.factory, OPERATOR, "mine"))).code.startswith("recipe.")
    assert (await save_recipe(world.factory, OPERATOR, MINE, SaveWish(expected_version=1))).version == 2


def _was_saved(world: World, name: str, document: dict[str, Any]) -> None:
    """Have a recipe be one that an earlier release took."""
    for key, state in world.reads.saved_recipes.items():
        if state.name == name:
            content = state.content.model_copy(update={"document": document})
            world.reads.saved_recipes[key] = state.model_copy(update={"content": content})


async def test_a_recipe_is_customized_by_patch_and_edits_and_judged(world: World) -> None:
    view = await customize_recipe(
        world.factory,
        OPERATOR,
        "minimal-bookworm",
        patch={"name": "lab", "base_image": "debian-trixie"},
        edits=[{"edit": "add_package", "name": "htop"}],
    )
    assert view.valid
    assert view.recipe is not None
    assert {(c.kind, c.path) for c in view.changes} == {
        ("changed", "name"),
        ("changed", "baseImage"),
        ("added", "packages.htop"),
    }
    assert (await validate_recipe(world.factory, OPERATOR, view.recipe)).recipe == view.recipe


async def test_everything_that_is_wrong_with_a_change_is_told_at_once(world: World) -> None:
    view = await customize_recipe(
        world.factory,
        OPERATOR,
        "minimal-bookworm",
        patch={"baseImage": "debian-potato", "pakages": ["x"]},
        edits=[{"edit": "remove_package", "name": "none"}, {"edit": "add_user", "username": "Bad Name"}],
    )
    assert not view.valid
    assert [problem.path for problem in view.problems] == [
        "patch.pakages",
        "edits[0]",
        "baseImage",
        "users[0].username",
    ]


async def test_a_patch_or_edits_deeper_than_any_recipe_are_told_and_the_recipe_stays_what_it_was(world: World) -> None:
    deep: dict[str, Any] = {}
    for _ in range(150):
        deep = {"a": deep}
    into = [{"edit": "set", "path": path, "value": deep} for path in ("x", f"x{'.a' * 150}")]
    view = await customize_recipe(world.factory, OPERATOR, MINE, patch={"users": deep}, edits=into)
    assert (view.valid, view.recipe, view.changes) == (False, MINE, ())
    assert [(p.code, p.path) for p in view.problems] == [
        ("recipe.not_a_document", "patch"),
        ("recipe.not_a_document", "edits[0].value"),
        ("recipe.not_a_document", "edits[1].value"),
    ]
    assert all(problem.next for problem in view.problems)


@pytest.mark.parametrize("value", [float("nan"), "\ud800", {"\udfff": 1}, 10**5_000], ids=range(4))
async def test_a_change_to_what_no_answer_can_hold_is_told_without_the_recipe(world: World, value: object) -> None:
    for patch, edits in (({"users": value}, ()), (None, [{"edit": "set", "path": "users", "value": value}])):
        view = await customize_recipe(world.factory, OPERATOR, MINE, patch=patch, edits=edits)
        assert (view.valid, view.recipe, view.changes) == (False, None, ())
        assert (view.problems[0].next, view.cut, view.next) > ("", "", "")
        assert view.model_dump_json()


async def test_packages_that_are_not_there_make_a_change_invalid(world: World) -> None:
    world.workflows.verdicts = (Problem(code="package.not_found", message="no such package", path="packages[0]"),)
    view = await customize_recipe(world.factory, OPERATOR, "demo", edits=[{"edit": "add_package", "name": "nosuch"}])
    assert (view.valid, view.problems[0].code) == (False, "package.not_found")


async def test_a_change_can_start_from_a_build(world: World) -> None:
    world.build(failed(BUILD), build_id=BUILD)
    view = await customize_recipe(world.factory, OPERATOR, "build:latest", patch={"name": "again"})
    assert [change.path for change in view.changes] == ["name"]


async def test_a_huge_recipe_is_behind_a_link_and_the_answer_stays_small(world: World) -> None:
    scripts = [{"name": f"s{n}", "script": "echo " + "x" * 4000} for n in range(40)]
    view = await customize_recipe(world.factory, OPERATOR, MINE, patch={"startupScripts": scripts})
    assert view.valid
    assert view.recipe is None
    assert view.recipe_url is not None
    assert len(view.model_dump_json()) < 14_000
    await save_recipe(world.factory, OPERATOR, {**MINE, "startupScripts": scripts}, SaveWish())
    shown = await get_recipe(world.factory, OPERATOR, "mine")
    assert (shown.recipe, shown.recipe_digest) == (None, view.recipe_digest)
    assert f"blobs/{view.recipe_digest}" in world.objects.objects


async def test_what_is_larger_than_any_recipe_is_not_kept(world: World) -> None:
    view = await customize_recipe(world.factory, OPERATOR, MINE, patch={"packages": ["x" * MAX_BYTES]})
    assert [problem.code for problem in view.problems] == ["recipe.too_large"]
    assert (view.recipe, view.recipe_url) == (None, None)
    assert view.cut is not None
    assert not world.objects.objects


async def test_a_build_is_run_again_with_its_recipe_and_its_very_packages(world: World) -> None:
    lock = Artifact(kind="manifest", name=LOCK, blob=Blob(digest="ab" * 32, bytes=5))
    same: dict[str, Any] = {"build_id": BUILD, "org_id": "local", "at": NOW}
    world.build(e.ArtifactsPublished(**same, generation=0, artifacts=(lock,)), build_id=BUILD)
    view = await create_build(world.factory, OPERATOR, wishes=BuildWishes(rerun_of="latest"), request_key="k")
    started = world.workflows.started[-1]
    assert (view.rerun_of, started.recipe, started.lock) == (BUILD, recipe_document(), lock.blob)
    assert view.build_id != BUILD
    repeated = await create_build(world.factory, OPERATOR, wishes=BuildWishes(rerun_of=BUILD), request_key="k")
    assert (repeated.replayed, repeated.build_id) == (True, view.build_id)
    reused = await refused(create_build(world.factory, OPERATOR, recipe_document(), request_key="k"))
    assert reused.code == "request_key.reused"


async def test_a_build_that_published_no_lock_is_not_run_again_with_other_packages(world: World) -> None:
    world.build(failed(BUILD), build_id=BUILD)
    verdict = await refused(create_build(world.factory, OPERATOR, wishes=BuildWishes(rerun_of=BUILD)))
    assert verdict.code == "build.no_lock"
    assert f"build:{BUILD}" in (verdict.problems[0].next or "")


async def test_a_build_needs_either_a_recipe_or_a_build_to_run_again(world: World) -> None:
    world.build(failed(BUILD), build_id=BUILD)
    assert (await refused(create_build(world.factory, OPERATOR))).code == "argument.conflict"
    both = create_build(world.factory, OPERATOR, recipe_document(), BuildWishes(rerun_of=BUILD))
    assert (await refused(both)).code == "argument.conflict"
    assert (
        await refused(create_build(world.factory, STRANGER, wishes=BuildWishes(rerun_of=BUILD)))
    ).code == "build.not_found"


@pytest.mark.parametrize("name", ["", "two words", "\0", "x" * 99, "../demo", "Mine"])
async def test_what_cannot_be_a_name_is_no_recipe(world: World, name: str) -> None:
    assert (await refused(get_recipe(world.factory, OPERATOR, name))).code == "recipe.not_found"
    assert (await refused(delete_recipe(world.factory, OPERATOR, name))).code == "recipe.not_found"
