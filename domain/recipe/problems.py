"""Says in plain words, with a path and a stable code, what the schema found wrong."""

import json
from collections.abc import Sequence
from typing import get_args

from pydantic_core import ErrorDetails

from domain.errors import Problem
from domain.recipe.keys import ASSERTION_TYPES, MAX_DEPTH, as_mapping, close, join
from domain.recipe.later import LATER_BASES
from domain.recipe.schema import BaseImage

_BASES: tuple[str, ...] = get_args(BaseImage)
_SHOWN = 80

_TYPES: dict[str, str] = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "int_parsing": "a whole number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "tuple_type": "a list",
    "model_type": "a mapping of keys to values",
    "model_attributes_type": "a mapping of keys to values",
    "dict_type": "a mapping of keys to values",
}

_NAMES: tuple[tuple[type[object], str], ...] = (
    (str, "text"),
    (bool, "true or false"),  # before int, of which it is a kind
    (int, "a number"),
    (float, "a number"),
    (list, "a list"),
    (dict, "a mapping"),
)

_FORMS: dict[str, str] = {
    "name": "lower-case letters, digits and hyphens, starting with a letter or digit",
    "packages": "a Debian package name: lower-case letters, digits and `+ - .`, two characters or more",
    "package": "a Debian package name: lower-case letters, digits and `+ - .`, two characters or more",
    "services": "a systemd unit name such as `nginx` or `nginx.service`",
    "service": "a systemd unit name such as `nginx` or `nginx.service`",
    "username": "an account name: lower-case letters, digits, `_` and `-`, starting with a letter, at most 32",
    "groups": "a group name: lower-case letters, digits, `_` and `-`, starting with a letter, at most 32",
    "shell": "an absolute path such as `/bin/bash`",
    "home": "an absolute path such as `/home/deploy`",
    "path": "an absolute path without control characters",
    "mode": "an octal mode as text, such as `0644`",
    "url": "an address such as `http://127.0.0.1:8080/health`",
    "address": "an IP address such as `127.0.0.1`",
    "password_hash": "a crypt(5) hash as `mkpasswd` or `openssl passwd -6` makes it, never the password itself",
    "description": "one line of text",
    "script": "text without NUL characters",
}

_EXAMPLES: dict[str, tuple[str, str]] = {
    "users": ("username", "deploy"),
    "services": ("name", "nginx"),
    "startupScripts": ("name", "setup"),
    "tests": ("description", "the web server answers"),
    "assertions": ("type", "port_listening"),
}


def nested_too_deep(path: str | None = None) -> Problem:
    """Refuse a document that is deeper than any recipe, or what would make one of it at `path`."""
    return Problem(
        code="recipe.not_a_document",
        message=f"the recipe {'would be' if path else 'is'} nested more than {MAX_DEPTH} levels deep",
        path=path,
        next="Look at get_recipe for the form of a recipe.",
    )


def explain(error: ErrorDetails) -> Problem:
    """Turn one schema error into a problem."""
    trail = _trail(error["loc"])
    path = _path(trail)
    kind, given = error["type"], error["input"]
    if trail and trail[-1] == "baseImage" and kind in {"literal_error", "string_type"}:
        return _base(path, given)
    if kind == "missing":
        return _missing(path, trail)
    if kind in {"union_tag_invalid", "union_tag_not_found"}:
        return _assertion(path, given)
    if kind in _TYPES:
        return _wrong_type(path, trail, kind, given)
    return _bad_value(path, trail, error)


def short(value: object) -> str:
    """Show a value of the input in at most 80 characters."""
    text = value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


def _trail(location: Sequence[int | str]) -> list[int | str]:
    """Leave out the name of the union's branch, which follows the index of a service or assertion."""
    trail: list[int | str] = []
    items = iter(location)
    for item in items:
        trail.append(item)
        if isinstance(item, int) and len(trail) > 1 and trail[-2] in {"services", "assertions"}:
            next(items, None)
    return trail


def _path(trail: Sequence[int | str]) -> str:
    path = ""
    for item in trail:
        path = f"{path}[{item}]" if isinstance(item, int) else join(path, item)
    return path


def _key(trail: Sequence[int | str]) -> str:
    return next((item for item in reversed(trail) if isinstance(item, str)), "")


def _base(path: str, given: object) -> Problem:
    known = ", ".join(_BASES)
    later = " yet" if short(given) in LATER_BASES else ""
    return Problem(
        code="recipe.unknown_base",
        message=f"there is no base image `{short(given)}`{later}; there are: {known}",
        path=path,
        value=short(given),
        suggestions=_similar_bases(short(given)),
        next="Use one of the suggested base images.",
    )


def _similar_bases(given: str) -> tuple[str, ...]:
    inside = tuple(base for base in _BASES if given and given in base)
    return inside or close(given, _BASES) or _BASES


def _missing(path: str, trail: Sequence[int | str]) -> Problem:
    message = f"`{path}` is required"
    hint = "Add it."
    if trail[-1] == "baseImage":
        hint = f"Add `baseImage` with one of: {', '.join(_BASES)}."
    return Problem(code="recipe.missing_key", message=message, path=path, next=hint)


def _assertion(path: str, given: object) -> Problem:
    kind = as_mapping(given).get("type")
    known = ", ".join(ASSERTION_TYPES)
    if kind is None:
        message = f"`{path}` needs a `type`, one of: {known}"
        return Problem(code="recipe.missing_key", message=message, path=join(path, "type"), next="Add it.")
    name = short(kind)
    return Problem(
        code="recipe.unknown_assertion",
        message=f"the assertion `{name}` is not known; there are: {known}",
        path=join(path, "type"),
        value=name,
        suggestions=close(name, ASSERTION_TYPES),
        next="Use one of the known assertions.",
    )


def _wrong_type(path: str, trail: Sequence[int | str], kind: str, given: object) -> Problem:
    key = _key(trail)
    wanted, hint, suggestions = _TYPES[kind], None, tuple[str, ...]()
    if kind == "string_type" and isinstance(given, int | float) and not isinstance(given, bool):
        hint = f'Write it in quotes: "{given}".'
    elif kind == "tuple_type" and given is None:
        hint = f"Give a list, or leave `{key}` out."
    elif kind == "tuple_type" and isinstance(given, str):
        hint, suggestions = "Give a list, even for one.", (json.dumps([short(given)], ensure_ascii=False),)
    elif kind == "bool_type" and str(given).lower() in {"yes", "on", "no", "off"}:
        value = "true" if str(given).lower() in {"yes", "on"} else "false"
        hint, suggestions = f"Write {value} instead of {given}.", (value,)
    elif _TYPES[kind].startswith("a mapping") and key in _EXAMPLES:
        name, example = _EXAMPLES[key]
        suggestion = json.dumps({name: short(given) if isinstance(given, str) else example}, ensure_ascii=False)
        hint, suggestions = f"Write each as a mapping, for example {suggestion}.", (suggestion,)
    return Problem(
        code="recipe.wrong_type",
        message=f"`{path}` must be {wanted}, not {_named(given)}",
        path=path,
        value=short(given),
        suggestions=suggestions,
        next=hint or f"Give {wanted}.",
    )


def _named(given: object) -> str:
    if given is None:
        return "empty"
    for kind, name in _NAMES:
        if isinstance(given, kind):
            return name
    return "that"


def _bad_value(path: str, trail: Sequence[int | str], error: ErrorDetails) -> Problem:
    key, given, context = _key(trail), error["input"], error.get("ctx", {})
    allowed = tuple[str, ...]()
    match error["type"]:
        case "string_pattern_mismatch":
            words = f"must be {_FORMS.get(key, 'of the documented form')}"
        case "greater_than_equal":
            words = f"must be at least {context['ge']}"
        case "less_than_equal":
            words = f"must be at most {context['le']}"
        case "string_too_long":
            words = f"must be at most {context['max_length']} characters long"
        case "too_long":
            words = f"must have at most {context['max_length']} entries"
        case "too_short" | "string_too_short":
            words = "must not be empty"
        case "literal_error":
            words = f"must be one of: {context['expected']}"
            allowed = close(short(given), [part.strip("' ") for part in str(context["expected"]).split(",")])
        case "value_error":
            words = f"is incomplete: {context['error']}"
        case _:
            words = f"cannot be used: {error['msg']}"
    return Problem(
        code="recipe.bad_value",
        message=f"`{path}` {words}",
        path=path,
        value=short(given),
        suggestions=allowed,
        next="Correct the value.",
    )
