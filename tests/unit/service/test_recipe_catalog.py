"""The built-in templates are recipes that can be built."""

from pathlib import Path

import pytest

from domain.errors import Verdict
from domain.recipe.parse import parse_recipe
from service.recipe_catalog import load_catalog

FOLDER = Path(__file__).resolve().parents[3] / "recipes"


def test_every_template_is_a_valid_recipe_of_its_own_name() -> None:
    for template in load_catalog().templates:
        assert template.recipe.name == template.name
        assert parse_recipe(template.recipe.model_dump(mode="json", by_alias=True)) == template.recipe
        assert template.recipe.tests, f"{template.name} claims nothing about its image"


def test_every_file_of_the_folder_is_listed_and_the_other_way_round() -> None:
    files = {path.stem for path in FOLDER.glob("*.yaml")} - {"catalog"}
    assert files == {template.name for template in load_catalog().templates}


def test_the_demo_claims_a_user_a_package_a_service_a_port_a_file_and_a_page() -> None:
    demo = load_catalog().get("demo").recipe
    kinds = {claim.type for test in demo.tests for claim in test.assertions}
    assert kinds == {
        "user_exists",
        "package_installed",
        "service_running",
        "service_enabled",
        "port_listening",
        "file_exists",
        "http_responds",
    }


def test_a_misspelt_name_is_answered_with_the_right_one() -> None:
    with pytest.raises(Verdict) as caught:
        load_catalog().get("dmeo")
    assert caught.value.code == "recipe.not_found"
    assert caught.value.problems[0].suggestions == ("demo",)
