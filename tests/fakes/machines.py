"""Machines without a hypervisor: what a test says about an artifact is what happens to it."""

from collections.abc import Callable

from activities.machines.domain_xml import machine_name
from activities.machines.models import BootInput, BootResult, ReleaseInput
from activities.machines.ports import Guest, GuestExec
from activities.step_log import StepLog
from domain.errors import Fault, Verdict
from domain.verification import BootReport
from infra.ports import ObjectStore

Program = Callable[[tuple[str, ...], bytes], GuestExec]


def shell(argv: tuple[str, ...], stdin: bytes) -> GuestExec:
    """Answer for the few programs that every guest has."""
    match argv:
        case ("echo", *words):
            return GuestExec(status=0, stdout=" ".join(words).encode() + b"\n", stderr=b"")
        case ("cat",):
            return GuestExec(status=0, stdout=stdin, stderr=b"")
        case ("false",):
            return GuestExec(status=1, stdout=b"", stderr=b"")
        case _:
            return GuestExec(status=127, stdout=b"", stderr=f"no such program: {argv[0]}".encode())


class FakeGuest:
    """Runs `program` instead of programs; `silent` as a guest whose agent died."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.silent = False
        self.ran: list[tuple[str, ...]] = []

    async def run(self, argv: tuple[str, ...], *, timeout: float, stdin: bytes = b"") -> GuestExec:  # noqa: ASYNC109
        if self.silent:
            raise Verdict.because("guest.agent_silent", "the guest agent stopped answering")
        self.ran.append(argv)
        return self.program(argv, stdin)


class FakeMachines:
    """Behaves like `LibvirtMachines`. `fails` says, by artifact, why a boot fails; a fault is raised."""

    def __init__(self, objects: ObjectStore, program: Program = shell) -> None:
        self.running: dict[tuple[str, str], FakeGuest] = {}
        self.fails: dict[str, str | Fault] = {}
        self.released: list[ReleaseInput] = []
        self._objects = objects
        self._program = program

    async def boot(self, request: BootInput, log: StepLog) -> BootResult:
        job, reports = request.job, list[BootReport]()
        for artifact in request.artifacts:
            if artifact.kind not in ("qcow2", "iso"):
                continue
            firmware = "uefi" if artifact.kind == "qcow2" else "bios"
            self.running[job.job_id, artifact.kind] = FakeGuest(self._program)
            failure = self.fails.get(artifact.kind)
            if isinstance(failure, Fault):
                raise failure
            if failure is not None:
                await self.capture(job.job_id, job.generation, artifact.kind, log)
                message = f"The {artifact.kind} did not come up under {firmware.upper()}: {failure}"
                raise Verdict.because("boot.failed", message, path=artifact.kind)
            log.line(f"{artifact.kind}| Welcome")
            log.progress(100, f"{artifact.kind}: guest agent answers")
            report = BootReport(artifact=artifact.kind, firmware=firmware, accelerator="tcg", booted=True, seconds=1.0)
            reports.append(report)
        return BootResult(reports=tuple(reports))

    def guest(self, job_id: str, artifact: str) -> Guest:
        return self.running.get((job_id, artifact)) or _Missing()

    async def capture(self, job_id: str, generation: int, artifact: str, log: StepLog) -> tuple[str, ...]:
        prefix = f"evidence/{job_id}/{generation}/{machine_name(job_id, artifact)}/"
        names = ["serial.log", "console.txt"]
        if (job_id, artifact) in self.running:
            names += ["screenshot.png", "failed-units.txt"]
        for name in names:
            await self._objects.put(prefix + name, f"{name} of {artifact}".encode())
        return tuple(prefix + name for name in names)

    async def release(self, request: ReleaseInput) -> int:
        self.released.append(request)
        mine = [key for key in self.running if key[0] == request.job.job_id]
        for key in mine:
            del self.running[key]
        return len(mine)


class _Missing:
    async def run(self, argv: tuple[str, ...], *, timeout: float, stdin: bytes = b"") -> GuestExec:  # noqa: ASYNC109
        raise Fault.because("machine.lost", "the machine is gone from this host")
