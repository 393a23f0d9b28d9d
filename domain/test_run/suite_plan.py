"""From a suite and the images bound to it to what a run does, in order."""

from collections.abc import Iterator, Mapping, Sequence

from domain.errors import Verdict
from domain.model import Value
from domain.recipe.keys import close
from domain.suite.parse import ParsedSuite
from domain.suite.readiness import Target, slots_used
from domain.suite.schema import Slot, Step
from domain.test_run.inputs import RunCase, RunMachine, RunPlan, RunTarget


class Selection(Value):
    """Which cases are wanted: those named and those with one of the tags; all, if neither is said."""

    cases: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()

    @property
    def everything(self) -> bool:
        """Whether nothing is left out."""
        return not self.cases and not self.tags


ALL = Selection()


def plan_suite(
    parsed: ParsedSuite,
    target: RunTarget,
    targets: Mapping[str, Target],
    *,
    selection: Selection = ALL,
    hold_seconds: int = 0,
    rerun_of: str | None = None,
) -> RunPlan:
    """Plan a run of a suite that is ready (see `domain.suite.readiness`). Setup and teardown are never left out.

    Raises:
        Verdict: `suite.unknown_case` for a name that is none, `suite.nothing_selected` if no case is left.

    """
    suite = parsed.suite
    cases = [case for case in _cases(parsed, targets) if _wanted(case, selection)]
    _refuse_unknown(selection, [case.name for case in _cases(parsed, targets)])
    if not cases:
        raise Verdict.because(
            "suite.nothing_selected",
            "no case has one of these tags",
            path="tags",
            value=", ".join(selection.tags)[:80],
            suggestions=tuple(sorted({tag for case in suite.cases for tag in case.tags})),
            next="Choose other tags, or leave `cases` and `tags` out to run all.",
        )
    first = [case for case in cases if case.kind == "predefined"]
    rest = [case for case in cases if case.kind != "predefined"]
    setup, teardown = (_around(parsed, kind, targets) for kind in ("setup", "teardown"))
    return RunPlan(
        kind="suite",
        name=suite.name,
        target=target,
        machines=tuple(_machine(slot, targets[slot.name]) for slot in suite.slots if slot.name in targets),
        cases=(*first, *setup, *rest, *teardown),
        parameters=parsed.parameters,
        hold_seconds=hold_seconds,
        rerun_of=rerun_of,
    )


def _cases(parsed: ParsedSuite, targets: Mapping[str, Target]) -> Iterator[RunCase]:
    """Make all cases that can be run with the machines there are."""
    suite = parsed.suite
    for test in suite.predefined:
        for slot in suite.slots:
            if slot.name in targets:
                yield RunCase(name=f"{test}@{slot.name}", kind="predefined", slot=slot.name, predefined=test)
    used = slots_used(parsed)
    for index, case in enumerate(suite.cases):
        if used[index] <= set(targets):
            slot = case.slot or suite.default_slot
            steps = _placed(case.steps, slot)
            yield RunCase(name=case.name, description=case.description, tags=case.tags, slot=slot, steps=steps)


def _around(parsed: ParsedSuite, kind: str, targets: Mapping[str, Target]) -> tuple[RunCase, ...]:
    suite = parsed.suite
    steps = suite.setup if kind == "setup" else suite.teardown
    placed = tuple(step for step in _placed(steps, suite.default_slot) if step.slot in targets)
    if not placed:
        return ()
    return (RunCase.model_validate({"name": kind, "kind": kind, "slot": placed[0].slot, "steps": placed}),)


def _placed(steps: Sequence[Step], slot: str) -> tuple[Step, ...]:
    return tuple(step if step.slot else step.model_copy(update={"slot": slot}) for step in steps)


def _machine(slot: Slot, target: Target) -> RunMachine:
    return RunMachine(
        slot=slot.name,
        image=target.image,
        verification="verified" if target.verified else "unverified",
        recipe=None if target.recipe is None else target.recipe.model_dump(mode="json", by_alias=True),
        memory=slot.memory,
        cpus=slot.cpus,
        disk=slot.disk,
        firmware=slot.firmware,
    )


def _wanted(case: RunCase, selection: Selection) -> bool:
    named = case.name in selection.cases or case.predefined in selection.cases
    return selection.everything or named or bool(set(case.tags) & set(selection.tags))


def _refuse_unknown(selection: Selection, names: Sequence[str]) -> None:
    known = [*names, *{name.partition("@")[0] for name in names if "@" in name}]
    unknown = [name for name in selection.cases if name not in known]
    if unknown:
        raise Verdict(*(p for name in unknown for p in _unknown_case(name, known).problems))


def _unknown_case(name: str, known: Sequence[str]) -> Verdict:
    return Verdict.because(
        "suite.unknown_case",
        f"the suite has no case `{name[:128]}` that can be run",
        path="cases",
        value=name[:128],
        suggestions=close(name, known) or tuple(known[:5]),
        next="Correct the name; get_test_suite shows the cases.",
    )
