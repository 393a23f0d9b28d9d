"""The cases of a test run, one after the other, each on the hosts of its machines."""

import asyncio
import re
from collections.abc import Iterator, Sequence
from datetime import timedelta
from itertools import count
from typing import Literal, TypeVar

from temporalio import workflow
from temporalio.exceptions import ActivityError, is_cancelled_exception
from temporalio.workflow import ActivityCancellationType

from workflows import policies
from workflows.test_run_fate import whose
from workflows.test_run_machines import RunMachines
from workflows.test_run_parts import Part, rounds

with workflow.unsafe.imports_passed_through():
    from activities.failures import FailureDetail, read_failure
    from activities.verification.vm_models import CheckVm, DefaultSuite, GuestCheck, RunStep, StepDone, VmChecked
    from domain.errors import Problem
    from domain.model import Value
    from domain.recipe.assertions import NoFailedUnitsAssertion
    from domain.suite.schema import AssertStep, CommandStep, PredefinedTest, Step, WaitStep
    from domain.test_run.inputs import RunCase, RunPlan
    from domain.test_run.results import StepResult
    from domain.verification import AssertionResult

Result = TypeVar("Result", bound=Value)
_LABEL = re.compile(r"[^a-z0-9]+")
_LONGEST_LABEL = 40


class CaseEnd(Value):
    """How a case ended. `fault` says that the factory could not do it, so that the run cannot go on."""

    status: Literal["passed", "failed", "error", "skipped"]
    results: tuple[StepResult, ...]
    problems: tuple[Problem, ...] = ()

    @property
    def fault(self) -> bool:
        """Whether the run cannot go on."""
        return self.status == "error"


class CaseRunner:
    """Runs cases, step by step.

    Claims about one machine that follow each other are asked in one activity. Those about other machines that follow
    are asked once meanwhile: a guest takes its time, and has nothing to do with the others. What does not hold then is
    asked in its turn as if it had not been asked before, so that a case ends as it would step by step.
    """

    def __init__(self, run_id: str, plan: RunPlan, machines: RunMachines) -> None:
        self._run_id = run_id
        self._machines = machines
        self._by_slot = {machine.slot: machine for machine in plan.machines}
        self._order = {case.name: index for index, case in enumerate(plan.cases)}
        self._numbers: Iterator[int] = count()

    async def run(self, case: RunCase) -> CaseEnd:
        """Do the case's steps in order until one fails. What the guest does wrong is a result, not an error."""
        results: list[StepResult] = []
        self._numbers = count()
        try:
            if case.predefined is not None:
                results += await self._predefined(case, case.predefined)
            for parts in rounds(case.steps):
                await self._round(case, parts, results)
                if not _hold(results):
                    break
        except ActivityError as error:
            if is_cancelled_exception(error):
                raise asyncio.CancelledError from error
            return _ended_by(read_failure(error), tuple(results))
        if not results:  # a predefined test about a recipe, on an image of which none is known
            return CaseEnd(status="skipped", results=())
        return CaseEnd(status="passed" if _hold(results) else "failed", results=tuple(results))

    async def _predefined(self, case: RunCase, test: PredefinedTest) -> list[StepResult]:
        if test == "no-failed-units":
            claim = NoFailedUnitsAssertion(type="no_failed_units")
            return await self._check(case, case.slot, checks=(GuestCheck(suite=case.name, assertion=claim),))
        return await self._check(case, case.slot, defaults=(test,))

    async def _round(self, case: RunCase, parts: Sequence[Part], results: list[StepResult]) -> None:
        """Do parts in their order until one fails; the later ones are asked ahead while the first is."""
        first, *later = parts
        side_by_side = bool(later) and workflow.patched("claims-asked-ahead")
        ahead = [asyncio.create_task(self._part(case, part, settle=0.0)) for part in later] if side_by_side else []
        try:
            results += await self._part(case, first)
            for index, part in enumerate(later):
                if not _hold(results):
                    break
                found = await _asked(ahead[index]) if ahead else []
                results += found if found and _hold(found) else await self._part(case, part)
        finally:
            for task in ahead:
                task.cancel()
            # No machine is left while it is still asked. What they raise is of no interest any more.
            await asyncio.gather(*ahead, return_exceptions=True)

    async def _part(self, case: RunCase, part: Part, *, settle: float | None = None) -> list[StepResult]:
        """Do the steps of a part. Claims are asked for `settle` seconds until they hold (None: as long as suits)."""
        first = part.steps[0]
        if isinstance(first, AssertStep):
            checks = [step for step in part.steps if isinstance(step, AssertStep)]
            found = await self._check(case, part.slot, checks=_checks(case, checks), settle=settle)
            return [_described(result, step.description) for result, step in zip(found, checks, strict=True)]
        return [_described(await self._step(case, part.slot, first), first.description)]

    async def _check(
        self,
        case: RunCase,
        slot: str,
        *,
        checks: tuple[GuestCheck, ...] = (),
        defaults: tuple[DefaultSuite, ...] = (),
        settle: float | None = None,
    ) -> list[StepResult]:
        queue, vm = self._machines.reach(slot)
        request = CheckVm(
            vm=vm,
            run_id=self._run_id,
            label=self._label(case),
            checks=checks,
            defaults=defaults,
            recipe=self._by_slot[slot].recipe,
            accelerator=self._machines.accelerator(slot),
            settle=settle,
        )
        patience = sum(check.assertion.within or 0 for check in checks)
        checked = await _on_host(queue, "check_vm", request, VmChecked, patience, f"{case.name} on {slot}")
        return [_placed(result, slot) for result in checked.results]

    async def _step(self, case: RunCase, slot: str, step: Step) -> StepResult:
        queue, vm = self._machines.reach(slot)
        request = RunStep(
            vm=vm,
            run_id=self._run_id,
            label=self._label(case),
            suite=case.name,
            step=step,
            accelerator=self._machines.accelerator(slot),
        )
        summary = f"{case.name}: {step.action.replace('_', ' ')} on {slot}"
        done = await _on_host(queue, "run_step", request, StepDone, _patience(step), summary)
        return _placed(done.result, slot, done.keys)

    def _label(self, case: RunCase) -> str:
        """Name the log of a part of a case so that names sort in the order in which things happened."""
        word = _LABEL.sub("-", case.name.lower()).strip("-")[:_LONGEST_LABEL] or "case"
        return f"{self._order[case.name]:03d}-{word}.{next(self._numbers):03d}"


def _checks(case: RunCase, steps: Sequence[AssertStep]) -> tuple[GuestCheck, ...]:
    return tuple(GuestCheck(suite=case.name, assertion=step.assertion) for step in steps)


async def _asked(ahead: asyncio.Task[list[StepResult]]) -> list[StepResult]:
    """Wait for what was asked ahead; nothing if the guest could not be asked, which it may be in its turn."""
    try:
        return await ahead
    except ActivityError as error:
        if is_cancelled_exception(error) or read_failure(error).kind == "fault":
            raise
        return []


def _hold(results: Sequence[StepResult]) -> bool:
    return all(result.passed for result in results)


def _patience(step: Step) -> int:
    match step:
        case CommandStep():
            return step.timeout
        case WaitStep():
            return step.within
        case _:
            return 0


def _placed(result: AssertionResult, slot: str, keys: tuple[str, ...] = ()) -> StepResult:
    facts = {name: getattr(result, name) for name in AssertionResult.model_fields}
    return StepResult(**facts, slot=slot, keys=keys)


def _described(result: StepResult, description: str) -> StepResult:
    """Use the author's own words for a step, if there are any."""
    return result.model_copy(update={"description": description}) if description else result


def _ended_by(detail: FailureDetail, results: tuple[StepResult, ...]) -> CaseEnd:
    """Tell a guest that is wrong from a machine that was stopped, leased anew or deleted under the run."""
    if detail.kind == "verdict" and workflow.patched("machines-taken-away"):
        detail = whose(detail.problems)
    status = "error" if detail.kind == "fault" else "failed"
    return CaseEnd.model_validate({"status": status, "results": results, "problems": detail.problems})


async def _on_host(
    queue: str, activity: str, request: Value, result: type[Result], patience: int, summary: str
) -> Result:
    """Run an activity where the machine is. `patience` is how many seconds the request itself may ask for."""
    return await workflow.execute_activity(
        activity,
        request,
        result_type=result,
        task_queue=queue,
        start_to_close_timeout=policies.CHECK_LIMIT + timedelta(seconds=patience),
        schedule_to_start_timeout=policies.CHECK_PICKUP,
        heartbeat_timeout=policies.HEARTBEAT,
        retry_policy=policies.FAULTS,
        cancellation_type=ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
        summary=summary,
    )
