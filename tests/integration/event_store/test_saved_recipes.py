"""Saved recipes in the real log and read model: recorded, refused, listed by name, kept apart."""

from collections.abc import AsyncGenerator
from dataclasses import replace
from uuid import uuid4

import pytest
from temporalio.testing import ActivityEnvironment

from activities.record import RecordActivities
from activities.record_models import RecordRecipeInput
from domain.errors import Verdict
from domain.saved_recipe.commands import AnyRecipeCommand, DeleteRecipe, SaveRecipe
from domain.saved_recipe.inputs import RecipeContent
from event_store.front import FrontDatabase
from event_store.log import EventLog
from event_store.rebuild import rebuild_projections
from event_store.schema import Migrated
from tests.integration.event_store.builders import START

pytestmark = pytest.mark.integration


@pytest.fixture
async def front(database: Migrated) -> AsyncGenerator[FrontDatabase]:
    async with FrontDatabase(database.front_url) as opened:
        yield opened


def save(recipe_id: str, name: str, *, version: int = 0, org: str = "org-a", category: str = "own") -> SaveRecipe:
    return SaveRecipe(
        command_id=str(uuid4()),
        recipe_id=recipe_id,
        org_id=org,
        requested_by="me",
        expected_version=version,
        content=RecipeContent(document={"name": name, "n": version}, category=category),
    )


async def record(log: EventLog, recipe_id: str, command: AnyRecipeCommand) -> int:
    environment = ActivityEnvironment()
    environment.info = replace(environment.info, workflow_run_id=str(uuid4()))
    request = RecordRecipeInput(stream_id=recipe_id, at=START, command=command)
    return (await environment.run(RecordActivities(log).record_recipe, request)).version


async def test_recipes_are_listed_by_name_and_category_to_their_own_organization(
    front: FrontDatabase, database: Migrated
) -> None:
    ids = {name: str(uuid4()) for name in ("c", "a", "b", "gone")}
    with EventLog(database.owner_url) as log:
        for name, recipe_id in ids.items():
            await record(log, recipe_id, save(recipe_id, name, category="lab" if name == "b" else "own"))
        end = DeleteRecipe(command_id="d", requested_by="me", expected_version=1)
        assert await record(log, ids["gone"], end) == 2
        assert await record(log, ids["gone"], end) == 2
        foreign = str(uuid4())
        await record(log, foreign, save(foreign, "a", org="org-b"))
    rebuild_projections(database.owner_url)
    async with front.org("org-a") as reads:
        recipes = reads.saved_recipes
        assert [state.name for state in await recipes.page(limit=2)] == ["a", "b"]
        assert [state.name for state in await recipes.page(limit=2, after="b")] == ["c"]
        assert [state.name for state in await recipes.page(limit=9, category="lab")] == ["b"]
        assert await recipes.names("", limit=2) == ("a", "b")
        assert await recipes.names("c", limit=2) == ("c",)
        assert await recipes.names("g", limit=2) == ()
        assert await recipes.categories() == {"lab": 1, "own": 2}
        assert await recipes.count() == 3
        deleted = await recipes.get(ids["gone"])
        assert deleted is not None
        assert (deleted.deleted, await recipes.version(ids["gone"])) == (True, 2)
        assert await recipes.get(foreign) is None


async def test_a_version_that_nobody_saw_is_not_replaced(database: Migrated) -> None:
    recipe_id = str(uuid4())
    with EventLog(database.owner_url) as log:
        first = save(recipe_id, "web")
        assert await record(log, recipe_id, first) == 1
        assert await record(log, recipe_id, first) == 1
        assert await record(log, recipe_id, save(recipe_id, "web", version=1)) == 2
        with pytest.raises(Verdict, match=r"recipe\.version_conflict"):
            await record(log, recipe_id, save(recipe_id, "web", version=7))
        with pytest.raises(Verdict, match=r"recipe\.exists"):
            await record(log, recipe_id, save(recipe_id, "web"))
