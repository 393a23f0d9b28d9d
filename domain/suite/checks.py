"""Meaning: what is wrong with a suite whose types are right, whatever images are bound to it."""

from collections.abc import Hashable, Iterable, Iterator

from domain.errors import Problem
from domain.recipe.claim_checks import bad_pattern, check_claim, fault_of_pattern
from domain.suite.problems import in_suites
from domain.suite.schema import MAX_STEPS, AssertStep, CommandStep, Step, Suite, WaitStep

_RESERVED = frozenset({"setup", "teardown"})


def check_suite(suite: Suite) -> tuple[Problem, ...]:
    """Name everything that contradicts itself or cannot work; nothing for a suite that can be kept."""
    return tuple(problem for check in (_repetitions, _names, _steps, _size) for problem in check(suite))


def steps_of(suite: Suite) -> Iterator[tuple[str, Step]]:
    """Go through all steps, each with its path."""
    for key, steps in (("setup", suite.setup), ("teardown", suite.teardown)):
        yield from ((f"{key}[{i}]", step) for i, step in enumerate(steps))
    for i, case in enumerate(suite.cases):
        yield from ((f"cases[{i}].steps[{j}]", step) for j, step in enumerate(case.steps))


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


def _steps(suite: Suite) -> Iterator[Problem]:
    for path, step in steps_of(suite):
        match step:
            case AssertStep():
                yield from map(in_suites, check_claim(step.assertion, f"{path}.assertion"))
            case WaitStep():
                yield from map(in_suites, check_claim(step.until, f"{path}.until"))
            case CommandStep():
                yield from _command(step, path)
            case _:
                pass


def _command(step: CommandStep, path: str) -> Iterator[Problem]:
    if bool(step.command) == bool(step.argv):
        yield Problem(
            code="suite.bad_value",
            message=f"`{path}` needs either `command`, a text for the shell, or `argv`, a list of words",
            path=path,
            next="Give one of the two.",
        )
    fault = fault_of_pattern(step.matches) if step.matches is not None else None
    if step.matches is not None and fault is not None:
        yield in_suites(bad_pattern(f"{path}.matches", step.matches, fault))


def _size(suite: Suite) -> Iterator[Problem]:
    count = sum(1 for _ in steps_of(suite))
    if count > MAX_STEPS:
        message = f"the suite has {count} steps; at most {MAX_STEPS} can be run"
        yield Problem(code="suite.too_large", message=message, path="cases", next="Make two suites of it.")
