"""A test run in a line."""

from domain.budget import ROW_CHARACTERS
from domain.test_run.state import CaseState, RunState
from domain.test_run.views import RunSummary
from domain.text import clean_untrusted


def summarise(state: RunState) -> RunSummary:
    """Make a list's line; what a guest wrote is cleaned and clipped."""
    return RunSummary(
        run_id=state.run_id,
        kind=state.plan.kind,
        name=state.plan.name,
        target=state.plan.target,
        status=state.status,
        created_at=state.requested_at,
        updated_at=state.updated_at,
        seconds=state.seconds,
        counts=state.counts,
        failure=first_failure(state),
        held_until=state.held_until,
        rerun_of=state.plan.rerun_of,
    )


def first_failure(state: RunState) -> str | None:
    """Say what went wrong first, in one line; nothing if nothing did."""
    wrong = next((case for case in state.cases if case.status in {"error", "failed"}), None)
    if wrong is not None:
        return clean_untrusted(" ".join(f"{wrong.name}: {why(wrong)}".split()), ROW_CHARACTERS)
    if state.problems:
        return clean_untrusted(state.problems[0].message, ROW_CHARACTERS)
    return clean_untrusted(state.reason, ROW_CHARACTERS) if state.status == "cancelled" and state.reason else None


def why(case: CaseState) -> str:
    """Say why a case went wrong."""
    if case.problems:
        return case.problems[0].message
    failed = case.failed_results
    first = next(iter(failed), None)
    if first is None:
        return case.status
    more = f" (and {len(failed) - 1} more)" if len(failed) > 1 else ""
    return f"{first.description}: expected {first.expected}, found {first.found}{more}"
