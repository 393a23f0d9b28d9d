"""Suites and test runs as short text."""

from collections.abc import Callable, Iterable
from typing import Any

from pydantic import BaseModel

from domain.suite.views import SlotView, SuitePage, SuiteView
from domain.test_run.views import CaseView, RunPage, RunView
from mcp_server.render_words import FENCE_BEGIN, FENCE_END, one_row, problem_lines


def _suites(view: SuitePage) -> Iterable[str]:
    if not view.suites:
        yield "No suites yet."
    for suite in view.suites:
        bound = f"{len(suite.bound)} of {len(suite.slots)} slots bound"
        yield f"{suite.suite_id} {suite.name}, {suite.cases} cases, {bound}, version {suite.version}"
    for example in view.examples:
        yield f"Example `{example.name}`: {example.description} Call create_test_suite with suite set to its name."
    if view.next_cursor:
        yield f"More: call list_test_suites with cursor={view.next_cursor}"


def _suite(view: SuiteView) -> Iterable[str]:
    replayed = " (this request was made before; nothing new was written)" if view.replayed else ""
    yield f"Suite {view.suite_id} {view.name}, version {view.version}{replayed}."
    if not view.visible:
        yield "It was accepted and will show up in a moment."
    yield from (_slot(slot) for slot in view.slots)
    if view.cases:
        yield f"Cases: {', '.join(view.cases)}"
    if view.readiness is not None:
        yield "It can be run." if view.readiness.ready else "It CANNOT be run yet:"
        yield from (line for problem in view.readiness.problems for line in problem_lines(problem))
        yield from (f"Warning: {one_row(warning.message)}" for warning in view.readiness.warnings)
    if view.latest_run is not None:
        run = view.latest_run
        failure = f" — {one_row(run.failure)}" if run.failure else ""
        yield f"Latest run {run.run_id}: {run.status}, {run.passed} of {run.total} cases passed{failure}"
    yield from (line for line in (view.cut, view.next and f"Next: {view.next}") if line)


def _slot(slot: SlotView) -> str:
    about = f" ({one_row(slot.description)})" if slot.description else ""
    if slot.target is None:
        return f"  {slot.name}{about}: unbound{'' if slot.required else ', optional'}"
    verified = "" if slot.verified is None else ", verified" if slot.verified else ", UNVERIFIED"
    return f"  {slot.name}{about}: {slot.target.source} {slot.target.source_id} {slot.image or slot.status}{verified}"


def _runs(view: RunPage) -> Iterable[str]:
    if not view.runs:
        yield "No test runs."
    for run in view.runs:
        took = f", {run.seconds:.0f} s" if run.seconds is not None else ""
        counts = f"{run.counts.passed} of {run.counts.total} cases passed"
        failure = f" — {one_row(run.failure)}" if run.failure else ""
        yield (
            f"{run.run_id} {run.kind} {run.name} {run.status}, {counts}{took}, "
            f"{run.created_at:%Y-%m-%d %H:%M} UTC{failure}"
        )
    if view.next_cursor:
        yield f"More: call again with cursor={view.next_cursor}"


def _run(view: RunView) -> Iterable[str]:
    replayed = " (this request was made before; nothing new was started)" if view.replayed else ""
    counts = f"{view.counts.passed} of {view.counts.total} cases passed"
    took = f" in {view.seconds:.0f} s" if view.seconds is not None else ""
    yield f"Test run {view.run_id} {view.name}: {view.status}{took}, {counts}, version {view.version}{replayed}."
    if not view.visible:
        yield "It was accepted and will show up in a moment."
    if view.progress is not None:
        doing = f", {view.progress.doing}" if view.progress.doing else ""
        so_far = f"{view.progress.elapsed_seconds:.0f} s so far"
        yield f"{view.progress.done} of {view.progress.total} done{doing}, {so_far}."
    for machine in view.machines:
        ready = f", answered after {machine.ready_seconds:.0f} s" if machine.ready_seconds is not None else ""
        held = f", held until {view.held_until:%H:%M} UTC" if view.held_until is not None else ""
        yield f"  machine {machine.slot}: {machine.vm_id or 'not there yet'}{ready}{held}"
    yield from (line for problem in view.problems for line in problem_lines(problem))
    yield from (line for case in view.cases for line in _case(case))
    if view.comparison is not None:
        yield f"Against run {view.comparison.previous_run_id}: {view.comparison.summary}."
        yield from (f"  {change.change}: {change.name}" for change in view.comparison.changes)
    for file in view.files:
        yield f"File {file.name}: {file.url}"
    yield from (line for line in (view.cut, view.next and f"Next: {view.next}") if line)


def _case(case: CaseView) -> Iterable[str]:
    took = f" {case.seconds:.1f} s" if case.seconds is not None else ""
    results = f", {case.passed} of {case.passed + case.failed} hold" if case.passed + case.failed else ""
    yield f"  {case.status.upper() if case.status in {'failed', 'error'} else case.status} {case.name}{took}{results}"
    yield from (f"    {line}" for problem in case.problems for line in problem_lines(problem))
    wrong = [result for result in case.results if not result.passed]
    if wrong:
        yield f"    {FENCE_BEGIN}"
    for result in wrong:
        said = f"expected {result.expected!r}, found {result.found!r}"
        yield f"    {result.slot}: {one_row(result.description)}: {said}"
    if wrong:
        yield f"    {FENCE_END}"


WRITERS: dict[type[BaseModel], Callable[[Any], Iterable[str]]] = {
    SuitePage: _suites,
    SuiteView: _suite,
    RunPage: _runs,
    RunView: _run,
}
