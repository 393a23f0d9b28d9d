"""The reconciler: ends the jobs that nobody will end, and has the timetable of rebuilds agree with the log.

A workflow that is terminated, or that runs out of time, runs no code of its own any more: its job would stay
open for ever, and what it holds would never be given back; a rebuild schedule would be recorded and never look.
A schedule starts this workflow once a minute.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from temporalio import workflow
from temporalio.exceptions import FailureError

from workflows import endings, policies

with workflow.unsafe.imports_passed_through():
    from activities.failures import read_failure
    from activities.keeping import models as m
    from domain.errors import FactoryError
    from domain.jobs import JobKind
    from domain.model import Value


class Reconciled(Value):
    """How many jobs were open, whose workflows of them were over, and what could not be done yet.

    `mended` are the rebuild schedules whose entries in the timetable did not agree with the log.
    """

    open: int
    ended: tuple[str, ...] = ()
    left: tuple[str, ...] = ()
    mended: tuple[str, ...] = ()


_ENDINGS: Final[Mapping[JobKind, Callable[[m.Orphan], Awaitable[None]]]] = {
    "build": endings.end_build,
    "vm": endings.end_vm,
    "test-run": endings.end_test_run,
    "image": endings.end_image,
}


@workflow.defn(failure_exception_types=[FactoryError])
class ReconcileWorkflow:
    """Ends each orphan by itself: one that cannot be ended now does not keep the others, and is there next time."""

    @workflow.run
    async def run(self) -> Reconciled:
        """Look once, and end what is found."""
        found = await workflow.execute_local_activity(
            m.FIND_ORPHANS,
            m.FindOrphans(),
            result_type=m.OrphansFound,
            start_to_close_timeout=policies.FIND_LIMIT,
            retry_policy=policies.FEW,
            summary="Open jobs whose workflows are over",
        )
        left = await asyncio.gather(*map(self._end, found.orphans))
        names = [f"{orphan.job.workflow_id}: {orphan.reason}" for orphan in found.orphans]
        done = tuple(name for name, problem in zip(names, left, strict=True) if problem is None)
        timetable = await _mend_timetable() if workflow.patched("timetable") else m.Mended()
        result = Reconciled(
            open=found.open,
            ended=done,
            left=(*(problem for problem in left if problem), *timetable.left),
            mended=timetable.schedules,
        )
        mended = (f"schedule {schedule_id}: the timetable agrees again" for schedule_id in result.mended)
        lines = [*done, *result.left, *mended]
        if lines:
            workflow.set_current_details("\n".join(["## Ended or mended", *(f"- {line}" for line in lines)]))
        return result

    async def _end(self, orphan: m.Orphan) -> str | None:
        """End one; answers why it could not be."""
        try:
            if orphan.request is not None:
                await endings.record_request(orphan)
            await _ENDINGS[orphan.job.kind](orphan)
        except FailureError as error:
            problem = read_failure(error).problems[0]
            workflow.logger.warning("%s could not be ended yet: %s", orphan.job.workflow_id, problem.message)
            return f"{orphan.job.workflow_id} not yet: {problem.message}"
        return None


async def _mend_timetable() -> m.Mended:
    """Have it agree with the log; that it cannot be seen now keeps nothing else from being done."""
    try:
        return await workflow.execute_activity(
            m.MEND_TIMETABLE,
            result_type=m.Mended,
            start_to_close_timeout=policies.FIND_LIMIT,
            retry_policy=policies.FEW,
            summary="Rebuild schedules and the timetable",
        )
    except FailureError as error:
        problem = read_failure(error).problems[0]
        workflow.logger.warning("the timetable could not be compared: %s", problem.message)
        return m.Mended(left=(f"the timetable not yet: {problem.message}",))
