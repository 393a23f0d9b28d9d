"""From a build's state to what the tools answer, small enough to be read."""

from collections.abc import Sequence
from typing import Literal

from domain import jobs
from domain.budget import LONG_VIEW_BYTES, VIEW_BYTES, size_of
from domain.build.state import BuildState, Failure
from domain.build_summary import name_of
from domain.errors import Problem
from domain.text import clean_untrusted
from domain.verification import AssertionResult, VerificationReport
from domain.views import BuildView, Progress, QueueView, ReportView

Detail = Literal["concise", "full"]

_TEXT = 300
_SUMMARY = 160
_MESSAGE = 500
_MOST_PROBLEMS = 12
_MOST_FAILED_RESULTS = 12
_MOST_RESULTS = 100  # more would not fit, however short they are
# How much is shown, from all down to what always fits: results of each report, and problems.
_LEVELS = ((100, 12), (48, 12), (24, 12), (12, 12), (6, 8), (3, 4), (1, 2), (0, 1))

FOLLOW = "Call get_build_status with this build_id and wait_s=25 to follow it."
_PARKED = (
    "Read failure and get_build_log (tail=100) first. retry_build goes on from the failed step; "
    "for a changed recipe call create_build with retry_of set to this build_id."
)
_FAILED = "It can no longer be retried. Call create_build with retry_of set to this build_id."
_ANOTHER = "To build its recipe again, call create_build with another request_key."


def workflow_id(build_id: str) -> str:
    """Name the build's workflow, as the workflow engine's own pages show it."""
    return jobs.workflow_id("build", build_id)


def accepted(build_id: str, *, name: str = "", replayed: bool = False) -> BuildView:
    """Describe a build that was accepted but that the read model does not show yet."""
    return BuildView(
        build_id=build_id,
        workflow_id=workflow_id(build_id),
        name=name,
        status="pending",
        version=0,
        visible=False,
        replayed=replayed,
        next=FOLLOW,
    )


def build_view(
    state: BuildState,
    *,
    progress: Progress | None = None,
    detail: Detail = "concise",
    replayed: bool = False,
    place: QueueView | None = None,
) -> BuildView:
    """Describe a build; texts that a guest or a program wrote are cleaned and clipped."""
    view = BuildView(
        build_id=state.build_id,
        workflow_id=workflow_id(state.build_id),
        name=name_of(state),
        status=state.status,
        version=state.version,
        replayed=replayed,
        created_at=state.requested_at,
        updated_at=state.updated_at,
        recipe_digest=state.recipe_digest,
        base_image=str(state.recipe.get("baseImage", "")),
        retry_of=state.retry_of,
        retries=state.generation,
        rerun_of=state.rerun_of,
        concurrency_key=state.concurrency_key,
        why=clean_untrusted(state.why, _MESSAGE) if state.why else None,
        queue=place,
        cancelled_because=clean_untrusted(state.cancel_reason, _TEXT) if state.cancel_reason else None,
        progress=progress,
        steps=tuple(
            step.model_copy(update={"summary": clean_untrusted(step.summary, _SUMMARY) if step.summary else None})
            for step in state.steps
        ),
        failure=_failure(state.failure),
        reports=tuple(_report(report, detail) for report in state.reports),
        artifacts=state.artifacts,
        next=_next(state),
    )
    return _fitted(view, LONG_VIEW_BYTES if detail == "full" else VIEW_BYTES, state)


def _failure(failure: Failure | None) -> Failure | None:
    if failure is None:
        return None
    problems = tuple(clipped(problem) for problem in failure.problems[:_MOST_PROBLEMS])
    return failure.model_copy(update={"problems": problems})


def clipped(problem: Problem) -> Problem:
    """Clean and clip what a problem quotes."""
    quoted = {"path": problem.path, "value": problem.value}
    shown = {name: clean_untrusted(text, _TEXT) for name, text in quoted.items() if text}
    return problem.model_copy(update={"message": clean_untrusted(problem.message, _MESSAGE), **shown})


def _report(report: VerificationReport, detail: Detail) -> ReportView:
    failed = [result for result in report.results if not result.passed]
    chosen = failed[:_MOST_FAILED_RESULTS]
    if detail == "full":
        chosen = _best(report.results, _MOST_RESULTS)
    return ReportView(
        artifact=report.artifact,
        firmware=report.firmware,
        accelerator=report.accelerator,
        boot_seconds=report.boot_seconds,
        passed=report.passed,
        failed=report.failed,
        reused=report.reused,
        results=tuple(_result(result) for result in chosen),
    )


def _result(result: AssertionResult) -> AssertionResult:
    return result.model_copy(
        update={name: clean_untrusted(getattr(result, name), _TEXT) for name in ("expected", "found", "command")}
    )


def _fitted(view: BuildView, most_bytes: int, state: BuildState) -> BuildView:
    """Leave out results, passed ones first, then problems, until the view fits; say what is not there."""
    fitted = view
    for results, problems in _LEVELS:
        fitted = _cut(view, results, problems)
        if size_of(fitted) <= most_bytes:
            break
    words = _missing(fitted, state)
    return fitted.model_copy(update={"cut": " ".join(words)}) if words else fitted


def _cut(view: BuildView, results: int, problems: int) -> BuildView:
    reports = tuple(r.model_copy(update={"results": _best(r.results, results)}) for r in view.reports)
    failure = view.failure
    if failure is not None:
        failure = failure.model_copy(update={"problems": failure.problems[:problems]})
    return view.model_copy(update={"reports": reports, "failure": failure})


def _missing(view: BuildView, state: BuildState) -> list[str]:
    words: list[str] = []
    problems = len(state.failure.problems) - len(view.failure.problems) if state.failure and view.failure else 0
    if problems:
        words.append(f"{problems} more problems are not shown.")
    missing = sum(report.passed + report.failed - len(report.results) for report in view.reports)
    hidden = sum(report.failed - sum(not result.passed for result in report.results) for report in view.reports)
    if missing:
        failed = f", {hidden} of them failed" if hidden else ", all passed"
        words.append(f"{missing} assertion results are counted but not shown{failed}.")
    advice = "Call get_build_status with detail=full for more, or get_download_links for the whole report."
    return [*words, advice] if words else []


def _best(results: Sequence[AssertionResult], count: int) -> tuple[AssertionResult, ...]:
    """Keep so many results, failed ones before passed ones, in their order."""
    ranked = sorted(range(len(results)), key=lambda i: (results[i].passed, i))
    return tuple(results[i] for i in sorted(ranked[:count]))


def _next(state: BuildState) -> str:
    if state.status == "deleted":
        return f"It was deleted, and its files are gone. {_ANOTHER}"
    if state.expired is not None:
        return f"Its files are no longer kept: {state.expired.reason} {_ANOTHER}"
    if state.status == "completed":
        return "Call get_download_links for the images and their evidence."
    if state.status == "cancelled":
        return "Nothing more happens to this build. Call create_build for a new one."
    if state.status == "failed":
        return _PARKED if state.failure is not None and state.failure.retryable else _FAILED
    return FOLLOW
