"""Says in plain words, with a path and a stable code, what the schema found wrong with a suite."""

from collections.abc import Sequence

from pydantic_core import ErrorDetails

from domain.errors import Problem
from domain.recipe.keys import as_mapping, close, join
from domain.recipe.problems import explain as explain_recipe
from domain.recipe.problems import short
from domain.suite.keys import ACTIONS

_FORMS: dict[str, str] = {
    "slots": "lower-case letters, digits and hyphens, beginning with a letter, at most 32: it is a host name",
    "slot": "a slot's name: lower-case letters, digits and hyphens, beginning with a letter",
    "parameters": "letters, digits and `_`, not beginning with a digit",
    "cases": "letters, digits, blanks and `. _ -`, beginning with a letter or digit, at most 127",
    "tags": "lower-case letters, digits and `. _ -`",
    "text": "text without NUL characters",
    "command": "text without NUL characters",
    "argv": "text without NUL characters",
}
_TAGGED = frozenset({"steps", "setup", "teardown"})
_CLAIMS = frozenset({"assertion", "until"})


def explain(error: ErrorDetails) -> Problem:
    """Turn one schema error into a problem."""
    place = _place(error["loc"])
    if error["type"] in {"union_tag_invalid", "union_tag_not_found"} and _is_step(place):
        return _unknown_action(_path(place), error["input"])
    return in_suites(_said(explain_recipe({**error, "loc": place}), error, place))


def in_suites(problem: Problem) -> Problem:
    """Give a problem that the recipe's rules found the suite's code."""
    return problem.model_copy(update={"code": problem.code.replace("recipe.", "suite.", 1)})


def _said(problem: Problem, error: ErrorDetails, place: tuple[int | str, ...]) -> Problem:
    """Say the form of what is named differently in a suite than in a recipe."""
    if error["type"] != "string_pattern_mismatch":
        return problem
    names = [item for item in place if isinstance(item, str)]
    key = names[-1] if names else ""
    owner = names[-2] if key == "name" and len(names) > 1 else key
    if owner not in _FORMS:
        return problem
    return problem.model_copy(update={"message": f"`{problem.path}` must be {_FORMS[owner]}"})


def _place(location: Sequence[int | str]) -> tuple[int | str, ...]:
    """Leave out the names of the unions' branches, which follow a step's index and the key of a claim."""
    place: list[int | str] = []
    items = iter(location)
    for item in items:
        place.append(item)
        tagged = isinstance(item, int) and len(place) > 1 and place[-2] in _TAGGED
        if tagged or item in _CLAIMS or (item == "default" and "parameters" in place):
            next(items, None)
    return tuple(place)


def _is_step(place: tuple[int | str, ...]) -> bool:
    return isinstance(place[-1], int) and len(place) > 1 and place[-2] in _TAGGED


def _path(place: tuple[int | str, ...]) -> str:
    path = ""
    for item in place:
        path = f"{path}[{item}]" if isinstance(item, int) else join(path, item)
    return path


def _unknown_action(path: str, given: object) -> Problem:
    action = as_mapping(given).get("action")
    known = ", ".join(ACTIONS)
    if action is None:
        message = f"`{path}` needs an `action`, one of: {known}"
        return Problem(code="suite.missing_key", message=message, path=f"{path}.action", next="Add it.")
    return Problem(
        code="suite.unknown_action",
        message=f"there is no step `{short(action)}`; there are: {known}",
        path=f"{path}.action",
        value=short(action),
        suggestions=close(short(action), ACTIONS),
        next="Use one of the known actions.",
    )
