"""The typed client of rebuild schedules."""

from collections.abc import Sequence
from datetime import datetime

from temporalio.client import WorkflowFailureError
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from domain.errors import Verdict
from domain.rebuild.commands import AnyRebuildCommand, ChangeSchedule, CreateSchedule, DeleteSchedule
from domain.rebuild.names import temporal_id
from domain.rebuild.state import ScheduleState
from workflows import policies
from workflows.connect import Connected
from workflows.jobs import RPC_LIMIT, refused, unavailable
from workflows.rebuild import DefineRebuildWorkflow
from workflows.rebuild_models import ApplySchedule, DefineRebuild, RebuildDefined


class RebuildClient:
    """Defines schedules, and tells when they look.

    Every method raises `Fault` (`temporal.unavailable`) when nothing answers.
    """

    def __init__(self, connected: Connected) -> None:
        self._connected = connected

    async def create(self, command: CreateSchedule) -> int:
        """Record a new schedule and make its entry; answers its version. Repeating it changes nothing."""
        request = command.request
        entry = ApplySchedule(
            schedule_id=request.schedule_id, org_id=request.org_id, name=str(request.recipe.get("name"))
        )
        return await self._define(command, entry, "create")

    async def change(self, state: ScheduleState, command: ChangeSchedule) -> int:
        """Record the change and have the timetable follow; answers the version."""
        return await self._define(command, _entry(state), command.command_id)

    async def delete(self, state: ScheduleState, command: DeleteSchedule) -> int:
        """Record the end and remove the entry; answers the version."""
        return await self._define(command, _entry(state), command.command_id)

    async def look_now(self, schedule_id: str) -> None:
        """Have a schedule look at once, also while it is paused.

        Raises:
            Verdict: `rebuild.not_found`.

        """
        handle = (await self._connected()).get_schedule_handle(temporal_id(schedule_id))
        try:
            await handle.trigger(rpc_timeout=RPC_LIMIT)
        except RPCError as error:
            if error.status == RPCStatusCode.NOT_FOUND:
                message = "The schedule is not in the timetable."
                raise Verdict.because("rebuild.not_found", message, next="list_rebuild_schedules") from error
            raise unavailable(error) from error

    async def next_look(self, schedule_id: str) -> datetime | None:
        """Tell when a schedule looks next; nothing for one that does not."""
        handle = (await self._connected()).get_schedule_handle(temporal_id(schedule_id))
        try:
            description = await handle.describe(rpc_timeout=RPC_LIMIT)
        except RPCError as error:
            if error.status == RPCStatusCode.NOT_FOUND:
                return None
            raise unavailable(error) from error
        times: Sequence[datetime] = description.info.next_action_times
        return None if description.schedule.state.paused else next(iter(times), None)

    async def _define(self, command: AnyRebuildCommand, entry: ApplySchedule, step: str) -> int:
        client = await self._connected()
        identity = f"define-{temporal_id(entry.schedule_id)}-{step}"
        try:
            handle = await client.start_workflow(
                DefineRebuildWorkflow.run,
                DefineRebuild(command=command, entry=entry),
                id=identity,
                task_queue=policies.CORE_QUEUE,
                id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE_FAILED_ONLY,
                id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
                execution_timeout=policies.QUESTION_LIMIT,
                static_summary=f"Schedule {entry.name}: {command.kind.replace('_', ' ')}",
                rpc_timeout=RPC_LIMIT,
            )
        except WorkflowAlreadyStartedError:
            handle = client.get_workflow_handle(identity, result_type=RebuildDefined)
        except RPCError as error:
            raise unavailable(error) from error
        try:
            return (await handle.result()).version
        except WorkflowFailureError as error:
            raise refused(error, "rebuild.not_defined") from error
        except RPCError as error:
            raise unavailable(error) from error


def _entry(state: ScheduleState) -> ApplySchedule:
    return ApplySchedule(schedule_id=state.schedule_id, org_id=state.org_id, name=state.name)
