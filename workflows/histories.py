"""Keeps the histories of closed runs, a few at a time. Each run goes on where the last one that ended well stopped."""

from temporalio import workflow

from workflows import policies

with workflow.unsafe.imports_passed_through():
    from activities.keeping.collect_models import KEEP_HISTORIES, HistoriesKept, KeepHistories
    from domain.errors import FactoryError


@workflow.defn(failure_exception_types=[FactoryError])
class HistoriesWorkflow:
    """Started by a schedule, which hands each run the result of the one before."""

    @workflow.run
    async def run(self) -> HistoriesKept:
        """Keep what is not kept yet."""
        before: HistoriesKept | None = workflow.get_last_completion_result(HistoriesKept)
        return await workflow.execute_activity(
            KEEP_HISTORIES,
            KeepHistories(since=before.until if before else None),
            result_type=HistoriesKept,
            task_queue=policies.CORE_QUEUE,
            start_to_close_timeout=policies.SWEEP_LIMIT,
            heartbeat_timeout=policies.HEARTBEAT,
            retry_policy=policies.FEW,
            summary="Histories of closed runs",
        )
