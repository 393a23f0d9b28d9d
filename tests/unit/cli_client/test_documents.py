import re
from pathlib import Path

import pytest
import yaml
from pydantic import BaseModel
from typer.main import get_command

from cli.main import build_app
from domain.recipe.checks import check_recipe
from domain.recipe.keys import ASSERTION_TYPES, params_of
from domain.recipe.parse import parse_recipe
from domain.recipe.schema import Recipe, RecipeTest, SshConfig, StartupScript, UnitService, User

ROOT = Path(__file__).parents[3]
GUIDE = (ROOT / "docs" / "guides" / "recipes.md").read_text()
DOCUMENTS = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_between_the_documents_lead_somewhere(document: Path) -> None:
    targets = re.findall(r"(?<!!)\[[^\]]*\]\(([^)#]+)", document.read_text())
    missing = [t for t in targets if "://" not in t and not (document.parent / t).exists()]
    assert missing == []


def test_the_guides_recipe_can_be_built() -> None:
    example = re.search(r"```yaml\n(.*?)```", GUIDE, re.DOTALL)
    assert example is not None
    assert check_recipe(parse_recipe(yaml.safe_load(example.group(1)))) == ()


@pytest.mark.parametrize("model", [Recipe, UnitService, SshConfig, User, StartupScript])
def test_every_field_of_a_recipe_has_its_row(model: type[BaseModel]) -> None:
    rows = set(re.findall(r"^\| `(\w+)` \|", GUIDE, re.MULTILINE))
    assert set(model.model_fields) - rows == set()


def test_the_fields_of_a_test_are_named() -> None:
    assert all(f"`{field}`" in GUIDE for field in RecipeTest.model_fields)


@pytest.mark.parametrize("kind", ASSERTION_TYPES)
def test_every_assertion_has_its_row_with_all_params(kind: str) -> None:
    row = next(line for line in GUIDE.splitlines() if line.startswith(f"| `{kind}` |"))
    params = params_of(kind).model_fields
    required = {name for name, field in params.items() if field.is_required()}
    written = re.findall(r"`(\w+)`(\*?)", row.split("|")[2])
    assert {name for name, star in written if star} == required
    assert set(params) <= {name for name, _ in written}


def test_the_readme_shows_commands_that_exist() -> None:
    known = set(getattr(get_command(build_app()), "commands", {}))
    shown = set(re.findall(r"^\./openfactory ([\w-]+)", (ROOT / "README.md").read_text(), re.MULTILINE))
    assert {"demo", "test"} <= shown <= known
