"""From a decoded document to a recipe, or to everything that is wrong with it at once."""

import json
from collections.abc import Mapping
from typing import cast

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from domain.errors import Problem, Verdict
from domain.recipe.checks import check_recipe
from domain.recipe.keys import MAX_PROBLEMS, as_mapping, normalise, too_deep
from domain.recipe.problems import explain, nested_too_deep, short
from domain.recipe.schema import MAX_BYTES, Recipe


def parse_recipe(document: object) -> Recipe:
    """Make a recipe of a decoded JSON or YAML document with keys in camelCase or snake_case.

    Types are strict: `"22"` is not a number and `1` is not true. A recipe that is returned has also
    passed `domain.recipe.checks.check_recipe`.

    Raises:
        Verdict: with every problem at once, each with a `recipe.…` code and a path into the document.

    """
    if not isinstance(document, Mapping):
        message = f"a recipe is a mapping of keys to values, but this is: {short(document)}"
        raise Verdict.because("recipe.not_a_document", message, next="Begin with `name` and `baseImage`.")
    if too_deep(cast("object", document)):
        raise Verdict(nested_too_deep())
    problems: list[Problem] = []
    text = _encoded(normalise(as_mapping(cast("object", document)), problems))
    try:
        # Strict validation takes JSON arrays for tuples only when it reads JSON itself.
        recipe = Recipe.model_validate_json(text, strict=True)
    except ValidationError as error:
        problems += [explain(detail) for detail in error.errors(include_url=False) if not _is_echo(detail)]
        raise Verdict(*sorted(problems, key=_place)[:MAX_PROBLEMS]) from None
    problems += check_recipe(recipe)
    if problems:
        raise Verdict(*problems[:MAX_PROBLEMS])
    return recipe


def _encoded(document: object) -> bytes:
    try:
        text = json.dumps(document, ensure_ascii=False, allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError) as error:
        message = f"the document holds something that JSON cannot: {short(str(error))}"
        hint = "Use text, whole numbers, true, false, lists and mappings only."
        raise Verdict.because("recipe.not_a_document", message, next=hint) from None
    if len(text) > MAX_BYTES:
        raise too_large(len(text))
    return text


def too_large(size: int) -> Verdict:
    """Refuse a document of `size` bytes."""
    return Verdict(
        Problem(
            code="recipe.too_large",
            message=f"the recipe has {size:,} bytes; at most {MAX_BYTES:,} can be taken",
            next="Move long scripts into a package, or fetch them at first boot.",
        )
    )


def _is_echo(detail: ErrorDetails) -> bool:
    """Whether a list is called too short only because its entries, named already, are wrong."""
    return detail["type"] == "too_short" and bool(detail["input"])


def _place(problem: Problem) -> str:
    return problem.path or ""
