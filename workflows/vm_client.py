"""The typed client of machines and the fleet."""

from datetime import timedelta
from typing import Any, NoReturn, TypeVar

from temporalio.client import (
    WithStartWorkflowOperation,
    WorkflowUpdateFailedError,
    WorkflowUpdateRPCTimeoutOrCancelledError,
)
from temporalio.common import (
    SearchAttributePair,
    TypedSearchAttributes,
    WorkflowIDConflictPolicy,
    WorkflowIDReusePolicy,
)
from temporalio.exceptions import FailureError, WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from activities.failures import read_failure
from activities.machines.vm_models import CommandDone, HostCapacity, Screenshot, VmObserved
from activities.vm_ref import VmRef
from domain.errors import Fault, Verdict
from domain.model import Value
from domain.vm import orders as o
from domain.vm.inputs import VmRequest, workflow_id
from workflows import policies
from workflows.connect import Connected
from workflows.fleet import FleetWorkflow
from workflows.fleet_models import FLEET_ID, FleetInput, FleetView
from workflows.fleet_reading import read_fleet
from workflows.jobs import turn_of
from workflows.vm import VmWorkflow
from workflows.vm_models import Accepted, ForwardDone, VmInput

Answer = TypeVar("Answer", bound=Value)
_RPC_LIMIT = timedelta(seconds=10)
_ANSWER_LIMIT = timedelta(seconds=24)
"""Nobody waits inside a request for longer than 25 seconds."""


class VmClient:
    """Starts machines and commands them.

    Every method raises `Fault` (`temporal.unavailable`) when nothing answers, and what the machine's workflow
    refuses as the `Verdict` or `Fault` that it is.
    """

    def __init__(self, connected: Connected) -> None:
        self._connected = connected

    async def create(self, start: VmInput) -> int:
        """Start a machine's workflow and wait until the log has its request; answers the log's version.

        Starting the same id again changes nothing. One that was refused may be asked for again under its id.

        Raises:
            Verdict: `vm.quota`, `request_key.reused`, or `vm.deleted` for an id whose machine is gone.

        """
        request = start.request
        operation = WithStartWorkflowOperation(
            VmWorkflow.run,
            start,
            id=workflow_id(request.vm_id),
            task_queue=policies.CORE_QUEUE,
            id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE_FAILED_ONLY,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            memo=memo_of(request),
            search_attributes=attributes_of(request),
            static_summary=f"VM {request.spec.name}",
            priority=turn_of(request.org_id),
        )
        try:
            client = await self._connected()
            return await client.execute_update_with_start_workflow(  # pyright: ignore[reportUnknownMemberType] - generic in the SDK
                VmWorkflow.accepted,
                start_workflow_operation=operation,
                rpc_timeout=_ANSWER_LIMIT,
            )
        except WorkflowAlreadyStartedError as error:
            raise _deleted() from error
        except (WorkflowUpdateFailedError, WorkflowUpdateRPCTimeoutOrCancelledError, RPCError) as error:
            _raise(error)

    async def vm_known(self, vm_id: str, org_id: str) -> str | None:
        """Answer the input digest of the machine's request, or nothing if this organization has none of that id."""
        try:
            description = (
                await (await self._connected()).get_workflow_handle(workflow_id(vm_id)).describe(rpc_timeout=_RPC_LIMIT)
            )
            memo = await description.memo()
        except RPCError as error:
            if error.status in (RPCStatusCode.NOT_FOUND, RPCStatusCode.INVALID_ARGUMENT):
                return None
            _raise(error)
        return str(memo.get("input_digest")) if memo.get("org_id") == org_id else None

    async def command(self, vm_id: str, order: o.QueuedOrder | o.ExtendVm | o.DeleteVm) -> int:
        """Have a command taken; answers the log's version that says so. A repeated `command_id` changes nothing.

        Raises:
            Verdict: `vm.deleted`, `vm.wrong_state`, `snapshot.not_found`.

        """
        return (await self._update(vm_id, order.kind, order, Accepted)).version

    async def run_command(self, vm_id: str, order: o.RunCommand) -> CommandDone:
        """Run a program in the guest and wait for it.

        Raises:
            Verdict: `vm.deleted`, `vm.wrong_state`, `vm.command_repeated`, or what the guest does wrong.
            Fault: `vm.answer_late` if it takes longer than a request may.

        """
        return await self._update(vm_id, "run_command", order, CommandDone)

    async def screenshot(self, vm_id: str, order: o.TakeScreenshot) -> Screenshot:
        """Photograph the machine's screen."""
        return await self._update(vm_id, "screenshot", order, Screenshot)

    async def open_forward(self, vm_id: str, order: o.OpenForward) -> ForwardDone:
        """Make a port of the guest reachable on its host's loopback."""
        return await self._update(vm_id, "open_forward", order, ForwardDone)

    async def touch(self, vm_id: str) -> None:
        """Tell that somebody uses the machine, so that it is not idle; harmless when it is gone."""
        try:
            handle = (await self._connected()).get_workflow_handle_for(VmWorkflow.run, workflow_id(vm_id))
            await handle.signal(VmWorkflow.touched, rpc_timeout=_RPC_LIMIT)
        except RPCError as error:
            if error.status != RPCStatusCode.NOT_FOUND:
                _raise(error)

    async def fleet(self) -> FleetView:
        """Tell hosts, room and queue; `fleet.unavailable` when nobody knows."""
        return await read_fleet(await self._connected(), _RPC_LIMIT)

    async def ensure_fleet(self) -> None:
        """Start the fleet if it does not run."""
        try:
            await (await self._connected()).start_workflow(
                FleetWorkflow.run,
                FleetInput(),
                id=FLEET_ID,
                task_queue=policies.CORE_QUEUE,
                id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
                static_summary="Hosts and leases",
                rpc_timeout=_RPC_LIMIT,
            )
        except RPCError as error:
            _raise(error)

    async def host_up(self, capacity: HostCapacity) -> None:
        """Tell the fleet of a host, which it asks to hold its lease then; starts the fleet if need be."""
        try:
            await (await self._connected()).start_workflow(
                FleetWorkflow.run,
                FleetInput(),
                id=FLEET_ID,
                task_queue=policies.CORE_QUEUE,
                id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
                start_signal="host_up",
                start_signal_args=[capacity],
                static_summary="Hosts and leases",
                rpc_timeout=_RPC_LIMIT,
            )
        except RPCError as error:
            _raise(error)

    async def observed(self, vm: VmRef, seen: VmObserved) -> None:
        """Tell a machine's workflow what its host saw; one whose workflow is over needs not be told."""
        try:
            handle = (await self._connected()).get_workflow_handle(workflow_id(vm.vm_id))
            await handle.signal("observed", seen, rpc_timeout=_RPC_LIMIT)
        except RPCError as error:
            if error.status != RPCStatusCode.NOT_FOUND:
                _raise(error)

    async def _update(self, vm_id: str, name: str, order: Any, answer: type[Answer]) -> Answer:  # noqa: ANN401 - one of the orders
        try:
            handle = (await self._connected()).get_workflow_handle(workflow_id(vm_id))
            return await handle.execute_update(  # pyright: ignore[reportUnknownMemberType] - generic in the SDK
                name, order, id=order.command_id, result_type=answer, rpc_timeout=_ANSWER_LIMIT
            )
        except (WorkflowUpdateFailedError, WorkflowUpdateRPCTimeoutOrCancelledError, RPCError) as error:
            _raise(error)


def memo_of(request: VmRequest) -> dict[str, Any]:
    """What ties a machine's workflow to its request, also when another workflow starts it."""
    return {"input_digest": request.input_digest, "org_id": request.org_id}


def attributes_of(request: VmRequest) -> TypedSearchAttributes:
    """What a machine's workflow is found by from its first moment."""
    return TypedSearchAttributes(
        [
            SearchAttributePair(policies.JOB_KIND, "vm"),
            SearchAttributePair(policies.JOB_STATE, "pending"),
            SearchAttributePair(policies.ORG_ID, request.org_id),
            SearchAttributePair(policies.RECIPE, request.spec.name),
        ]
    )


def _raise(error: WorkflowUpdateFailedError | WorkflowUpdateRPCTimeoutOrCancelledError | RPCError) -> NoReturn:
    """Raise what the failure means."""
    if isinstance(error, WorkflowUpdateFailedError):
        cause = error.cause
        if not isinstance(cause, FailureError):
            raise Fault.because("vm.failed", str(cause)) from error
        detail = read_failure(cause)
        kind = Verdict if detail.kind == "verdict" else Fault
        raise kind(*detail.problems) from error
    if isinstance(error, WorkflowUpdateRPCTimeoutOrCancelledError):
        raise Fault.because(
            "vm.answer_late",
            "The answer did not come in time; what was asked for goes on.",
            next="Call get_vm, or repeat the call with the same request_key.",
        ) from error
    if error.status == RPCStatusCode.NOT_FOUND:
        raise _deleted() from error
    raise Fault.because(
        "temporal.unavailable", f"The workflow engine does not answer: {error.message}", next="Try again shortly."
    ) from error


def _deleted() -> Verdict:
    return Verdict.because("vm.deleted", "The machine is deleted.", next="Call create_vm for a new one.")
