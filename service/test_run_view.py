"""From a test run's state to what the tools answer, small enough to be read."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from domain.budget import LONG_VIEW_BYTES, ROW_CHARACTERS, VIEW_BYTES, size_of, that_fit
from domain.canonical import canonical_json
from domain.test_run.compare import compare
from domain.test_run.progress import measure
from domain.test_run.reporting import report_of
from domain.test_run.results import StepResult
from domain.test_run.state import CaseState, RunState
from domain.test_run.views import (
    CaseView,
    ComparisonView,
    FileLink,
    ResultView,
    RunMachineView,
    RunView,
)
from domain.text import clean_untrusted
from service.build_view import Detail, clipped
from workflows.test_run_models import workflow_id

_TEXT = 300
_MOST_PROBLEMS = 12
_MOST_CASES = 100
_MOST_FAILED = 12
_MOST_RESULTS = 60
_MOST_SHOWN = 200  # results of all cases together
_MOST_CHANGES = 20
_SHORTEST = 16  # a parameter where there are many
_FEW_FILES = 6  # the reports come first
# How much is shown, from all down to what always fits: results and problems of each case, and cases.
_LEVELS = (
    *((60, 12, 100), (12, 12, 100), (6, 6, 100), (3, 3, 100), (1, 1, 100)),
    *((1, 1, 40), (0, 1, 40), (0, 0, 40), (0, 0, 20), (0, 0, 8)),
)

FOLLOW = "Call get_test_run with this run_id and wait_s=25 to follow it."


def accepted(run_id: str, *, name: str = "") -> RunView:
    """Describe a run that was accepted but that the read model does not show yet."""
    return RunView(
        run_id=run_id,
        workflow_id=workflow_id(run_id),
        name=name,
        status="pending",
        version=0,
        visible=False,
        next=FOLLOW,
    )


def run_view(
    state: RunState,
    *,
    now: datetime,
    detail: Detail = "concise",
    previous: RunState | None = None,
    files: Sequence[FileLink] = (),
) -> RunView:
    """Describe a run; texts that a guest wrote are cleaned and clipped."""
    # More would not fit however short they are, and each text that is cleaned costs time.
    room = max(2, _MOST_SHOWN // max(1, len(state.cases)))
    view = RunView(
        run_id=state.run_id,
        workflow_id=workflow_id(state.run_id),
        name=state.plan.name,
        status=state.status,
        version=state.version,
        kind=state.plan.kind,
        target=state.plan.target,
        created_at=state.requested_at,
        updated_at=state.updated_at,
        seconds=state.seconds,
        rerun_of=state.plan.rerun_of,
        parameters=_parameters(state),
        progress=measure(state, now, None if previous is None else previous.seconds),
        counts=state.counts,
        machines=_machines(state, now),
        cases=tuple(_case(case, detail, room) for case in state.cases[:_MOST_CASES]),
        problems=that_fit([clipped(problem) for problem in state.problems[:_MOST_PROBLEMS]], VIEW_BYTES // 3),
        comparison=_comparison(state, previous) if previous is not None and state.terminal else None,
        files=tuple(files if detail == "full" else files[:_FEW_FILES]),
        held_until=_held(state, now),
        next=_next(state, now),
    )
    return _fitted(view, LONG_VIEW_BYTES if detail == "full" else VIEW_BYTES, len(files))


def _machines(state: RunState, now: datetime) -> tuple[RunMachineView, ...]:
    seen = {machine.slot: machine for machine in state.machines}
    kept = _held(state, now) is not None
    return tuple(
        RunMachineView(
            slot=machine.slot,
            vm_id=seen[machine.slot].vm_id,
            image=machine.image.name if machine.image else None,
            source_id=machine.image.source_id if machine.image else None,
            ready_seconds=seen[machine.slot].ready,
            kept=kept or not seen[machine.slot].owned,
        )
        for machine in state.plan.machines
    )


def _held(state: RunState, now: datetime) -> datetime | None:
    return state.held_until if state.held_until is not None and state.held_until > now else None


def _case(case: CaseState, detail: Detail, room: int) -> CaseView:
    failed = case.failed_results
    chosen = case.results[: min(room, _MOST_RESULTS)] if detail == "full" else failed[: min(room, _MOST_FAILED)]
    return CaseView(
        name=case.name,
        kind=case.kind,
        slot=case.slot,
        status=case.status,
        seconds=None if case.seconds is None else round(case.seconds, 1),
        description=case.description,
        tags=case.tags,
        passed=len(case.results) - len(failed),
        failed=len(failed),
        problems=tuple(clipped(problem) for problem in case.problems[:_MOST_PROBLEMS]),
        results=tuple(_result(result) for result in chosen),
    )


def _result(result: StepResult) -> ResultView:
    return ResultView(
        slot=result.slot,
        description=clean_untrusted(result.description, _TEXT),
        type=result.type,
        params={name: _short(value) for name, value in result.params.items()},
        passed=result.passed,
        expected=clean_untrusted(result.expected, _TEXT),
        found=clean_untrusted(result.found, _TEXT),
        command=clean_untrusted(result.command, _TEXT),
        seconds=result.seconds,
    )


def _short(value: Any, longest: int = ROW_CHARACTERS) -> Any:  # noqa: ANN401 - a parameter of any assertion
    """Clip what may be a whole file, and leave what a program reads as it is."""
    if isinstance(value, str):
        return clean_untrusted(value, longest)
    whole = canonical_json(value).decode()
    return value if len(whole) <= longest else clean_untrusted(whole, longest)


def _parameters(state: RunState) -> dict[str, str | bool | int]:
    given = state.plan.parameters
    longest = max(_SHORTEST, min(ROW_CHARACTERS, _TEXT * 4 // max(1, len(given))))
    return {name: _short(value, longest) for name, value in given.items()}


def _comparison(state: RunState, previous: RunState) -> ComparisonView:
    found = compare(report_of(state), report_of(previous))
    return ComparisonView(previous_run_id=previous.run_id, summary=found.summary, changes=found.changes[:_MOST_CHANGES])


def _fitted(view: RunView, most_bytes: int, files: int) -> RunView:
    """Leave out results, those that hold first, then cases that passed, until the view fits; say what is not there."""
    fitted = view
    for results, problems, cases in _LEVELS:
        fitted = _cut(view, results, problems, cases)
        if size_of(fitted) <= most_bytes:
            break
    words = _missing(view, fitted, files)
    return fitted.model_copy(update={"cut": " ".join(words)}) if words else fitted


def _missing(view: RunView, fitted: RunView, files: int) -> list[str]:
    shown = [result for case in fitted.cases for result in case.results]
    missing = sum(case.passed + case.failed for case in view.cases) - len(shown)
    hidden = sum(case.failed for case in view.cases) - sum(not result.passed for result in shown)
    unseen = view.counts.total - len(fitted.cases)
    words: list[str] = []
    if missing:
        failed = f", {hidden} of them failed" if hidden else ", all of them hold"
        words.append(f"{missing} results are counted but not shown{failed}.")
    if unseen > 0:
        words.append(f"{unseen} cases are counted but not shown.")
    if files > len(fitted.files):
        words.append(f"{files - len(fitted.files)} more files are kept.")
    advice = "Call get_test_run with detail=full for more; the report in files has all."
    return [*words, advice] if words else []


def _cut(view: RunView, results: int, problems: int, cases: int) -> RunView:
    ranked = sorted(range(len(view.cases)), key=lambda i: (view.cases[i].status == "passed", i))[:cases]
    kept = (view.cases[i] for i in sorted(ranked))
    return view.model_copy(update={"cases": tuple(_cut_case(case, results, problems) for case in kept)})


def _cut_case(case: CaseView, results: int, problems: int) -> CaseView:
    ranked = sorted(range(len(case.results)), key=lambda i: (case.results[i].passed, i))[:results]
    kept = tuple(case.results[i] for i in sorted(ranked))
    return case.model_copy(update={"results": kept, "problems": case.problems[:problems]})


def _next(state: RunState, now: datetime) -> str:
    if not state.terminal:
        return FOLLOW
    held = " Its machines are held: get_console_link or run_vm_command with their vm_id." if _held(state, now) else ""
    again = "run_test_suite with rerun_of set to this run_id runs only what did not pass."
    if state.plan.kind == "verification":
        again = "Call run_verification again once it is mended."
    if state.status == "passed":
        return "Nothing: every case passed."
    if state.status == "error":
        return f"The factory could not test it, which says nothing about the images: {again}{held}"
    return f"Read the failed cases; {again}{held}"
