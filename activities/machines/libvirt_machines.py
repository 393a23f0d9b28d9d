"""The machines of this host on libvirt (`ports.Machines`)."""

import asyncio
import os
import time
from collections.abc import Callable
from weakref import WeakValueDictionary

from activities.job import Job
from activities.machines.accelerator import AcceleratorProbe
from activities.machines.boot import Boot, BootFailedError, BootLimits
from activities.machines.console import Console
from activities.machines.domain_xml import Accelerator, machine_name
from activities.machines.evidence import Evidence
from activities.machines.host_limits import require_memory
from activities.machines.hypervisor import Hypervisor
from activities.machines.job_entry import JobEntry
from activities.machines.labels import MachineLabel
from activities.machines.models import BootInput, BootResult, ReleaseInput
from activities.machines.networks import GuestNetworks
from activities.machines.ports import Guest
from activities.machines.serial_port import SerialLog, SerialPort
from activities.machines.workspace import Size, Workspace, workspace_of
from activities.step_log import StepLog
from domain.artifacts import Artifact
from domain.errors import FactoryError, Fault, Verdict
from domain.verification import BootReport
from infra.libvirt_client import LibvirtClient, silence
from infra.libvirt_paths import LibvirtPaths
from infra.ports import ObjectStore
from infra.settings import Settings

_LIFE_SECONDS = 2 * 3600
_FIRMWARE = {"qcow2": "UEFI", "iso": "BIOS"}


class LibvirtMachines:
    """Machines under the private libvirtd of the home. Nothing is connected before the first use.

    The state is libvirt's and the files'; only the readers of serial ports are this process's. So after a
    worker was killed another one can go on with the same machines.
    """

    def __init__(
        self,
        settings: Settings,
        objects: ObjectStore,
        *,
        limits: BootLimits | None = None,
        size: Size | None = None,
        networks: GuestNetworks | None = None,
    ) -> None:
        silence()
        self._paths = LibvirtPaths(home=settings.home)
        self._client = LibvirtClient(settings.libvirt_uri or self._paths.uri)
        self._hypervisor = Hypervisor(self._client)
        self._entry = JobEntry(self._paths, self._hypervisor, networks)
        self._objects = objects
        self._limits = limits or BootLimits()
        self._size = size or Size()
        cache = settings.home / "cache" / "accelerator.json"
        self._probe = AcceleratorProbe(settings.accelerator, cache, self._paths, self._hypervisor)
        self._serial: dict[str, SerialPort] = {}
        self._busy: set[str] = set()
        self._turns = WeakValueDictionary[str, asyncio.Lock]()

    async def boot(self, request: BootInput, log: StepLog) -> BootResult:
        """Boot all bootable artifacts at once; the first that fails ends the waiting for the others.

        An earlier attempt of the same job that is at work still, because this worker stood still for too long, is
        let clean up first: else it would end this one's machines.

        Raises:
            Verdict: `boot.failed` or `boot.no_entry`.
            Fault: `host.memory`, `host.disk`, `host.firmware`, `host.overloaded`, `hypervisor.…`, `machine.lost`,
                `machine.name_taken`, `blob.missing`.

        """
        artifacts = [a for a in request.artifacts if a.kind in _FIRMWARE]
        if not artifacts:
            raise Verdict.because("boot.failed", "the build made nothing that can be booted")
        async with self._turns.setdefault(request.job.job_id, asyncio.Lock()):
            return await self._boot(request, artifacts, log)

    async def _boot(self, request: BootInput, artifacts: list[Artifact], log: StepLog) -> BootResult:
        iso = next((self._paths.blob(a.blob.digest) for a in artifacts if a.kind == "iso"), None)
        how = await self._probe.decide(iso)
        log.line(f"Machines run under {how.kind.upper()}: {how.reason}.")
        require_memory(len(artifacts) * self._size.memory)
        size = self._size if how.kind == "kvm" else _share(self._size, len(artifacts))
        progress = _Progress(log, len(artifacts))
        tasks = [
            asyncio.create_task(self._boot_one(request, artifact, (how.kind, size), progress.of(artifact.kind), log))
            for artifact in artifacts
        ]
        try:
            reports = await _all_or_first_error(tasks)
        except asyncio.CancelledError:
            # Nobody waits for these machines any more.
            await asyncio.shield(self._remove_job(request.job.job_id))
            raise
        return BootResult(reports=tuple(reports))

    def guest(self, job_id: str, artifact: str) -> Guest:
        """Reach the guest of a booted machine."""
        return self._entry.guest(machine_name(job_id, artifact))

    async def capture(self, job_id: str, generation: int, artifact: str, log: StepLog) -> tuple[str, ...]:
        """Store evidence under `evidence/<job>/<generation>/<machine>/`; answers the keys of what could be had."""
        workspace = workspace_of(self._paths, job_id, artifact)
        port = self._serial.get(workspace.name)
        if port is not None:
            await port.caught_up()
        serial = await asyncio.to_thread(SerialLog(workspace.folder).read)
        console = Console()
        console.feed(serial[-(1 << 16) :])
        prefix = f"evidence/{job_id}/{generation}/{workspace.name}/"
        evidence = Evidence(self._objects, self._hypervisor, workspace.name, prefix)
        keys = await evidence.keep(serial, console.screen, log)
        log.line(f"Evidence of {workspace.name}: {', '.join(keys)}")
        return keys

    async def release(self, request: ReleaseInput) -> int:
        """Destroy the job's machines and remove their files; answers how many there were."""
        return await self._remove_job(request.job.job_id)

    async def sweep(self, now: float) -> int:
        """Remove machines that are past their time (`now` in seconds since the epoch) and files of none.

        For the host to call now and then: it ends what a job could not release. Answers how many there were.
        """
        machines = await self._hypervisor.machines()
        gone = [m.name for m in machines if m.label is None or m.label.expires < now]
        known = {m.name for m in machines}
        folders = {path.name for root in (self._paths.machines, self._paths.sockets) for path in root.glob("of-*")}
        # The folders first: a machine that is made meanwhile is busy from before it has any.
        leftovers = [name for name in folders - known if name not in self._busy]
        for name in (*gone, *leftovers):
            await self._remove(Workspace(self._paths, name))
        return len(gone) + len(leftovers)

    async def close(self) -> None:
        """Let go of libvirt and the serial ports; the machines go on."""
        for port in self._serial.values():
            await port.close()
        self._serial.clear()
        await self._client.close()

    async def _boot_one(
        self,
        request: BootInput,
        artifact: Artifact,
        how: tuple[Accelerator, Size],
        advance: Callable[[float, str], None],
        log: StepLog,
    ) -> BootReport:
        job = request.job
        workspace = workspace_of(self._paths, job.job_id, artifact.kind)
        self._busy.add(workspace.name)
        try:
            await self._replace(workspace, job.job_id)
            label = MachineLabel(job_id=job.job_id, artifact=artifact.kind, expires=int(time.time()) + _LIFE_SECONDS)
            spec = await workspace.prepare(artifact, label, *how)
            spec = await self._entry.prepare(workspace, spec, job, request.recipe)
            boot = Boot(self._entry, workspace, spec, advance)
            self._serial[workspace.name] = boot.port
            report = await boot.run(self._limits, log)
        except BootFailedError as error:
            raise await self._failed(job, artifact, str(error), log) from error
        finally:
            self._busy.discard(workspace.name)
        log.line(f"{artifact.kind}: up under {report.firmware} and {report.accelerator} in {report.seconds:.1f} s.")
        return report

    async def _failed(self, job: Job, artifact: Artifact, reason: str, log: StepLog) -> Verdict:
        keys: tuple[str, ...] = ()
        try:
            keys = await self.capture(job.job_id, job.generation, artifact.kind, log)
        except FactoryError as error:
            log.line(f"The evidence could not be kept: {error}")
        error = Verdict.because(
            "boot.failed",
            f"The {artifact.kind} did not come up under {_FIRMWARE[artifact.kind]}: {reason}",
            path=artifact.kind,
            next="Read the step's log and the evidence"
            + (f" ({keys[0].rpartition('/')[0]}/)" if keys else "")
            + ", then mend the recipe and build again.",
        )
        log.line(str(error))
        return error

    async def _replace(self, workspace: Workspace, job_id: str) -> None:
        """Destroy what an earlier attempt of the same job left."""
        label = await self._hypervisor.label(workspace.name)
        if label is not None and label.job_id != job_id:
            raise Fault.because(
                "machine.name_taken", f"{workspace.name} belongs to another job ({label.job_id})", next="Retry later."
            )
        await self._remove(workspace)

    async def _remove_job(self, job_id: str) -> int:
        found = 0
        for artifact in _FIRMWARE:
            found += await self._remove(workspace_of(self._paths, job_id, artifact))
        return found

    async def _remove(self, workspace: Workspace) -> bool:
        port = self._serial.pop(workspace.name, None)
        found = await self._hypervisor.remove(workspace.name)
        if port is not None:
            await port.close()
        await self._entry.forget(workspace.name)
        return await asyncio.to_thread(workspace.remove) or found


class _Progress:
    """Makes one progress of several machines': the mean, and what each does."""

    def __init__(self, log: StepLog, machines: int) -> None:
        self._log = log
        self._machines = machines
        self._seen: dict[str, tuple[float, str]] = {}

    def of(self, artifact: str) -> Callable[[float, str], None]:
        """The progress of one machine."""

        def advance(percent: float, text: str) -> None:
            if self._seen.get(artifact) == (percent, text):
                return
            self._seen[artifact] = (percent, text)
            mean = sum(p for p, _ in self._seen.values()) / self._machines
            self._log.progress(mean, "; ".join(f"{name}: {what}" for name, (_, what) in sorted(self._seen.items())))

        return advance


async def _all_or_first_error(tasks: list[asyncio.Task[BootReport]]) -> list[BootReport]:
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


def _share(size: Size, machines: int) -> Size:
    """Give each emulated machine its share of the host's processors: more of them would only wait for each other."""
    return size.model_copy(update={"cpus": max(1, min(size.cpus, (os.cpu_count() or 1) // machines))})
