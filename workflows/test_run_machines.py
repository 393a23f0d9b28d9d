"""The machines of a test run: booted side by side, watched while they are needed, and always given back."""

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from typing import Literal

from temporalio import workflow
from temporalio.common import SearchAttributePair, TypedSearchAttributes, WorkflowIDReusePolicy
from temporalio.exceptions import (
    ActivityError,
    ApplicationError,
    CancelledError,
    ChildWorkflowError,
    FailureError,
    WorkflowAlreadyStartedError,
    is_cancelled_exception,
)
from temporalio.workflow import ChildWorkflowCancellationType, ChildWorkflowHandle, ParentClosePolicy

from workflows import policies
from workflows.test_run_fate import at, gone, what_it_says, whose
from workflows.vm_models import VmBrief, VmInput, VmOutcome

with workflow.unsafe.imports_passed_through():
    from activities.failures import FailureDetail, read_failure
    from activities.verification.vm_models import CheckVm, VmChecked
    from activities.vm_ref import VmRef
    from domain.errors import Problem
    from domain.plan import plan_of
    from domain.test_run.inputs import RunMachine, RunRequest
    from domain.vm.inputs import VmRequest, workflow_id
    from domain.vm.orders import DeleteVm, ExtendVm
    from domain.vm.spec import Network, VmSpec

NETWORK = "suite"
_GONE = frozenset({"failed", "lost", "deleting", "deleted"})
_UP = frozenset({"running", "stopping", "stopped"})
OnReady = Callable[[RunMachine, float], Awaitable[None]]


class MachineFailed(Exception):
    """A machine did not come up, or is no more; `detail` says whose fault it is."""

    def __init__(self, detail: FailureDetail) -> None:
        self.detail = detail
        super().__init__(detail.problems[0].message)


class RunMachines:
    """All machines of one run, by their slots."""

    def __init__(self, request: RunRequest) -> None:
        self._request = request
        self._machines = {machine.slot: machine for machine in request.plan.machines}
        self._briefs: dict[str, VmBrief] = {}
        self._asked: list[str] = []
        self._children: dict[str, ChildWorkflowHandle[object, VmOutcome]] = {}
        self._heeds_stops = False

    def heard(self, brief: VmBrief) -> None:
        """Take what a machine's workflow tells; older news than is known changes nothing."""
        known = self._briefs.get(brief.vm_id)
        if known is None or brief.version >= known.version:
            self._briefs[brief.vm_id] = brief

    def vm_id(self, slot: str) -> str:
        """Name the VM of a slot. An owned one is named by its run, so that a repeat finds it again."""
        given = self._machines[slot].vm_id
        return given or str(uuid.uuid5(uuid.UUID(self._request.run_id), slot))

    def reach(self, slot: str) -> tuple[str, VmRef]:
        """Tell on which queue the machine's host listens, and as what it knows the machine."""
        machine, vm_id = self._machines[slot], self.vm_id(slot)
        brief = self._briefs.get(vm_id)
        queue = brief.queue if brief is not None and brief.queue else machine.queue
        token = brief.token if brief is not None else machine.token
        return queue, VmRef(vm_id=vm_id, org_id=self._request.org_id, token=token)

    def accelerator(self, slot: str) -> Literal["kvm", "tcg"]:
        """Tell what runs a machine, for how long things take on it."""
        brief = self._briefs.get(self.vm_id(slot))
        known = brief.accelerator if brief is not None else None
        return known or self._machines[slot].accelerator

    async def start(self) -> None:
        """Ask for all machines that the run has to make; one that is there already is adopted."""
        if workflow.patched("machines-side-by-side"):
            await asyncio.gather(*map(self._start, self._owned))
            return
        for machine in self._owned:
            await self._start(machine)

    async def ready(self, tell: OnReady) -> None:
        """Wait until every guest answers, and tell of each as it does.

        Raises:
            MachineFailed: one does not come up, by its own fault or the factory's.

        """
        began = workflow.now()
        self._heeds_stops = workflow.patched("stopped-in-its-boot")
        waiting = {machine.slot: machine for machine in self._owned}
        while waiting:
            await self._news(waiting, began.timestamp())
            for machine in [m for m in waiting.values() if self._answers(m)]:
                del waiting[machine.slot]
                await tell(machine, (workflow.now() - began).total_seconds())
            if broken := self.broken():
                raise MachineFailed(broken)
            for machine in self._stopped(waiting):
                if detail := await self._why_off(machine):
                    raise MachineFailed(detail)

    def broken(self) -> FailureDetail | None:
        """Say which machines are no more, or will not come up; nothing while all are well."""
        found = [detail for machine in self._owned if (detail := self._broken(machine))]
        if not found:
            return None
        kind = "fault" if any(detail.kind == "fault" for detail in found) else "verdict"
        return FailureDetail.model_validate(
            {"kind": kind, "problems": [p for detail in found for p in detail.problems]}
        )

    def too_late(self, waiting: list[RunMachine]) -> FailureDetail:
        """Say of machines that took too long whether the factory had no room or the guest did not come up."""
        statuses = {machine.slot: self._status(machine) for machine in waiting}
        unplaced = [slot for slot, status in statuses.items() if status not in _UP]
        minutes = policies.MACHINES_LIMIT.total_seconds() / 60
        if unplaced:
            message = f"no host had room for {', '.join(unplaced)} within {minutes:.0f} minutes"
            problem = Problem(code="host.no_room", message=message, retryable=True, next="Run it again later.")
            return FailureDetail(kind="fault", problems=(problem,))
        message = f"the guest of {', '.join(statuses)} did not answer within {minutes:.0f} minutes"
        advice = "Look at the machine's console and serial log; run it again with a hold to keep the machine."
        return FailureDetail(kind="verdict", problems=(Problem(code="boot.timeout", message=message, next=advice),))

    async def give_back(self, reason: str) -> None:
        """Have every machine that the run made removed; harmless to repeat, and for those that are gone."""
        order = DeleteVm(command_id=f"run-{self._request.run_id}", requested_by="test run", reason=reason)
        if workflow.patched("machines-side-by-side"):
            await asyncio.gather(*(self._signal(slot, "delete_vm", order) for slot in self._asked))
            return
        for slot in self._asked:
            await self._signal(slot, "delete_vm", order)

    async def hold(self, seconds: int) -> None:
        """Let the machines live so long from now."""
        for slot in self._asked:
            order = ExtendVm(command_id=f"hold-{self._request.run_id}", requested_by="test run", seconds=seconds)
            await self._signal(slot, "extend_vm", order)

    @property
    def _owned(self) -> list[RunMachine]:
        return [machine for machine in self._machines.values() if machine.vm_id is None]

    async def _start(self, machine: RunMachine) -> None:
        request = self._vm_request(machine)
        self._asked.append(machine.slot)  # before it is asked for: it may be there even if this is cut off
        try:
            child: ChildWorkflowHandle[object, VmOutcome] = await workflow.start_child_workflow(
                "VmWorkflow",
                VmInput(request=request, notify=workflow.info().workflow_id),
                result_type=VmOutcome,
                id=workflow_id(request.vm_id),
                parent_close_policy=ParentClosePolicy.ABANDON,
                cancellation_type=ChildWorkflowCancellationType.ABANDON,
                id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
                memo={"input_digest": request.input_digest, "org_id": request.org_id},
                search_attributes=_attributes(request),
                static_summary=f"Machine {machine.slot} of {self._request.plan.name}",
            )
        except WorkflowAlreadyStartedError:
            return  # this workflow was reset: the machine is watched by its briefs alone
        except ChildWorkflowError as error:
            if isinstance(error.cause, CancelledError):  # the run was cancelled before its machine had begun
                raise asyncio.CancelledError from error
            raise
        self._children[machine.slot] = child

    def _vm_request(self, machine: RunMachine) -> VmRequest:
        request, plan = self._request, plan_of(self._request.account)
        if machine.image is None:
            raise AssertionError("a machine of the run's own has an image")
        return VmRequest(
            vm_id=self.vm_id(machine.slot),
            org_id=request.org_id,
            requested_by=request.requested_by,
            plan=request.account,
            spec=VmSpec(
                name=f"{request.plan.name[:24].strip('-')}-{machine.slot}-{request.run_id[:6]}",
                image=machine.image,
                memory=machine.memory,
                cpus=machine.cpus,
                disk=machine.disk,
                firmware=machine.firmware,
                ttl=min(plan.longest_ttl, int(policies.RUN_LIMIT.total_seconds()) + request.plan.hold_seconds),
                egress=plan.egress,
                networks=(Network(name=NETWORK, scope=request.run_id, hostname=machine.slot),),
            ),
            verification=machine.verification,
            owner=request.run_id,
        )

    async def _news(self, waiting: dict[str, RunMachine], began: float) -> None:
        left = policies.MACHINES_LIMIT.total_seconds() - (workflow.now().timestamp() - began)
        try:
            await workflow.wait_condition(
                lambda: (
                    self.broken() is not None
                    or any(self._answers(machine) for machine in waiting.values())
                    or bool(self._stopped(waiting))
                ),
                timeout=max(left, 0.0),
                timeout_summary=f"Waiting for {', '.join(waiting)}",
            )
        except TimeoutError:
            raise MachineFailed(self.too_late(list(waiting.values()))) from None

    def _answers(self, machine: RunMachine) -> bool:
        brief = self._briefs.get(self.vm_id(machine.slot))
        return brief is not None and brief.ready

    def _stopped(self, waiting: dict[str, RunMachine]) -> list[RunMachine]:
        """List those that went off before their guests answered."""
        if not self._heeds_stops:
            return []
        return [machine for machine in waiting.values() if self._status(machine) == "stopped"]

    async def _why_off(self, machine: RunMachine) -> FailureDetail | None:
        """Ask the host whether the guest or somebody else ended it; nothing if it has been started again."""
        queue, vm = self.reach(machine.slot)
        request = CheckVm(vm=vm, run_id=self._request.run_id, label=f"boot-{machine.slot}")
        found: FailureDetail | None = None
        try:
            await workflow.execute_activity(
                "check_vm",
                request,
                result_type=VmChecked,
                task_queue=queue,
                schedule_to_close_timeout=policies.CHECK_PICKUP,
                heartbeat_timeout=policies.HEARTBEAT,
                retry_policy=policies.ONCE,
                summary=f"Why {machine.slot} is off",
            )
        except ActivityError as error:
            if is_cancelled_exception(error):
                raise asyncio.CancelledError from error
            detail = read_failure(error)
            problems = tuple(at(machine.slot, problem) for problem in detail.problems)
            found = whose(problems) if detail.kind == "verdict" else FailureDetail(kind="fault", problems=problems)
        return found if self._status(machine) == "stopped" else None

    def _status(self, machine: RunMachine) -> str:
        brief = self._briefs.get(self.vm_id(machine.slot))
        return "pending" if brief is None else brief.status

    def _broken(self, machine: RunMachine) -> FailureDetail | None:
        brief = self._briefs.get(self.vm_id(machine.slot))
        ended = self._ended(machine)
        if ended is not None:
            return ended
        if brief is None:
            return None
        silent = brief.status == "running" and not brief.ready and bool(brief.problems)
        if brief.status not in _GONE and not silent:
            return None
        return what_it_says(machine.slot, brief)

    def _ended(self, machine: RunMachine) -> FailureDetail | None:
        """Say why a machine's workflow is over, which it never is while the run needs it."""
        child = self._children.get(machine.slot)
        if child is None or not child.done() or child.cancelled():
            return None
        error = child.exception()
        if isinstance(error, ChildWorkflowError) and isinstance(error.cause, FailureError):
            return whose(tuple(at(machine.slot, problem) for problem in read_failure(error.cause).problems))
        message = f"the machine `{machine.slot}` was removed while the run needed it"
        return FailureDetail(kind="fault", problems=(gone("vm.gone", message),))

    async def _signal(self, slot: str, name: str, order: DeleteVm | ExtendVm) -> None:
        """Tell a machine's workflow something; one that has ended needs to be told nothing."""
        handle = workflow.get_external_workflow_handle(workflow_id(self.vm_id(slot)))
        try:
            await handle.signal(name, order)
        except ApplicationError as error:
            workflow.logger.info("the machine %s has ended already: %s", slot, error)
        except CancelledError as error:
            raise asyncio.CancelledError from error


def _attributes(request: VmRequest) -> TypedSearchAttributes:
    return TypedSearchAttributes(
        [
            SearchAttributePair(policies.JOB_KIND, "vm"),
            SearchAttributePair(policies.JOB_STATE, "pending"),
            SearchAttributePair(policies.ORG_ID, request.org_id),
            SearchAttributePair(policies.RECIPE, request.spec.name),
        ]
    )
