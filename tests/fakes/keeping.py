"""What keeping needs, over the logs of fakes: the open jobs as the read models would show them."""

from collections.abc import Callable, Collection
from dataclasses import dataclass

from temporalio import activity

from activities.keeping.models import MEND_TIMETABLE, Mended
from domain.build.state import BuildState
from domain.jobs import OpenJob
from domain.test_run.state import RunState
from domain.vm.state import VmState


@activity.defn(name=MEND_TIMETABLE)
async def nothing_to_mend() -> Mended:
    """Answer for a factory without rebuild schedules."""
    return Mended()


@dataclass(frozen=True)
class FakeOpenJobs:
    """Asks for all states anew each time.

    `accepted` are the jobs that may be missing in these logs; others that are met have logs of their own.
    """

    builds: Callable[[], list[BuildState]] = list
    vms: Callable[[], list[VmState]] = list
    runs: Callable[[], list[RunState]] = list
    accepted: Collection[str] = ()

    async def all(self) -> tuple[OpenJob, ...]:
        """List what has not ended."""
        return (
            *(_build(state) for state in self.builds() if not state.terminal),
            *(_vm(state) for state in self.vms() if state.status != "deleted"),
            *(_run(state) for state in self.runs() if not state.terminal),
        )

    async def recorded(self, job_ids: Collection[str]) -> frozenset[str]:
        """Tell which the logs have."""
        known = {s.build_id for s in self.builds()} | {s.vm_id for s in self.vms()} | {s.run_id for s in self.runs()}
        return frozenset(job_id for job_id in job_ids if job_id in known or job_id not in self.accepted)


def _build(state: BuildState) -> OpenJob:
    return OpenJob(
        kind="build",
        job_id=state.build_id,
        org_id=state.org_id,
        status=state.status,
        generation=state.generation,
        step=state.steps[-1].step if state.steps else None,
        booted=any(step.step == "boot" for step in state.steps),
        host=state.host,
    )


def _vm(state: VmState) -> OpenJob:
    return OpenJob(
        kind="vm",
        job_id=state.vm_id,
        org_id=state.org_id,
        status=state.status,
        host=state.host,
        queue=state.queue,
        token=state.token,
    )


def _run(state: RunState) -> OpenJob:
    return OpenJob(
        kind="test-run",
        job_id=state.run_id,
        org_id=state.org_id,
        status=state.status,
        machines=tuple(machine.vm_id for machine in state.machines if machine.owned and machine.vm_id is not None),
    )
