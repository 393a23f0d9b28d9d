"""What the Temporal UI shows of a test run: search attributes, and a page of details in markdown."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from temporalio import workflow

from workflows import policies

with workflow.unsafe.imports_passed_through():
    from domain.job import JobView
    from domain.jobs import workflow_id
    from domain.test_run.progress import measure
    from domain.test_run.state import CaseState, RunState
    from domain.test_run.summary import why
    from domain.text import in_markdown

_MARKS: Final[Mapping[str, str]] = {
    "passed": "✔",
    "failed": "✘",
    "error": "⚠",
    "running": "▶",
    "pending": "·",
    "skipped": "○",
    "cancelled": "○",
}
_MOST_WRONG = 10
_LONGEST = 300
_WORDS: Final[Mapping[str, str]] = {
    "passed": "Passed",
    "failed": "Failed: what was tested is wrong",
    "error": "Error: the factory could not test it; this says nothing about the images",
    "cancelled": "Cancelled",
}


def show(state: RunState, usual: float | None) -> None:
    """Bring page and search attribute up to date. `usual` is how many seconds the run before took."""
    update = policies.JOB_STATE.value_set(state.status)
    workflow.upsert_search_attributes([update])  # pyright: ignore[reportUnknownMemberType] - generic in the SDK
    workflow.set_current_details(page(state, usual, workflow.now()))


def page(state: RunState, usual: float | None, now: datetime) -> str:
    """Write the page as of `now`. What went wrong comes first: that is what an engineer opens it for."""
    counts = state.counts
    lines = [f"## {state.plan.kind.capitalize()} {_cell(state.plan.name)}", ""]
    if state.terminal:
        lines += [f"**{_WORDS[state.status]}.** {counts.passed} of {counts.total} cases passed.", ""]
    else:
        lines += [f"**{_job(state, usual, now).words}** — as of {now:%H:%M:%S} UTC", ""]
    lines += _wrong(state)
    if state.held_until is not None:
        lines += [f"The machines are held until {state.held_until:%Y-%m-%d %H:%M} UTC.", ""]
    lines += ["| slot | machine | ready |", "|---|---|---|"]
    for machine in state.machines:
        ready = "" if machine.ready is None else f"{machine.ready:.0f} s"
        lines.append(f"| {machine.slot} | {'vm-' + machine.vm_id if machine.vm_id else ''} | {ready} |")
    lines += ["", "| | case | on | seconds | |", "|---|---|---|---|---|"]
    lines += [_row(case) for case in state.cases]
    return "\n".join(lines)


def _job(state: RunState, usual: float | None, now: datetime) -> JobView:
    """Say it as every other view does, as of what happened last: a workflow sees nothing between."""
    progress = measure(state, now, usual)
    return JobView(
        job_id=workflow_id("test-run", state.run_id),
        kind="test_run",
        name=state.plan.name,
        state=state.status,
        step=None if progress is None or progress.doing is None else _cell(progress.doing),
        percent=None if progress is None else progress.percent,
        expected_end=None if progress is None else progress.expected_end,
    )


def _wrong(state: RunState) -> list[str]:
    lines = [f"- **{problem.code}**: {_cell(problem.message)}" for problem in state.problems]
    wrong = [case for case in state.cases if case.status in {"failed", "error"}]
    for case in wrong[:_MOST_WRONG]:
        lines += [f"### {_MARKS[case.status]} {_cell(case.name)}", ""]
        lines += [f"- **{problem.code}**: {_cell(problem.message)}" for problem in case.problems[:_MOST_WRONG]]
        for result in case.failed_results[:_MOST_WRONG]:
            said = f"expected {_cell(result.expected)}, found {_cell(result.found)}"
            lines.append(f"- {result.slot}: {_cell(result.description)}: {said}")
        lines.append("")
    if len(wrong) > _MOST_WRONG:
        lines.append(f"- and {len(wrong) - _MOST_WRONG} more")
    return [*lines, ""] if lines else []


def _row(case: CaseState) -> str:
    seconds = "" if case.seconds is None else f"{case.seconds:.1f}"
    said = _cell(why(case)) if case.status in {"failed", "error"} else ""
    return f"| {_MARKS[case.status]} | {_cell(case.name)} | {case.slot} | {seconds} | {said} |"


def _cell(text: str) -> str:
    return in_markdown(text, _LONGEST)
