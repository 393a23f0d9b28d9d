"""Brings the keys of a recipe document to their canonical spelling, and names those that it cannot have.

Clients write `baseImage` and `base_image`, `sshKeys` and `ssh_keys`; there is one canonical form.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from difflib import get_close_matches
from itertools import islice
from typing import cast, get_args

from pydantic import BaseModel

from domain.errors import Problem
from domain.recipe.assertions import Assertion, Claim, UserExistsAssertion
from domain.recipe.later import LATER_FIELDS, LATER_SERVICE_CONFIG
from domain.recipe.schema import Recipe, RecipeTest, SshConfig, SshService, StartupScript, UnitService, User

Document = dict[str, object]
Shape = Callable[[object, str, list[Problem]], object]

_CLAIMS: tuple[type[Claim], ...] = get_args(get_args(Assertion)[0])
_ASSERTIONS: dict[str, type[Claim]] = {get_args(c.model_fields["type"].annotation)[0]: c for c in _CLAIMS}
MAX_PROBLEMS = 100  # more would help nobody, and looking for similar words costs time
ASSERTION_TYPES: tuple[str, ...] = tuple(_ASSERTIONS)
MAX_DEPTH = 32  # twice the depth of the deepest recipe or suite
_ENTRIES: Mapping[str, type[BaseModel]] = {"users": User, "startupScripts": StartupScript, "tests": RecipeTest}
_LONGEST_WORD, _MOST_WORDS = 128, 1000  # looking for similar words takes time by their length and number


def normalise(document: Mapping[object, object], problems: list[Problem]) -> object:
    """Return the document with canonical keys only; what could not be placed is added to `problems`."""
    fields: dict[str, Shape] = {
        "services": each(_service),
        "users": each(plain(User)),
        "startupScripts": each(plain(StartupScript)),
        "tests": each(_test),
    }
    return spelled(Recipe, document, "", problems, fields)


def join(path: str, key: str) -> str:
    """Extend a path into a document by a key."""
    return f"{path}.{key}" if path else key


def close(word: str, known: Iterable[str]) -> tuple[str, ...]:
    """Name the most similar of the first thousand known words, the best first."""
    return tuple(get_close_matches(word[:_LONGEST_WORD], list(islice(known, _MOST_WORDS)), n=3, cutoff=0.6))


def too_deep(document: object, at: int = 0) -> bool:
    """Tell whether a document is nested deeper than any that is meant; nothing here may follow it down by itself.

    A part of a document is `at` so many levels below its top.
    """
    level = [document]
    for _ in range(MAX_DEPTH - at):
        level = [item for value in level for item in _items(value)]
        if not level:
            return False
    return True


def _items(value: object) -> Iterable[object]:
    if isinstance(value, Mapping):
        return cast("Mapping[object, object]", value).values()
    return cast("list[object]", value) if isinstance(value, list | tuple) else ()


def spelling(place: Mapping[str, object], way: Sequence[str], key: str) -> str:
    """Spell a key of a mapping to which `way` leads in a recipe: as it is there already, else canonically.

    The way names an entry of a list by what identifies it. A key that is not a recipe's stays as it is.
    """
    if key in place:
        return key
    model = _model_at(tuple(way))
    if model is None:
        return key
    snake = _snake(key)
    known = (*islice(place, _MOST_WORDS), *_names(model))
    return next((name for name in known if _snake(name) == snake), key)


def _model_at(way: tuple[str, ...]) -> type[BaseModel] | None:
    match way:
        case ():
            return Recipe
        case ("services", "ssh", "config"):
            return SshConfig
        case ("services", name):
            return SshService if name == "ssh" else UnitService
        case (key, _):
            return _ENTRIES.get(key)
        case _:
            return None


def as_mapping(value: object) -> Mapping[object, object]:
    """See `value` as a mapping; one that is none is as good as an empty one."""
    return cast("Mapping[object, object]", value) if isinstance(value, Mapping) else {}


def spelled(
    model: type[BaseModel],
    value: object,
    path: str,
    problems: list[Problem],
    fields: Mapping[str, Shape] | None = None,
) -> object:
    """Spell the keys of one mapping. What is none is passed on as it is, for the schema to judge."""
    if not isinstance(value, Mapping):
        return value
    known = {_snake(name): name for name in _names(model)}
    out: Document = {}
    for key, item in as_mapping(cast("object", value)).items():
        name = known.get(_snake(key)) if isinstance(key, str) else None
        if len(problems) >= MAX_PROBLEMS:
            break
        if name is None:
            problems.append(_unknown(model, str(key), path, as_mapping(cast("object", value))))
        elif name in out:
            problems.append(_twice(name, path))
        else:
            shape = (fields or {}).get(name)
            out[name] = shape(item, join(path, name), problems) if shape else item
    return out


def each(shape: Shape) -> Shape:
    """Spell each entry of a list."""

    def apply(value: object, path: str, problems: list[Problem]) -> object:
        if not isinstance(value, list):
            return value
        items = cast("list[object]", value)
        return [shape(item, f"{path}[{i}]", problems) for i, item in enumerate(items)]

    return apply


def plain(model: type[BaseModel]) -> Shape:
    """Spell the keys of a mapping whose values need nothing."""
    return lambda value, path, problems: spelled(model, value, path, problems)


def _service(value: object, path: str, problems: list[Problem]) -> object:
    if as_mapping(value).get("name") == "ssh":
        return spelled(SshService, value, path, problems, {"config": plain(SshConfig)})
    return spelled(UnitService, value, path, problems)


def _test(value: object, path: str, problems: list[Problem]) -> object:
    return spelled(RecipeTest, value, path, problems, {"assertions": each(assertion_keys)})


def assertion_keys(value: object, path: str, problems: list[Problem]) -> object:
    """Spell an assertion, of whatever type it is."""
    kind = as_mapping(value).get("type")
    if not isinstance(kind, str) or kind not in _ASSERTIONS:
        return spelled(UserExistsAssertion, value, path, problems)
    return spelled(_ASSERTIONS[kind], value, path, problems, {"params": plain(params_of(kind))})


def params_of(kind: str) -> type[BaseModel]:
    """Return the model of the params of an assertion's type, one of `ASSERTION_TYPES`."""
    return cast("type[BaseModel]", _ASSERTIONS[kind].model_fields["params"].annotation)


def _names(model: type[BaseModel]) -> tuple[str, ...]:
    """Name the keys of a model's document."""
    return tuple(field.alias or name for name, field in model.model_fields.items())


def _snake(key: str) -> str:
    return re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", key).lower()


def _unknown(model: type[BaseModel], key: str, path: str, owner: Mapping[object, object]) -> Problem:
    where, name = join(path, key[:64] or '""'), _snake(key[:64])
    if model is Recipe and name in LATER_FIELDS:
        return _later(where, LATER_FIELDS[name])
    if model is UnitService and name == "config":
        service = str(owner.get("name"))
        if service in LATER_SERVICE_CONFIG:
            return _later(where, LATER_SERVICE_CONFIG[service])
        message = "only the service `ssh` has a `config`; any other service can only be enabled or disabled"
        return Problem(code="recipe.unknown_key", message=message, path=where, next="Leave `config` out here.")
    here = f"a {model.__name__.lower()}" if not path else f"`{path}`"
    return Problem(
        code="recipe.unknown_key",
        message=f"{here} has no key `{key[:64]}`; it can have: {', '.join(_names(model))}",
        path=where,
        value=key[:64],
        suggestions=_similar_keys(name, model),
        next="Correct the key, or leave it out.",
    )


def _similar_keys(name: str, model: type[BaseModel]) -> tuple[str, ...]:
    known = {_snake(field): field for field in _names(model)}
    return tuple(known[match] for match in close(name, known))


def _later(where: str, advice: str) -> Problem:
    message = f"`{where}` is part of the recipe format, but this factory cannot build it yet"
    return Problem(code="recipe.not_supported_yet", message=message, path=where, next=advice)


def _twice(name: str, path: str) -> Problem:
    return Problem(
        code="recipe.duplicate_key",
        message=f"`{name}` is given twice, in two spellings",
        path=join(path, name),
        next=f"Keep one of them, best spelled `{name}`.",
    )
