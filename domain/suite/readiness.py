"""Whether a suite can be run as it is: known before anything is started, each finding with what to do."""

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from domain.errors import Problem
from domain.model import Value
from domain.recipe.keys import close
from domain.recipe.schema import Recipe
from domain.recipe.ssh_access import ssh_access_of
from domain.suite.claims import doubtful
from domain.suite.inputs import TargetFormat, TargetSource
from domain.suite.parse import ParsedSuite
from domain.suite.references import references
from domain.suite.schema import PredefinedTest, PutFileStep, Step, Suite
from domain.vm.spec import ImageRef

Units = Literal["setup", "teardown"] | int
"""What runs as one: the setup, the teardown, or a case by its index."""

_ABOUT_A_RECIPE: frozenset[PredefinedTest] = frozenset({"login", "packages", "services"})
_UNDER_WAY = frozenset({"pending", "building", "testing"})


class Target(Value):
    """What is known of the image bound to a slot.

    `image` is missing if there is none of that format; `recipe` if it was uploaded. `status` is the
    build's, or `absent` for an id under which there is nothing (any more).
    """

    slot: str
    source: TargetSource
    source_id: str
    format: TargetFormat = "qcow2"
    status: str = "completed"
    name: str = ""
    image: ImageRef | None = None
    verified: bool | None = None
    recipe: Recipe | None = None


class Readiness(Value):
    """`ready` if a run can start. `problems` stand in the way, `warnings` do not but should be read."""

    ready: bool
    unbound: tuple[str, ...]
    problems: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()


def judge(parsed: ParsedSuite, targets: Mapping[str, Target]) -> Readiness:
    """Judge a suite with the images bound to its slots."""
    suite = parsed.suite
    problems = [*_slots(suite, targets), *_unknown_slots(parsed), *_empty(suite), *_images(targets)]
    warnings = [*_left_out(parsed, targets), *_doubts(suite, targets)]
    unbound = tuple(slot.name for slot in suite.slots if slot.name not in targets)
    return Readiness(ready=not problems, unbound=unbound, problems=tuple(problems), warnings=tuple(warnings))


def steps_on_slots(suite: Suite) -> Iterator[tuple[Units, str, str, Step]]:
    """Go through all steps: the unit, the step's path, its slot, and the step."""
    default = suite.default_slot
    for i, step in enumerate(suite.setup):
        yield "setup", f"setup[{i}]", step.slot or default, step
    for i, case in enumerate(suite.cases):
        for j, step in enumerate(case.steps):
            yield i, f"cases[{i}].steps[{j}]", step.slot or case.slot or default, step
    for i, step in enumerate(suite.teardown):
        yield "teardown", f"teardown[{i}]", step.slot or default, step


def slots_used(parsed: ParsedSuite) -> dict[Units, frozenset[str]]:
    """Tell for each case, the setup and the teardown which machines they work on or name."""
    used: dict[Units, set[str]] = {}
    for unit, _, slot, _ in steps_on_slots(parsed.suite):
        used.setdefault(unit, set()).add(slot)
    for unit, part in _parts(parsed.document):
        used.setdefault(unit, set()).update(name for _, name in references(part, "slot"))
    return {unit: frozenset(slots) for unit, slots in used.items()}


def _parts(document: Mapping[str, Any]) -> Iterator[tuple[Units, object]]:
    yield from enumerate(document["cases"])
    yield "setup", document["setup"]
    yield "teardown", document["teardown"]


def _slots(suite: Suite, targets: Mapping[str, Target]) -> Iterator[Problem]:
    for i, slot in enumerate(suite.slots):
        if slot.required and slot.name not in targets:
            yield Problem(
                code="suite.unbound_slot",
                message=f"the slot `{slot.name}` has no image",
                path=f"slots[{i}]",
                value=slot.name,
                next=f"Call update_test_suite_targets with a completed build for `{slot.name}`.",
            )


def _unknown_slots(parsed: ParsedSuite) -> Iterator[Problem]:
    suite = parsed.suite
    known = [slot.name for slot in suite.slots]
    named = [(f"cases[{i}].slot", case.slot) for i, case in enumerate(suite.cases) if case.slot is not None]
    named += [(f"{path}.slot", step.slot) for _, path, _, step in steps_on_slots(suite) if step.slot is not None]
    named += list(references(parsed.document, "slot"))
    for path, name in named:
        if name not in known:
            yield Problem(
                code="suite.unknown_slot",
                message=f"`{path}` names the slot `{name[:64]}`, which the suite does not have",
                path=path,
                value=name[:64],
                suggestions=close(name, known) or tuple(known),
                next="Correct the name, or add the slot with update_test_suite.",
            )


def _empty(suite: Suite) -> Iterator[Problem]:
    if not suite.cases and not suite.predefined:
        yield Problem(
            code="suite.nothing_to_run",
            message="the suite has neither cases nor predefined tests",
            path="cases",
            next="Add `cases`, or `predefined: [boot, network]`, with update_test_suite.",
        )


def _images(targets: Mapping[str, Target]) -> Iterator[Problem]:
    for slot, target in targets.items():
        path = f"targets.{slot}"
        if target.status == "absent":
            message = f"the {target.source} bound to `{slot}` is not there (any more)"
            yield _target("suite.target_not_found", message, path, target, "Bind another one.")
        elif target.image is None and target.status in _UNDER_WAY:
            message = f"the build bound to `{slot}` is still {target.status}"
            advice = "Follow it with get_build_status until it is completed."
            yield _target("suite.target_not_ready", message, path, target, advice)
        elif target.image is None:
            message = f"the {target.source} bound to `{slot}` is {target.status} and has no {target.format} image"
            yield _target("suite.target_has_no_image", message, path, target, "Bind another build, or another format.")
        elif target.recipe is not None and not _reachable(target.recipe):
            message = (
                f"the image bound to `{slot}` has neither the guest agent nor a way in over SSH: nothing can be run"
            )
            advice = "Build it with `guestAgent: true`, or let root log in over SSH."
            yield _target("suite.unreachable_image", message, path, target, advice)


def _target(code: str, message: str, path: str, target: Target, advice: str) -> Problem:
    return Problem(code=code, message=message, path=path, value=target.source_id, next=advice)


def _reachable(recipe: Recipe) -> bool:
    return recipe.guestAgent or ssh_access_of(recipe) is not None


def _left_out(parsed: ParsedSuite, targets: Mapping[str, Target]) -> Iterator[Problem]:
    """Name the cases that are not run because an optional machine is missing."""
    optional = {slot.name for slot in parsed.suite.slots if not slot.required}
    for unit, slots in slots_used(parsed).items():
        missing = sorted((slots & optional) - set(targets))
        if not missing:
            continue
        what = f"the case `{parsed.suite.cases[unit].name}`" if isinstance(unit, int) else f"the {unit}"
        yield Problem(
            code="suite.case_left_out",
            message=f"{what} is not run without the slot `{missing[0]}`, which has no image",
            path=f"cases[{unit}]" if isinstance(unit, int) else unit,
            value=missing[0],
            next="Bind an image to the slot with update_test_suite_targets.",
        )


def _doubts(suite: Suite, targets: Mapping[str, Target]) -> Iterator[Problem]:
    """Name what will probably not hold on the images that are bound."""
    for slot, target in targets.items():
        unknown = sorted(_ABOUT_A_RECIPE & set(suite.predefined)) if target.recipe is None else []
        if unknown:
            message = f"nothing is known of the recipe of `{slot}`: {', '.join(unknown)} can check only a part"
            yield Problem(code="suite.no_recipe", message=message, path=f"targets.{slot}", next="Nothing, or a build.")
        if target.image is not None and target.verified is False:
            message = f"the image bound to `{slot}` did not pass its own tests"
            yield Problem(
                code="suite.target_unverified", message=message, path=f"targets.{slot}", value=target.source_id
            )
    memory_only = {slot.name for slot in suite.slots if slot.disk is None and _is_iso(targets.get(slot.name))}
    for _, path, slot, step in steps_on_slots(suite):
        target = targets.get(slot)
        if target is not None and target.recipe is not None:
            yield from doubtful(step, path, slot, target.recipe)
        if slot in memory_only and isinstance(step, PutFileStep):
            message = f"`{path}` writes to `{slot}`, an ISO without a disk: it stays in the machine's memory"
            yield Problem(code="suite.iso_without_disk", message=message, path=path, next="Give the slot a `disk`.")


def _is_iso(target: Target | None) -> bool:
    return target is not None and target.format == "iso"
