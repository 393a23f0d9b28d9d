"""From a suite's state to what the tools answer, small enough to be read."""

from collections.abc import Mapping

from domain.budget import ROW_CHARACTERS, VIEW_BYTES, size_of, that_fit
from domain.errors import Problem
from domain.suite.parse import ParsedSuite, parse_suite
from domain.suite.readiness import Readiness, Target, judge
from domain.suite.schema import Slot
from domain.suite.state import SuiteState
from domain.suite.views import LatestRun, ReadinessView, SlotView, SuiteSummary, SuiteView
from domain.test_run.views import RunSummary
from domain.text import clean_untrusted
from service.build_view import Detail, clipped

_MOST_PROBLEMS = 12
_MOST_CASES = 100
_CUT = "The document is long and not shown: call get_test_suite with detail=full for all of it."


def summary(state: SuiteState) -> SuiteSummary:
    """Make a list's line."""
    document = state.document
    return SuiteSummary(
        suite_id=state.suite_id,
        name=state.name,
        description=clean_untrusted(str(document.get("description", "")), ROW_CHARACTERS),
        slots=state.slots,
        bound=tuple(binding.slot for binding in state.bindings),
        cases=len(document.get("cases", ())),
        version=state.version,
        created_at=state.created_at,
        updated_at=state.updated_at,
    )


def suite_view(
    state: SuiteState,
    targets: Mapping[str, Target],
    *,
    latest: RunSummary | None = None,
    document: Detail | None = None,
    replayed: bool = False,
) -> SuiteView:
    """Describe a suite and whether it can be run as it is; with its document if that fits, or in any case (full)."""
    parsed = parse_suite(state.document)
    readiness = judge(parsed, targets)
    view = SuiteView(
        suite_id=state.suite_id,
        name=state.name,
        version=state.version,
        replayed=replayed,
        created_at=state.created_at,
        updated_at=state.updated_at,
        slots=tuple(_slot(slot, state, targets.get(slot.name)) for slot in parsed.suite.slots),
        cases=_cases(parsed),
        readiness=_readiness(readiness),
        latest_run=None if latest is None else _latest(latest),
        document=None if document is None else state.document,
        next=_next(readiness, latest),
    )
    if document != "concise" or size_of(view) <= VIEW_BYTES:
        return view
    return view.model_copy(update={"document": None, "cut": _CUT})


def _slot(slot: Slot, state: SuiteState, target: Target | None) -> SlotView:
    return SlotView(
        name=slot.name,
        description=slot.description,
        required=slot.required,
        memory=slot.memory,
        cpus=slot.cpus,
        target=state.binding(slot.name),
        image=None if target is None or target.image is None else target.image.name,
        status=None if target is None else target.status,
        verified=None if target is None else target.verified,
    )


def _cases(parsed: ParsedSuite) -> tuple[str, ...]:
    suite = parsed.suite
    return (*suite.predefined, *(case.name for case in suite.cases))[:_MOST_CASES]


def _readiness(readiness: Readiness) -> ReadinessView:
    return ReadinessView(
        ready=readiness.ready,
        unbound=readiness.unbound,
        problems=_shown(readiness.problems),
        warnings=_shown(readiness.warnings),
    )


def _shown(problems: tuple[Problem, ...]) -> tuple[Problem, ...]:
    kept = that_fit([clipped(problem) for problem in problems[:_MOST_PROBLEMS]], VIEW_BYTES // 4)
    rest = len(problems) - len(kept)
    if not rest:
        return kept
    return (*kept, Problem(code="suite.more_problems", message=f"and {rest} more of this kind"))


def _latest(run: RunSummary) -> LatestRun:
    return LatestRun(
        run_id=run.run_id,
        status=run.status,
        created_at=run.created_at,
        seconds=run.seconds,
        passed=run.counts.passed,
        total=run.counts.total,
        failure=run.failure,
    )


def _next(readiness: Readiness, latest: RunSummary | None) -> str:
    if not readiness.ready:
        return readiness.problems[0].next or "Mend what problems name."
    if latest is not None and latest.status in {"pending", "booting", "running"}:
        return f"A run is under way: call get_test_run with run_id={latest.run_id} and wait_s=25."
    return "Call run_test_suite."
