"""The built-in recipe templates: read once, checked once, asked for by name."""

from pathlib import Path

from domain.errors import Verdict
from domain.model import Value
from domain.recipe.keys import close
from domain.recipe.schema import Recipe
from domain.saved_recipe.inputs import Category
from service.recipe_text import decode, read_recipe

_FOLDER = Path(__file__).resolve().parent.parent / "recipes"


class _Entry(Value):
    name: str
    category: Category
    title: str
    description: str


class Template(Value):
    """One built-in recipe, and what a list of them says about it."""

    name: str
    category: str
    title: str
    description: str
    recipe: Recipe


class Catalog:
    """All templates, in the order of `catalog.yaml`."""

    def __init__(self, templates: tuple[Template, ...]) -> None:
        self._templates = {template.name: template for template in templates}

    @property
    def templates(self) -> tuple[Template, ...]:
        """Every template, in order."""
        return tuple(self._templates.values())

    def has(self, name: str) -> bool:
        """Tell whether a template has this name."""
        return name in self._templates

    def get(self, name: str) -> Template:
        """Answer the template called `name`.

        Raises:
            Verdict: `recipe.not_found`, with similar names.

        """
        found = self._templates.get(name)
        if found is None:
            raise Verdict.because(
                "recipe.not_found",
                f"there is no built-in recipe `{name[:64]}`",
                path="name",
                value=name[:64],
                suggestions=close(name, self._templates) or tuple(self._templates),
                next="list_recipes",
            )
        return found


def load_catalog(folder: Path = _FOLDER) -> Catalog:
    """Read every template of the folder's `catalog.yaml`.

    Raises:
        Verdict: if a template is no valid recipe; the tests hold that this never ships.

    """
    entries = [_Entry.model_validate(item) for item in decode((folder / "catalog.yaml").read_bytes())]
    return Catalog(
        tuple(
            Template(
                name=entry.name,
                category=entry.category,
                title=entry.title,
                description=entry.description,
                recipe=read_recipe((folder / f"{entry.name}.yaml").read_bytes()),
            )
            for entry in entries
        )
    )
