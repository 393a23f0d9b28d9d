"""Machines, guests and a log for test runs: results as a test wants them, faults on request."""

import asyncio
from collections import defaultdict
from dataclasses import dataclass, field

from temporalio import activity, workflow

from activities.machines.vm_models import Screenshot, TakeScreenshot
from activities.record_models import (
    RECORD_SUITE,
    RECORD_TEST_RUN,
    RecordResult,
    RecordSuiteInput,
    RecordTestRunInput,
)
from activities.verification.report_models import ReportWritten, WriteReport
from activities.verification.vm_models import CheckVm, RunStep, StepDone, VmChecked
from domain.errors import FactoryError, Problem, Verdict
from domain.suite import decide as suite_decide
from domain.suite import state as suite_state
from domain.suite.events import SuiteEvent
from domain.test_run import decide as run_decide
from domain.test_run import state as run_state
from domain.test_run.events import RunEvent
from domain.verification import AssertionResult
from domain.vm.orders import DeleteVm, ExtendVm
from workflows.vm_models import VmBrief, VmInput, VmOutcome

HOST_QUEUE = "host:suites"


class RunRecording:
    """The streams of suites and runs, deciding as the real log does."""

    def __init__(self) -> None:
        self.suites: dict[str, list[SuiteEvent]] = defaultdict(list)
        self.runs: dict[str, list[RunEvent]] = defaultdict(list)
        self._grown = asyncio.Condition()

    @activity.defn(name=RECORD_SUITE)
    async def record_suite(self, request: RecordSuiteInput) -> RecordResult:
        stream = self.suites[request.stream_id]
        new = suite_decide.decide(suite_state.fold(tuple(stream)), request.command, now=request.at)
        stream.extend(new)
        return RecordResult(version=len(stream), appended=len(new))

    @activity.defn(name=RECORD_TEST_RUN)
    async def record_test_run(self, request: RecordTestRunInput) -> RecordResult:
        stream = self.runs[request.stream_id]
        new = run_decide.decide(run_state.fold(tuple(stream)), request.command, now=request.at)
        stream.extend(new)
        async with self._grown:
            self._grown.notify_all()
        return RecordResult(version=len(stream), appended=len(new))

    def run(self, run_id: str) -> run_state.RunState:
        state = run_state.fold(tuple(self.runs[run_id]))
        assert state is not None
        return state

    async def began(self, run_id: str, case: str) -> None:
        """Return once the case runs."""
        async with self._grown:
            await self._grown.wait_for(
                lambda: bool(self.runs[run_id]) and self._status(run_id, case) in {"running", "passed", "failed"}
            )

    def _status(self, run_id: str, case: str) -> str:
        found = self.run(run_id).case(case)
        return found.status if found else ""


@dataclass
class FakeGuests:
    """Answers checks and steps.

    `wrong` holds the descriptions or commands that do not hold; `late` those that do not when first asked;
    `failures[name]` are raised in turn by the activity of that name, if their `label` is its own; `hold` names a case
    whose check never ends, and `let_go` tells which were cancelled. With `together` checks wait for so many of them.
    `dark` machines have no screen.
    """

    wrong: set[str] = field(default_factory=set[str])
    late: set[str] = field(default_factory=set[str])
    failures: dict[str, list[FactoryError]] = field(default_factory=dict[str, list[FactoryError]])
    label: str = ""
    hold: str = ""
    dark: bool = False
    held: asyncio.Event = field(default_factory=asyncio.Event)
    let_go: list[str] = field(default_factory=list[str])
    together: asyncio.Barrier | None = None
    checks: list[CheckVm] = field(default_factory=list[CheckVm])
    steps: list[RunStep] = field(default_factory=list[RunStep])
    pictures: list[str] = field(default_factory=list[str])
    reports: list[WriteReport] = field(default_factory=list[WriteReport])

    @activity.defn
    async def check_vm(self, request: CheckVm) -> VmChecked:
        await self._enter("check_vm", request.label)
        self.checks.append(request)
        if self.together is not None:
            await self.together.wait()
        results = [self._result(suite, suite, suite) for suite in request.defaults if request.recipe or suite == "boot"]
        results += [
            self._result(check.suite, check.assertion.type, str(check.assertion.params)) for check in request.checks
        ]
        return VmChecked(results=tuple(results))

    @activity.defn
    async def run_step(self, request: RunStep) -> StepDone:
        await self._enter("run_step", request.label)
        self.steps.append(request)
        said = getattr(request.step, "command", None) or request.step.action
        keys = (f"artifacts/{request.run_id}/{request.label}/kept",) if request.step.action == "get_file" else ()
        return StepDone(result=self._result(request.suite, request.step.action, said), keys=keys)

    @activity.defn
    async def take_screenshot(self, request: TakeScreenshot) -> Screenshot:
        self.pictures.append(request.vm.vm_id)
        key = f"screens/{request.vm.vm_id}/{len(self.pictures)}"
        if self.dark:
            return Screenshot(key="", bytes=0, width=0, height=0, serial_key=f"{key}.serial.log")
        return Screenshot(key=f"{key}.png", bytes=1, width=1, height=1, serial_key=f"{key}.serial.log")

    @activity.defn
    async def write_report(self, request: WriteReport) -> ReportWritten:
        await self._enter("write_report", "")
        self.reports.append(request)
        at = f"reports/{request.report.run_id}"
        return ReportWritten(junit=f"{at}/junit.xml", html=f"{at}/report.html", json_key=f"{at}/report.json")

    async def _enter(self, name: str, label: str) -> None:
        if self.failures.get(name) and self.label in label:
            raise self.failures[name].pop(0)
        if self.hold and self.hold in label:
            self.held.set()
            try:
                while True:
                    activity.heartbeat()
                    await asyncio.sleep(0.05)
            finally:
                self.let_go.append(label)

    def _result(self, suite: str, kind: str, said: str) -> AssertionResult:
        text = f"{suite} {kind} {said}"
        late = {word for word in self.late if word in text}
        self.late -= late
        wrong = bool(late) or any(word in text for word in self.wrong)
        return AssertionResult(
            suite=suite,
            description=f"{kind} of {suite}",
            type=kind,
            passed=not wrong,
            expected="so",
            found="not so" if wrong else "so",
            command=said[:80],
        )


@workflow.defn(name="VmWorkflow")
class FakeVmWorkflow:
    """A machine whose memory says what becomes of it: see `FATES`."""

    def __init__(self) -> None:
        self._deleted: DeleteVm | None = None
        self._extended = False

    @workflow.run
    async def run(self, start: VmInput) -> VmOutcome:
        vm_id = start.request.vm_id
        fate = FATES.get(start.request.spec.memory, "ready")
        if fate == "refused":
            raise to_refusal()
        await self._tell(start, status="starting", ready=False, version=2)
        if fate == "never":
            await workflow.wait_condition(lambda: self._deleted is not None)
        elif fate == "silent":
            problem = Problem(code="guest.agent_silent", message="the guest agent never answered")
            await self._tell(start, status="running", ready=False, version=3, problems=(problem,))
        elif fate == "off":
            await self._tell(start, status="stopped", ready=False, version=3)
        else:
            await self._tell(start, status="running", ready=True, version=3)
        if fate == "lost":
            await workflow.sleep(1)
            problem = Problem(code="host.lost", message="the host stopped answering", retryable=True)
            await self._tell(start, status="lost", ready=False, version=4, problems=(problem,))
        await workflow.wait_condition(lambda: self._deleted is not None)
        return VmOutcome(vm_id=vm_id, removed=1, note="extended" if self._extended else None)

    @workflow.signal
    def delete_vm(self, order: DeleteVm) -> None:
        self._deleted = order

    @workflow.signal
    def extend_vm(self, order: ExtendVm) -> None:
        self._extended = True

    async def _tell(self, start: VmInput, **facts: object) -> None:
        assert start.notify is not None
        brief = VmBrief.model_validate({"vm_id": start.request.vm_id, "queue": HOST_QUEUE, "token": 7, **facts})
        await workflow.get_external_workflow_handle(start.notify).signal("vm_changed", brief)


FATES = {130: "never", 131: "silent", 132: "lost", 133: "refused", 134: "off"}
"""What becomes of a machine, by its memory in MiB."""


def to_refusal() -> Exception:
    """What a quota says."""
    from activities.failures import to_application_error  # noqa: PLC0415 - inside the workflow's sandbox

    return to_application_error(Verdict.because("vm.quota", "three machines are all that this plan allows"))
