"""Templates, and judging recipes before anything is built."""

from domain.budget import VIEW_BYTES, size_of
from domain.errors import Problem
from service.admission.credentials import OPERATOR
from service.recipes import get_recipe, list_recipes, validate_recipe
from tests.fakes.factory import World, recipe_document


async def test_every_listed_template_can_be_shown_and_is_valid(world: World) -> None:
    for summary in (await list_recipes(world.factory, OPERATOR)).recipes:
        detail = await get_recipe(world.factory, OPERATOR, summary.name)
        assert detail.recipe is not None
        view = await validate_recipe(world.factory, OPERATOR, detail.recipe)
        assert view.valid
        assert view.recipe == detail.recipe


async def test_a_wrong_recipe_is_an_answer_and_asks_no_worker(world: World) -> None:
    view = await validate_recipe(world.factory, OPERATOR, "name: X Y\nbaseImage: debian-bookwrm\n")
    assert view.valid is False
    assert {problem.path for problem in view.problems} == {"name", "baseImage"}
    assert world.workflows.validated == []


async def test_text_that_is_no_recipe_is_an_answer_too(world: World) -> None:
    for text in ("[", "- a\n- b", "a: b: c", "{", "", "name: x\nname: y\n"):
        view = await validate_recipe(world.factory, OPERATOR, text)
        assert view.valid is False
        assert view.problems


async def test_the_worker_has_the_last_word_about_packages(world: World) -> None:
    world.workflows.verdicts = (Problem(code="package.not_found", message="no such package", path="packages[0]"),)
    view = await validate_recipe(world.factory, OPERATOR, recipe_document())
    assert view.valid is False
    assert view.problems == world.workflows.verdicts
    assert view.recipe is not None


async def test_a_very_wrong_recipe_has_a_short_answer(world: World) -> None:
    world.workflows.verdicts = tuple(
        Problem(code="package.not_found", message="m" * 2000, path=f"packages[{i}]") for i in range(500)
    )
    view = await validate_recipe(world.factory, OPERATOR, recipe_document())
    assert size_of(view) < VIEW_BYTES
    assert view.cut == f"Not shown: {500 - len(view.problems)} more problems."
