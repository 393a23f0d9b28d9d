"""The machine activities: thin, each one effect inside a step's frame."""

from dataclasses import dataclass

from temporalio import activity

from activities.machines.models import BootInput, BootResult, CaptureInput, CaptureResult, ReleaseInput, ReleaseResult
from activities.machines.ports import Machines
from activities.session import StepSessions


@dataclass(frozen=True)
class MachineActivities:
    """The life of a job's machines on one host."""

    sessions: StepSessions
    machines: Machines

    @activity.defn
    async def boot_artifacts(self, request: BootInput) -> BootResult:
        """Boot every artifact until its guest agent answers."""
        async with self.sessions.open(request.job, "boot") as log:
            return await self.machines.boot(request, log)

    @activity.defn
    async def capture_evidence(self, request: CaptureInput) -> CaptureResult:
        """Keep what a failed machine shows: serial log, screenshot, failed units."""
        async with self.sessions.open(request.job, "verify", part="evidence") as log:
            keys: list[str] = []
            for artifact in request.artifacts:
                keys += await self.machines.capture(request.job.job_id, request.job.generation, artifact, log)
        return CaptureResult(keys=tuple(keys))

    @activity.defn
    async def release_machines(self, request: ReleaseInput) -> ReleaseResult:
        """Give back the job's machines; harmless to repeat."""
        return ReleaseResult(machines=await self.machines.release(request))
