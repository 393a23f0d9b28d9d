"""Suites and test runs in memory: each command is decided and folded at once."""

from datetime import UTC, datetime
from typing import Any

from domain.errors import Fault
from domain.suite import decide as suite_decide
from domain.suite import state as suite_state
from domain.suite.commands import AnySuiteCommand, CreateSuite
from domain.suite.inputs import SuiteRequest
from domain.suite.parse import parse_suite
from domain.suite.state import SuiteState
from domain.test_run import decide as run_decide
from domain.test_run import state as run_state
from domain.test_run.commands import AnyTestRunCommand, FinishCase, RequestRun, StartCase
from domain.test_run.inputs import RunCase, RunKind, RunMachine, RunPlan, RunRequest, RunTarget
from domain.test_run.results import StepResult
from domain.test_run.state import RunState, RunStatus
from domain.test_run.summary import summarise
from domain.test_run.views import RunPage
from domain.vm.spec import ImageRef
from event_store.models.suites import SuiteStatePage
from tests.fakes.pages import place_of
from workflows.commands import CancelCommand

NOW = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)

SUITE: dict[str, Any] = {
    "name": "smoke",
    "slots": ["primary", {"name": "client", "required": False}],
    "parameters": [{"name": "page", "default": "/"}],
    "predefined": ["boot"],
    "cases": [
        {"name": "web", "tags": ["web"], "steps": [{"type": "port_listening", "params": {"port": 80}}]},
        {
            "name": "client reaches primary",
            "slot": "client",
            "steps": [{"type": "http_responds", "params": {"url": "http://${slot:primary}${param:page}"}}],
        },
    ],
}


class FakeTests:
    """The workflows of suites and runs."""

    def __init__(self, suites: dict[str, SuiteState], runs: dict[str, RunState]) -> None:
        self.suites = suites
        self.runs = runs
        self.started: list[RunRequest] = []
        self.cancels: list[tuple[str, CancelCommand]] = []
        self.lagging = False
        self.away = False

    async def define_suite(self, suite_id: str, command: AnySuiteCommand) -> int:
        self._ping()
        for event in suite_decide.decide(self.suites.get(suite_id), command, now=NOW):
            self.suites[suite_id] = suite_state.evolve(self.suites.get(suite_id), event)
        return self.suites[suite_id].version

    async def start_run(self, request: RunRequest) -> None:
        self._ping()
        if any(known.run_id == request.run_id for known in self.started):
            return
        self.started.append(request)
        if not self.lagging:
            self.tell(request.run_id, RequestRun(request=request))

    async def run_known(self, run_id: str, org_id: str) -> str | None:
        self._ping()
        found = (r.input_digest for r in self.started if r.run_id == run_id and r.org_id == org_id)
        return next(found, None)

    async def cancel_run(self, run_id: str, command: CancelCommand) -> None:
        self._ping()
        self.cancels.append((run_id, command))

    def tell(self, run_id: str, *commands: AnyTestRunCommand) -> None:
        """Have these happen to a run."""
        for command in commands:
            for event in run_decide.decide(self.runs.get(run_id), command, now=NOW):
                self.runs[run_id] = run_state.evolve(self.runs.get(run_id), event)

    def _ping(self) -> None:
        if self.away:
            raise Fault.because("temporal.unavailable", "the workflow engine at 10.9.8.7 does not answer")


def kept_suite(tests: FakeTests, suite_id: str, document: dict[str, Any] = SUITE, org_id: str = "local") -> SuiteState:
    """Have a suite."""
    request = SuiteRequest(
        suite_id=suite_id, org_id=org_id, requested_by="operator", document=parse_suite(document).document
    )
    for event in suite_decide.decide(tests.suites.get(suite_id), CreateSuite(request=request), now=NOW):
        tests.suites[suite_id] = suite_state.evolve(tests.suites.get(suite_id), event)
    return tests.suites[suite_id]


def plan_of_cases(*names: str, target: str = "s1", kind: RunKind = "suite") -> RunPlan:
    """Plan a run of cases on one machine."""
    image = ImageRef(digest="ab" * 32, bytes=1 << 20, format="qcow2", source="build", source_id="b1", name="web")
    return RunPlan(
        kind=kind,
        name="smoke",
        target=RunTarget(kind="suite" if kind == "suite" else "build", id=target),
        machines=(RunMachine(slot="primary", image=image),),
        cases=tuple(RunCase(name=name, slot="primary") for name in names),
    )


def asked_run(tests: FakeTests, run_id: str, plan: RunPlan, org_id: str = "local") -> RunState:
    """Have a run that was asked for."""
    request = RunRequest(run_id=run_id, org_id=org_id, requested_by="operator", input_digest="d", plan=plan)
    tests.started.append(request)
    tests.tell(run_id, RequestRun(request=request))
    return tests.runs[run_id]


def ended_case(name: str, *, passed: bool = True, found: str = "nothing listens") -> tuple[StartCase, FinishCase]:
    """Have a case begin and end with one result."""
    result = StepResult(
        suite=name,
        description="port 80/tcp listens",
        type="port_listening",
        passed=passed,
        expected="listening",
        found="listening" if passed else found,
        command="ss -l",
        slot="primary",
    )
    status = "passed" if passed else "failed"
    return StartCase(case=name), FinishCase(case=name, status=status, seconds=2.0, results=(result,))


class FakeSuiteReads:
    """The suites of one organization."""

    def __init__(self, states: dict[str, SuiteState], org_id: str) -> None:
        self._mine = [state for state in states.values() if state.org_id == org_id]

    async def get(self, suite_id: str) -> SuiteState | None:
        return next((state for state in self._mine if state.suite_id == suite_id), None)

    async def page(self, *, limit: int, cursor: str | None = None, name: str | None = None) -> SuiteStatePage:
        fitting = [state for state in reversed(self._mine) if name in (None, state.name)]
        start = place_of(cursor)
        more = str(start + limit) if len(fitting) > start + limit else None
        return SuiteStatePage(suites=tuple(fitting[start : start + limit]), next_cursor=more)

    async def bound_to(self, source_id: str, *, limit: int) -> tuple[str, ...]:
        return tuple(s.name for s in self._mine if any(b.source_id == source_id for b in s.bindings))[:limit]


class FakeRunReads:
    """The test runs of one organization, in the order in which they were asked for."""

    def __init__(self, states: dict[str, RunState], org_id: str) -> None:
        self._mine = [state for state in states.values() if state.org_id == org_id]

    async def get(self, run_id: str) -> RunState | None:
        return next((state for state in self._mine if state.run_id == run_id), None)

    async def page(
        self,
        *,
        limit: int,
        cursor: str | None = None,
        kind: RunKind | None = None,
        status: RunStatus | None = None,
        target_id: str | None = None,
    ) -> RunPage:
        fitting = [
            summarise(state)
            for state in reversed(self._mine)
            if kind in (None, state.plan.kind)
            and status in (None, state.status)
            and target_id in (None, state.plan.target.id)
        ]
        start = place_of(cursor)
        more = str(start + limit) if len(fitting) > start + limit else None
        return RunPage(runs=tuple(fitting[start : start + limit]), next_cursor=more)

    async def called(self, beginning: str, *, limit: int) -> tuple[str, ...]:
        newest = reversed(self._mine)
        return tuple(s.run_id for s in newest if any(t.startswith(beginning) for t in (s.run_id, s.plan.name)))[:limit]

    async def previous(self, run: RunState) -> RunState | None:
        mine = self._mine
        place = next((i for i, state in enumerate(mine) if state.run_id == run.run_id), 0)
        return self._last(run.plan, mine[:place])

    async def last(self, plan: RunPlan) -> RunState | None:
        return self._last(plan, self._mine)

    @staticmethod
    def _last(plan: RunPlan, states: list[RunState]) -> RunState | None:
        def of(p: RunPlan) -> tuple[str, str]:
            return p.kind, p.target.id if p.target.kind in {"suite", "vm"} else p.name

        same = [s for s in states if of(s.plan) == of(plan) and s.status in {"passed", "failed"}]
        return same[-1] if same else None
