"""Starting builds: once per request key, whatever happens on the way."""

import pytest

from domain.build import events as e
from domain.build.inputs import BuildRequest, QueueTerms
from domain.errors import Fault, Verdict
from domain.plan import plan_of
from event_store.models.builds import StepDuration
from service.admission.credentials import OPERATOR
from service.build_create import BuildWishes, create_build
from service.recipe_commands import SaveWish, save_recipe
from tests.fakes.factory import NOW, STRANGER, World, published, recipe_document

RECIPE = recipe_document()


async def test_a_new_build_is_started_and_shown(world: World) -> None:
    view = await create_build(world.factory, OPERATOR, RECIPE)
    assert (view.status, view.visible, view.replayed, view.version) == ("pending", True, False, 1)
    assert view.workflow_id == f"build-{view.build_id}"
    assert [request.org_id for request in world.workflows.started] == ["local"]


async def test_the_same_key_gives_the_same_build_without_a_second_start(world: World) -> None:
    first = await create_build(world.factory, OPERATOR, RECIPE, request_key="k1")
    again = await create_build(world.factory, OPERATOR, RECIPE, request_key="k1")
    assert again.build_id == first.build_id
    assert (first.replayed, again.replayed) == (False, True)
    assert len(world.workflows.started) == 1


async def test_without_a_key_every_call_is_a_new_build(world: World) -> None:
    first = await create_build(world.factory, OPERATOR, RECIPE)
    second = await create_build(world.factory, OPERATOR, RECIPE)
    assert first.build_id != second.build_id


async def test_a_key_means_something_else_in_another_organization(world: World) -> None:
    ours = await create_build(world.factory, OPERATOR, RECIPE, request_key="k1")
    theirs = await create_build(world.factory, STRANGER, RECIPE, request_key="k1")
    assert ours.build_id != theirs.build_id


async def test_a_key_used_for_another_recipe_is_refused(world: World) -> None:
    await create_build(world.factory, OPERATOR, RECIPE, request_key="k1")
    with pytest.raises(Verdict) as refusal:
        await create_build(world.factory, OPERATOR, {**RECIPE, "name": "another"}, request_key="k1")
    assert refusal.value.code == "request_key.reused"
    assert len(world.workflows.started) == 1


@pytest.mark.parametrize(("other", "code"), [("web-server", "request_key.reused"), ("no-such", "recipe.not_found")])
async def test_a_key_used_for_another_name_is_refused(world: World, other: str, code: str) -> None:
    first = await create_build(world.factory, OPERATOR, "minimal-bookworm", request_key="k1")
    assert (await create_build(world.factory, OPERATOR, "minimal-bookworm", request_key="k1")).replayed
    moving = ("build:latest", "build:latest:minimal-bookworm", f"build:{first.build_id}", f"build:{first.build_id[:8]}")
    for same in moving:
        assert (await create_build(world.factory, OPERATOR, same, request_key="k1")).replayed
    with pytest.raises(Verdict) as refusal:
        await create_build(world.factory, OPERATOR, other, request_key="k1")
    assert refusal.value.code == code
    another = await create_build(world.factory, OPERATOR, "web-server")
    for name in (f"build:{another.build_id}", "build:latest:web-server"):
        with pytest.raises(Verdict, match=r"request_key\.reused"):
            await create_build(world.factory, OPERATOR, name, request_key="k1")


async def test_a_build_that_does_not_show_in_time_is_accepted_but_not_visible(world: World) -> None:
    world.workflows.lagging = True
    view = await create_build(world.factory, OPERATOR, RECIPE, request_key="k1")
    assert (view.visible, view.replayed, view.status) == (False, False, "pending")
    assert [timeout for _, _, timeout in world.reads.waits] == [2.0]


async def test_a_repeat_before_the_build_is_visible_is_still_recognized(world: World) -> None:
    world.workflows.lagging = True
    first = await create_build(world.factory, OPERATOR, RECIPE, request_key="k1")
    again = await create_build(world.factory, OPERATOR, RECIPE, request_key="k1")
    assert (again.build_id, again.replayed, again.visible) == (first.build_id, True, False)
    with pytest.raises(Verdict, match=r"request_key\.reused"):
        await create_build(world.factory, OPERATOR, {**RECIPE, "name": "another"}, request_key="k1")


async def test_a_read_side_lost_after_the_start_does_not_lose_the_build(world: World) -> None:
    start = world.workflows.start_build

    async def start_and_lose(request: BuildRequest, terms: QueueTerms) -> bool:
        started = await start(request, terms)
        world.reads.away = True
        return started

    world.workflows.start_build = start_and_lose  # type: ignore[method-assign]
    view = await create_build(world.factory, OPERATOR, RECIPE)
    assert (view.visible, view.status) == (False, "pending")


async def test_nothing_is_promised_while_the_workflow_engine_is_away(world: World) -> None:
    world.workflows.away = True
    with pytest.raises(Fault, match=r"temporal\.unavailable"):
        await create_build(world.factory, OPERATOR, RECIPE)


@pytest.mark.parametrize("key", ["", "a b", "ä", "x" * 129, "a\n"])
async def test_a_key_that_is_no_plain_word_is_refused(world: World, key: str) -> None:
    with pytest.raises(Verdict, match=r"request_key\.invalid"):
        await create_build(world.factory, OPERATOR, RECIPE, request_key=key)


async def test_a_template_is_built_by_its_name(world: World) -> None:
    view = await create_build(world.factory, OPERATOR, "minimal-bookworm")
    assert view.name == RECIPE["name"]
    assert world.workflows.started[0].recipe == RECIPE


async def test_a_template_that_is_not_there_is_answered_with_similar_ones(world: World) -> None:
    with pytest.raises(Verdict) as refusal:
        await create_build(world.factory, OPERATOR, "minimal-bookwrm")
    assert refusal.value.code == "recipe.not_found"
    assert "minimal-bookworm" in refusal.value.problems[0].suggestions


async def test_yaml_text_is_a_recipe(world: World) -> None:
    await create_build(world.factory, OPERATOR, "name: tiny\nbaseImage: debian-bookworm\n")
    assert world.workflows.started[0].recipe["name"] == "tiny"


async def test_a_wrong_recipe_starts_nothing_and_names_every_problem(world: World) -> None:
    with pytest.raises(Verdict) as refusal:
        await create_build(world.factory, OPERATOR, {"name": "BAD NAME", "baseImage": "debian-potato", "pakages": []})
    assert len(refusal.value.problems) >= 3
    assert world.workflows.started == []


async def test_a_build_can_only_replace_one_of_its_own_organization(world: World) -> None:
    theirs = await create_build(world.factory, STRANGER, RECIPE)
    with pytest.raises(Verdict, match=r"build\.not_found"):
        await create_build(world.factory, OPERATOR, RECIPE, BuildWishes(retry_of=theirs.build_id))


async def test_a_concurrency_key_is_part_of_what_a_request_key_stands_for(world: World) -> None:
    wishes = BuildWishes(concurrency_key="main", on_conflict="cancel_running")
    view = await create_build(world.factory, OPERATOR, RECIPE, wishes, request_key="k")
    assert view.concurrency_key == "main"
    assert (await create_build(world.factory, OPERATOR, RECIPE, wishes, request_key="k")).replayed
    for other in (None, wishes.model_copy(update={"on_conflict": "queue"}), BuildWishes(priority="high")):
        with pytest.raises(Verdict, match=r"request_key\.reused"):
            await create_build(world.factory, OPERATOR, RECIPE, other, request_key="k")


@pytest.mark.parametrize(
    ("wishes", "code"),
    [
        (BuildWishes(on_conflict="queue"), "concurrency_key.missing"),
        (BuildWishes(concurrency_key="two words"), "concurrency_key.invalid"),
        (BuildWishes(concurrency_key=""), "concurrency_key.invalid"),
    ],
)
async def test_a_key_that_cannot_be_one_starts_nothing(world: World, wishes: BuildWishes, code: str) -> None:
    with pytest.raises(Verdict) as refusal:
        await create_build(world.factory, OPERATOR, RECIPE, wishes)
    assert refusal.value.code == code
    assert world.workflows.started == []


async def test_a_plan_bounds_how_many_builds_wait_and_how_many_run(world: World) -> None:
    caller = OPERATOR.model_copy(update={"plan": "free"})
    for _ in range(plan_of("free").queued_builds):
        await create_build(world.factory, caller, RECIPE)
    with pytest.raises(Verdict) as refusal:
        await create_build(world.factory, caller, RECIPE)
    assert refusal.value.code == "build.queue_full"
    assert {terms.most for terms in world.workflows.terms} == {plan_of("free").builds}


async def test_how_long_a_build_will_take_is_told_to_the_queue(world: World) -> None:
    await create_build(world.factory, OPERATOR, RECIPE)
    world.reads.step_durations = (StepDuration(step="resolve", cached=False, seconds=12, samples=3),)
    await create_build(world.factory, OPERATOR, RECIPE)
    assert [terms.seconds for terms in world.workflows.terms] == [None, 12]


@pytest.mark.parametrize("ahead", ["pending", "building", None])
async def test_an_end_is_told_at_once_only_of_a_build_that_has_none_before_it(world: World, ahead: str | None) -> None:
    world.reads.step_durations = (StepDuration(step="resolve", cached=False, seconds=12, samples=3),)
    if ahead is not None:
        started = e.StepStarted(build_id=BEFORE, org_id="local", at=NOW, step="resolve", generation=0)
        world.build(*((started,) if ahead == "building" else ()), build_id=BEFORE)
        assert world.reads.builds[BEFORE].status == ahead
    progress = (await create_build(world.factory, OPERATOR, RECIPE)).progress
    assert progress is not None
    assert (progress.expected_seconds is None, progress.expected_end is None) == (ahead is not None,) * 2
    assert world.workflows.terms[-1].seconds == 12


BEFORE = "11111111-1111-4111-8111-111111111111"


@pytest.mark.parametrize("wishes", [BuildWishes(rerun_of="latest"), BuildWishes(retry_of="latest")])
async def test_a_name_means_in_a_repeat_what_it_meant_the_first_time(world: World, wishes: BuildWishes) -> None:
    world.build(published(BEFORE, lock=True), build_id=BEFORE)
    document = None if wishes.rerun_of else RECIPE
    first = await create_build(world.factory, OPERATOR, document, wishes, request_key="k1")
    latest = world.build(build_id="ffffffff-ffff-4fff-8fff-ffffffffffff")
    again = await create_build(world.factory, OPERATOR, document, wishes, request_key="k1")
    assert (again.build_id, again.replayed) == (first.build_id, True)
    other = wishes.model_copy(update={"rerun_of": latest} if wishes.rerun_of else {"retry_of": latest})
    with pytest.raises(Verdict) as refusal:
        await create_build(world.factory, OPERATOR, document, other, request_key="k1")
    assert refusal.value.code == "request_key.reused"


async def test_a_repeat_of_a_rerun_needs_the_earlier_build_no_more(world: World) -> None:
    world.build(published(BEFORE, lock=True), build_id=BEFORE)
    wishes = BuildWishes(rerun_of=BEFORE)
    first = await create_build(world.factory, OPERATOR, None, wishes, request_key="k1")
    del world.reads.builds[BEFORE]
    again = await create_build(world.factory, OPERATOR, None, wishes, request_key="k1")
    assert (again.build_id, again.replayed) == (first.build_id, True)


async def test_a_recipes_name_means_in_a_repeat_what_it_meant_the_first_time(world: World) -> None:
    await save_recipe(world.factory, OPERATOR, {**RECIPE, "name": "mine"}, SaveWish())
    first = await create_build(world.factory, OPERATOR, "mine", request_key="k1")
    changed = {**RECIPE, "name": "mine", "packages": ["htop"]}
    await save_recipe(world.factory, OPERATOR, changed, SaveWish(expected_version=1))
    again = await create_build(world.factory, OPERATOR, "mine", request_key="k1")
    assert (again.build_id, again.replayed) == (first.build_id, True)


@pytest.mark.parametrize(("document", "rerun_of"), [(None, None), ("minimal-bookworm", BEFORE)])
async def test_a_repeat_has_to_say_as_clearly_what_is_built(
    world: World, document: str | None, rerun_of: str | None
) -> None:
    world.build(published(BEFORE, lock=True), build_id=BEFORE)
    await create_build(world.factory, OPERATOR, RECIPE, request_key="k1")
    with pytest.raises(Verdict) as refusal:
        await create_build(world.factory, OPERATOR, document, BuildWishes(rerun_of=rerun_of), request_key="k1")
    assert refusal.value.code == "argument.conflict"
