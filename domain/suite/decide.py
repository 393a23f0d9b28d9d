"""What a command makes happen to a suite's definition, given what already happened.

A command whose id the suite holds already decides nothing, so that a repeated one is harmless.
"""

from collections.abc import Iterable
from datetime import datetime

from domain.errors import Verdict
from domain.recipe.keys import close
from domain.suite import commands as c
from domain.suite import events as e
from domain.suite.state import SuiteState

_NOTHING: tuple[e.SuiteEvent, ...] = ()


def decide(state: SuiteState | None, command: c.AnySuiteCommand, *, now: datetime) -> tuple[e.SuiteEvent, ...]:
    """Return the events that `command` adds to a suite; none if they are there already.

    `now` is the time in UTC as the workflow sees it.

    Raises:
        Verdict: `suite.not_found`, `request_key.reused`, `suite.version_conflict`, `suite.unknown_slot`.

    """
    if isinstance(command, c.CreateSuite):
        return _create(state, command, now)
    if state is None:
        raise Verdict.because("suite.not_found", "there is no such suite", next="list_test_suites")
    if command.command_id in state.commands:
        return _NOTHING
    _refuse_older(state, command.expected_version)
    match command:
        case c.ChangeSuite():
            return _change(state, command, now)
        case c.BindTargets():
            return _bind(state, command, now)


def _create(state: SuiteState | None, command: c.CreateSuite, now: datetime) -> tuple[e.SuiteEvent, ...]:
    request = command.request
    if state is None:
        return (
            e.SuiteCreated(
                suite_id=request.suite_id,
                org_id=request.org_id,
                at=now,
                command_id=request.suite_id,
                requested_by=request.requested_by,
                document=request.document,
                input_digest=request.input_digest,
            ),
        )
    if state.org_id != request.org_id or state.input_digest != request.input_digest:
        message = "this suite id belongs to another request"
        raise Verdict.because("request_key.reused", message, path="request_key", next="Use another request_key.")
    return _NOTHING


def _change(state: SuiteState, command: c.ChangeSuite, now: datetime) -> tuple[e.SuiteEvent, ...]:
    if state.document == command.document:
        return _NOTHING
    return (
        e.SuiteChanged(
            suite_id=state.suite_id,
            org_id=state.org_id,
            at=now,
            command_id=command.command_id,
            requested_by=command.requested_by,
            document=command.document,
        ),
    )


def _bind(state: SuiteState, command: c.BindTargets, now: datetime) -> tuple[e.SuiteEvent, ...]:
    refuse_unknown_slots(state, [*(binding.slot for binding in command.bindings), *command.unbind])
    targets = {binding.slot: binding for binding in state.bindings if binding.slot not in command.unbind}
    targets |= {binding.slot: binding for binding in command.bindings}
    bindings = tuple(targets[slot] for slot in state.slots if slot in targets)
    if bindings == state.bindings:
        return _NOTHING
    return (
        e.TargetsChanged(
            suite_id=state.suite_id,
            org_id=state.org_id,
            at=now,
            command_id=command.command_id,
            requested_by=command.requested_by,
            bindings=bindings,
        ),
    )


def refuse_unknown_slots(state: SuiteState, named: Iterable[str]) -> None:
    """Refuse names that are no slots of the suite.

    Raises:
        Verdict: `suite.unknown_slot`, for each of them.

    """
    unknown = [slot for slot in named if slot not in state.slots]
    if unknown:
        raise Verdict(*(p for slot in unknown for p in _unknown_slot(slot, state).problems))


def _unknown_slot(slot: str, state: SuiteState) -> Verdict:
    return Verdict.because(
        "suite.unknown_slot",
        f"the suite has no slot `{slot[:64]}`; it has: {', '.join(state.slots)}",
        path=f"targets.{slot[:64]}",
        value=slot[:64],
        suggestions=close(slot, state.slots),
        next="Correct the name, or add the slot with update_test_suite.",
    )


def _refuse_older(state: SuiteState, expected: int) -> None:
    if expected != state.version:
        raise Verdict.because(
            "suite.version_conflict",
            f"the suite is at version {state.version} by now, not at {expected}: someone changed it meanwhile",
            path="expected_version",
            value=str(expected),
            next="Call get_test_suite, look at what changed, and repeat with its version.",
        )
