"""Builds by their id, by the beginning of it, or by a tag that moves."""

import pytest

from domain.build import events as e
from domain.errors import Verdict
from service.admission.credentials import OPERATOR
from service.build_queries import StatusQuery, get_build_status
from service.lookup import build_id_of
from tests.fakes.factory import NOW, STRANGER, World, failed, published

OLD = "11111111-1111-4111-8111-111111111111"
NEW = "11122222-2222-4222-8222-222222222222"
LAST = "33333333-3333-4333-8333-333333333333"
RECIPE = "minimal-bookworm"


def completed(build_id: str) -> e.BuildCompleted:
    return e.BuildCompleted(build_id=build_id, org_id="local", at=NOW, seconds=1.0)


@pytest.fixture
def built(world: World) -> World:
    """Return a factory with a verified build, then one whose ISO is not, then one that failed."""
    world.build(published(OLD), completed(OLD), build_id=OLD)
    world.build(published(NEW, verified=False), completed(NEW), build_id=NEW)
    world.build(failed(LAST), build_id=LAST)
    return world


@pytest.mark.parametrize(
    ("name", "found"),
    [
        (OLD, OLD),
        (f" {OLD.upper()} ", OLD),
        (f"build-{OLD}", OLD),
        (f"build:{OLD}", OLD),
        ("1111", OLD),
        ("111222", NEW),
        ("latest", LAST),
        ("build:latest", LAST),
        ("latest-verified", OLD),
        (f"latest:{RECIPE}", LAST),
        (f"latest-verified:{RECIPE}", OLD),
    ],
)
async def test_a_build_is_found_by_its_name(built: World, name: str, found: str) -> None:
    assert await build_id_of(built.factory, OPERATOR, name) == found


@pytest.mark.parametrize("name", ["", "ab", "hello", "../../etc", "latest:", "latest:No", "latest-completed", "fff"])
async def test_what_names_no_build_is_not_found(built: World, name: str) -> None:
    with pytest.raises(Verdict, match=r"build\.not_found"):
        await build_id_of(built.factory, OPERATOR, name)


async def test_the_beginning_of_several_ids_names_them(built: World) -> None:
    with pytest.raises(Verdict, match=r"build\.ambiguous") as refused:
        await build_id_of(built.factory, OPERATOR, "111")
    assert refused.value.problems[0].suggestions == (OLD, NEW)


@pytest.mark.parametrize("name", ["latest", "latest-verified", "latest:web", "1111"])
async def test_tags_and_beginnings_know_the_organizations_own_builds_only(built: World, name: str) -> None:
    with pytest.raises(Verdict, match=r"build\.not_found"):
        await build_id_of(built.factory, STRANGER, name)


async def test_a_tag_of_a_recipe_that_was_never_verified_says_so(world: World) -> None:
    world.build(failed(LAST), build_id=LAST)
    with pytest.raises(Verdict, match="no verified build of minimal-bookworm yet"):
        await build_id_of(world.factory, OPERATOR, f"latest-verified:{RECIPE}")


async def test_the_answer_names_the_build_that_the_tag_stood_for(built: World) -> None:
    view = await get_build_status(built.factory, OPERATOR, "latest-verified", StatusQuery())
    assert view.build_id == OLD
