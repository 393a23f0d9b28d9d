"""From a decoded document to a suite, or to everything that is wrong with it at once."""

import json
from collections.abc import Mapping
from typing import Any, cast

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from domain.errors import Problem, Verdict
from domain.model import Value
from domain.recipe.keys import MAX_DEPTH, MAX_PROBLEMS, as_mapping, close, too_deep
from domain.recipe.problems import short
from domain.suite.checks import check_suite
from domain.suite.keys import normalise
from domain.suite.problems import explain, in_suites
from domain.suite.references import Parameters, fill, references, templated
from domain.suite.schema import MAX_BYTES, Suite

_NO_PARAMETERS: Parameters = {}


class ParsedSuite(Value):
    """A sound suite.

    `document` is its canonical form, in which references stand as they were written; in `suite` they
    are filled in with `parameters`.
    """

    document: dict[str, Any]
    suite: Suite
    parameters: dict[str, str | bool | int]


def parse_suite(document: object, given: Parameters = _NO_PARAMETERS) -> ParsedSuite:
    """Make a suite of a decoded JSON or YAML document with keys in camelCase or snake_case.

    `given` are values for its parameters, instead of their defaults. The canonical form of a canonical
    document is itself.

    Raises:
        Verdict: with every problem at once, each with a `suite.…` code and a path into the document.

    """
    if not isinstance(document, Mapping):
        message = f"a suite is a mapping of keys to values, but this is: {short(document)}"
        raise Verdict.because("suite.not_a_document", message, next="Begin with `name`, `slots` and `cases`.")
    if too_deep(cast("object", document)):
        message = f"the suite is nested more than {MAX_DEPTH} levels deep"
        raise Verdict.because("suite.not_a_document", message, next="Begin with `name`, `slots` and `cases`.")
    problems: list[Problem] = []
    spelt = normalise(as_mapping(cast("object", document)), problems)
    problems = [in_suites(problem) for problem in problems]
    _measured(spelt)
    parameters = _parameters(as_mapping(spelt), given, problems)
    problems += _unknown_references(spelt, parameters)
    suite = _validated(fill(spelt, parameters), problems)
    problems += check_suite(suite)
    if problems:
        raise Verdict(*problems[:MAX_PROBLEMS])
    dumped = suite.model_dump(mode="json", by_alias=True)
    canonical = cast("dict[str, Any]", _with_templates(dumped, spelt))
    return ParsedSuite(document=canonical, suite=suite, parameters=dict(parameters))


def _validated(filled: object, problems: list[Problem]) -> Suite:
    try:
        # Strict validation takes JSON arrays for tuples only when it reads JSON itself.
        return Suite.model_validate_json(json.dumps(filled, ensure_ascii=False, allow_nan=False), strict=True)
    except ValidationError as error:
        told = {problem.path for problem in problems}
        wrong = [(explain(d), d["input"]) for d in error.errors(include_url=False) if not _is_echo(d)]
        # A value whose reference is unknown has its problem already; what only looks like one has not.
        found = [problem for problem, value in wrong if not (templated(value) and problem.path in told)]
        # A value of several possible types is wrong once, not once for each of them.
        once = {(problem.code, problem.path): problem for problem in reversed(found)}
        problems += once.values()
        raise Verdict(*sorted(problems, key=lambda p: p.path or "")[:MAX_PROBLEMS]) from None


def _measured(document: object) -> None:
    try:
        size = len(json.dumps(document, ensure_ascii=False, allow_nan=False).encode())
    except (TypeError, ValueError, RecursionError) as error:
        message = f"the document holds something that JSON cannot: {short(str(error))}"
        hint = "Use text, whole numbers, true, false, lists and mappings only."
        raise Verdict.because("suite.not_a_document", message, next=hint) from None
    if size > MAX_BYTES:
        message = f"the suite has {size:,} bytes; at most {MAX_BYTES:,} can be taken"
        raise Verdict.because("suite.too_large", message, next="Move long texts into the images.")


def _parameters(document: Mapping[object, object], given: Parameters, problems: list[Problem]) -> Parameters:
    """Take what is given for each parameter, else its default. What is no parameter is left to the schema."""
    listed = document.get("parameters")
    known: dict[str, str | bool | int] = {}
    for item in cast("list[object]", listed) if isinstance(listed, list) else []:
        name, default = as_mapping(item).get("name"), as_mapping(item).get("default")
        if isinstance(name, str) and isinstance(default, str | bool | int):
            known[name] = default
    for name, value in given.items():
        if name not in known:
            problems.append(_unknown(f"parameters.{name}", name, known))
        elif type(value) is not type(known[name]):
            problems.append(_another_type(name, value, known[name]))
        else:
            known[name] = value
    return known


def _unknown_references(document: object, known: Parameters) -> list[Problem]:
    found = references(document, "param")
    return [_unknown(path, name, known) for path, name in found if name not in known][:MAX_PROBLEMS]


def _unknown(path: str, name: str, known: Parameters) -> Problem:
    there = ", ".join(known) or "none"
    return Problem(
        code="suite.unknown_parameter",
        message=f"the suite has no parameter `{name[:64]}`; it has: {there}",
        path=path[:256],
        value=name[:64],
        suggestions=close(name, known),
        next="Correct the name, or add it to `parameters`.",
    )


def _another_type(name: str, value: object, default: object) -> Problem:
    words = "text" if isinstance(default, str) else "true or false" if isinstance(default, bool) else "a whole number"
    return Problem(
        code="suite.wrong_type",
        message=f"the parameter `{name}` must be {words}, as its default is",
        path=f"parameters.{name}",
        value=short(value),
        next="Give a value of the same type.",
    )


def _with_templates(dumped: object, spelt: object) -> object:
    """Put the references back where they were filled in."""
    if isinstance(dumped, dict) and isinstance(spelt, Mapping):
        held = cast("Mapping[object, object]", spelt)
        return {k: _with_templates(v, held.get(k)) for k, v in cast("dict[str, object]", dumped).items()}
    if isinstance(dumped, list) and isinstance(spelt, list | tuple):
        pairs = zip(cast("list[object]", dumped), cast("list[object]", spelt), strict=True)
        return [_with_templates(new, old) for new, old in pairs]
    return spelt if templated(spelt) else cast("object", dumped)


def _is_echo(detail: ErrorDetails) -> bool:
    """Whether a list is called too short only because its entries, named already, are wrong."""
    return detail["type"] == "too_short" and bool(detail["input"])
