"""The collection of garbage: files that plans keep no longer expire, then what nobody refers to is removed."""

import asyncio

from temporalio import workflow
from temporalio.exceptions import FailureError

from workflows import policies
from workflows.recording import record_build

with workflow.unsafe.imports_passed_through():
    from activities.failures import read_failure
    from activities.keeping import collect_models as m
    from activities.swept import COLLECT_STORE, StoreInput, Swept
    from domain.build.commands import ExpireArtifacts
    from domain.errors import FactoryError


@workflow.defn(failure_exception_types=[FactoryError])
class CollectWorkflow:
    """Runs on a schedule, and whenever somebody asks for it."""

    @workflow.run
    async def run(self, start: m.CollectInput | None = None) -> m.Collected:
        """Collect, or only tell what would go."""
        start = start or m.CollectInput()
        expired = await self._expired(start)
        sweep = m.SweepInput(dry_run=start.dry_run, expired=tuple(build.build_id for build in expired))
        swept = await workflow.execute_activity(
            m.SWEEP_OBJECTS,
            sweep,
            result_type=Swept,
            task_queue=policies.CORE_QUEUE,
            start_to_close_timeout=policies.SWEEP_LIMIT,
            heartbeat_timeout=policies.HEARTBEAT,
            retry_policy=policies.FEW,
            summary="Objects that nobody refers to",
        )
        hosts = await self._hosts(start)
        places = (swept, *hosts)
        result = m.Collected(
            dry_run=start.dry_run,
            expired=expired,
            gone=tuple(gone for place in places for gone in place.gone),
            notes=tuple(note for place in places for note in place.notes),
        )
        self._show(result)
        return result

    async def _expired(self, start: m.CollectInput) -> tuple[m.Expired, ...]:
        found = await workflow.execute_activity(
            m.FIND_EXPIRED,
            start,
            result_type=m.ExpiredFound,
            task_queue=policies.CORE_QUEUE,
            start_to_close_timeout=policies.FIND_LIMIT,
            retry_policy=policies.FEW,
            summary="Builds whose files are kept no longer",
        )
        for build in () if start.dry_run else found.builds:
            await record_build(build.build_id, ExpireArtifacts(reason=build.reason))
        return found.builds

    async def _hosts(self, start: m.CollectInput) -> list[Swept]:
        """Make room on every host that is up; one that does not answer does not keep the others."""
        hosts = await workflow.execute_local_activity(
            m.FIND_HOSTS,
            result_type=m.HostsFound,
            start_to_close_timeout=policies.FIND_LIMIT,
            retry_policy=policies.FEW,
            summary="Hosts that are up",
        )
        return await asyncio.gather(*(self._host(queue, start) for queue in hosts.queues))

    async def _host(self, queue: str, start: m.CollectInput) -> Swept:
        try:
            return await workflow.execute_activity(
                COLLECT_STORE,
                StoreInput(dry_run=start.dry_run),
                result_type=Swept,
                task_queue=queue,
                schedule_to_start_timeout=policies.LOST_PICKUP,
                start_to_close_timeout=policies.SWEEP_LIMIT,
                heartbeat_timeout=policies.HEARTBEAT,
                retry_policy=policies.FEW,
                summary=f"Room in the store of {queue}",
            )
        except FailureError as error:
            return Swept(notes=(f"{queue}: {read_failure(error).problems[0].message}",))

    def _show(self, result: m.Collected) -> None:
        verb = "would go" if result.dry_run else "went"
        lines = [
            f"## {result.bytes / 1e6:.0f} MB {verb}",
            "",
            "| where | what | count | MB | why |",
            "|---|---|---|---|---|",
        ]
        lines += [f"| {g.where} | {g.kind} | {g.count} | {g.bytes / 1e6:.1f} | {g.reason} |" for g in result.gone]
        workflow.set_current_details("\n".join([*lines, *(f"- {note}" for note in result.notes)]))
