"""Brings the keys of a suite document to their canonical spelling, and short forms to their long one."""

from collections.abc import Mapping

from pydantic import BaseModel

from domain.errors import Problem
from domain.recipe.keys import Shape, as_mapping, assertion_keys, each, plain, spelled
from domain.suite import schema as s

_STEPS: dict[str, tuple[type[BaseModel], Mapping[str, Shape]]] = {
    "assert": (s.AssertStep, {"assertion": assertion_keys}),
    "wait": (s.WaitStep, {"until": assertion_keys}),
    "command": (s.CommandStep, {}),
    "put_file": (s.PutFileStep, {}),
    "get_file": (s.GetFileStep, {}),
}
ACTIONS: tuple[str, ...] = tuple(_STEPS)
_OF_THE_STEP = frozenset({"slot", "description"})


def normalise(document: Mapping[object, object], problems: list[Problem]) -> object:
    """Return the document with canonical keys only; what could not be placed is added to `problems`."""
    fields: dict[str, Shape] = {
        "slots": each(_slot),
        "parameters": each(plain(s.Parameter)),
        "setup": each(_step),
        "cases": each(_case),
        "teardown": each(_step),
    }
    return spelled(s.Suite, document, "", problems, fields)


def _slot(value: object, path: str, problems: list[Problem]) -> object:
    """Take a name alone for a machine with all defaults."""
    return spelled(s.Slot, {"name": value} if isinstance(value, str) else value, path, problems)


def _case(value: object, path: str, problems: list[Problem]) -> object:
    return spelled(s.Case, value, path, problems, {"steps": each(_step)})


def _step(value: object, path: str, problems: list[Problem]) -> object:
    """Spell a step; an assertion alone is the step that asserts it."""
    step = as_mapping(value)
    if "type" in step and "action" not in step:
        around = {key: item for key, item in step.items() if key in _OF_THE_STEP}
        value = {"action": "assert", **around, "assertion": {k: v for k, v in step.items() if k not in around}}
    action = as_mapping(value).get("action")
    known = _STEPS.get(action) if isinstance(action, str) else None
    if known is None:
        return value  # for the schema to judge: without its action nothing is known of its keys
    return spelled(known[0], value, path, problems, known[1])
