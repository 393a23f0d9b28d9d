"""Meaning: what is wrong with a suite whose types are right, whatever images are bound to it."""

import re
from collections.abc import Hashable, Iterable, Iterator

from domain.errors import Problem
from domain.suite.schema import MAX_STEPS, CommandStep, Step, Suite

_RESERVED = frozenset({"setup", "teardown"})


def check_suite(suite: Suite) -> tuple[Problem, ...]:
    """Name everything that contradicts itself or cannot work; nothing for a suite that can be kept."""
    return tuple(problem for check in (_repetitions, _names, _commands, _size) for problem in check(suite))


def steps_of(suite: Suite) -> Iterator[tuple[str, str | None, Step]]:
    """Go through all steps: each with its path, the slot that it falls back on, and the step."""
    for key, steps in (("setup", suite.setup), ("teardown", suite.teardown)):
        yield from ((f"{key}[{i}]", None, step) for i, step in enumerate(steps))
    for i, case in enumerate(suite.cases):
        yield from ((f"cases[{i}].steps[{j}]", case.slot, step) for j, step in enumerate(case.steps))


def _repetitions(suite: Suite) -> Iterator[Problem]:
    yield from _repeated((f"slots[{i}].name", s.name) for i, s in enumerate(suite.slots))
    yield from _repeated((f"parameters[{i}].name", p.name) for i, p in enumerate(suite.parameters))
    yield from _repeated((f"cases[{i}].name", c.name) for i, c in enumerate(suite.cases))
    yield from _repeated((f"predefined[{i}]", name) for i, name in enumerate(suite.predefined))


def _repeated(items: Iterable[tuple[str, Hashable]]) -> Iterator[Problem]:
    first: dict[Hashable, str] = {}
    for path, value in items:
        if value in first:
            message = f"`{path}` repeats `{first[value]}`"
            yield Problem(
                code="suite.duplicate", message=message, path=path, value=str(value), next="Keep one of the two."
            )
        first.setdefault(value, path)


def _names(suite: Suite) -> Iterator[Problem]:
    for i, case in enumerate(suite.cases):
        if case.name in _RESERVED:
            yield Problem(
                code="suite.bad_value",
                message=f"`cases[{i}].name` cannot be `{case.name}`, which the run itself has",
                path=f"cases[{i}].name",
                value=case.name,
                next=f"Put these steps under `{case.name}`, or choose another name.",
            )


def _commands(suite: Suite) -> Iterator[Problem]:
    for path, _, step in steps_of(suite):
        if not isinstance(step, CommandStep):
            continue
        if bool(step.command) == bool(step.argv):
            yield Problem(
                code="suite.bad_value",
                message=f"`{path}` needs either `command`, a text for the shell, or `argv`, a list of words",
                path=path,
                next="Give one of the two.",
            )
        if step.matches is not None and (fault := _fault_of(step.matches)):
            yield Problem(
                code="suite.bad_value",
                message=f"`{path}.matches` is not a regular expression: {fault}",
                path=f"{path}.matches",
                value=step.matches[:80],
                next="Correct it; write `contains` for plain text.",
            )


def _fault_of(pattern: str) -> str | None:
    try:
        re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        return str(error)
    return None


def _size(suite: Suite) -> Iterator[Problem]:
    count = sum(1 for _ in steps_of(suite))
    if count > MAX_STEPS:
        message = f"the suite has {count} steps; at most {MAX_STEPS} can be run"
        yield Problem(code="suite.too_large", message=message, path="cases", next="Make two suites of it.")
