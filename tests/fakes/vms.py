"""VMs without a hypervisor: keeps the contract that `tests/integration/machines/test_vm_contract.py` tells."""

from dataclasses import dataclass, field

from activities.machines import vm_models as m
from activities.machines.ports import GuestExec
from activities.vm_ref import VmRef
from domain.errors import Fault, Verdict
from domain.vm.spec import PortForward, VmSpec
from infra.ports import ObjectStore
from tests.fakes.machines import Program, shell


@dataclass
class FakeVm:
    """One VM. `memory` is what a program in it remembers; snapshots keep it or not."""

    spec: VmSpec
    token: int
    power: m.Power = "stopped"
    reason: str | None = None
    boot: int = 0
    files: dict[str, str] = field(default_factory=dict[str, str])
    snapshots: dict[str, tuple[bool, dict[str, str]]] = field(default_factory=dict[str, tuple[bool, dict[str, str]]])


class FakeVms:
    """Behaves like `LibvirtVms`. `vms` may be changed, as guests and hosts do it."""

    def __init__(self, objects: ObjectStore, program: Program = shell) -> None:
        self.vms: dict[str, FakeVm] = {}
        self._gone: dict[str, int] = {}
        self._objects = objects
        self._program = program

    def _admit(self, vm: VmRef) -> FakeVm | None:
        known = self.vms.get(vm.vm_id)
        if known is not None and vm.token < known.token:
            raise Verdict.because("lease.superseded", "the VM is held under a later lease")
        if known is not None:
            known.token = vm.token
        return known

    def _there(self, vm: VmRef) -> FakeVm:
        known = self._admit(vm)
        if known is None:
            raise Fault.because("machine.lost", "the VM is not on this host")
        return known

    def _running(self, vm: VmRef) -> FakeVm:
        known = self._there(vm)
        if known.power != "running":
            raise Verdict.because("vm.wrong_state", f"the VM is {known.power}", value=known.power)
        return known

    async def create(self, request: m.CreateVm) -> m.VmCreated:
        known = self._admit(request.vm)
        if request.vm.token <= self._gone.get(request.vm.vm_id, -1):
            raise Verdict.because("lease.superseded", "the VM was deleted")
        image = request.spec.image
        if known is None and await self._objects.stat(f"blobs/{image.digest}") is None:
            raise Verdict.because("image.not_found", "the image is not in the object store any more")
        if known is None:
            self.vms[request.vm.vm_id] = FakeVm(spec=request.spec, token=request.vm.token)
        return m.VmCreated(accelerator="tcg", fetched=known is None, disk_bytes=(request.spec.disk or 1) << 20)

    async def start(self, request: m.StartVm) -> m.VmStarted:
        known = self._there(request.vm)
        if known.power != "running":
            known.power, known.reason, known.boot, known.files = "running", None, known.boot + 1, {}
        return m.VmStarted(seconds=0.1, boot=known.boot)

    async def await_agent(self, request: m.AwaitAgent) -> m.AgentReady:
        known = self._there(request.vm)
        if known.power != "running":
            raise Verdict.because("guest.off", known.reason or f"the VM is {known.power}")
        return m.AgentReady(seconds=1.0, via="agent", addresses=("10.0.2.15",))

    async def stop(self, request: m.StopVm) -> m.VmStopped:
        known = self._there(request.vm)
        how = "already" if known.power != "running" else "graceful" if request.grace else "forced"
        known.power, known.reason = "stopped", None
        return m.VmStopped.model_validate({"how": how})

    async def delete(self, request: m.DeleteVm) -> m.VmDeleted:
        self._admit(request.vm)
        self._gone[request.vm.vm_id] = request.vm.token
        return m.VmDeleted(removed=3 if self.vms.pop(request.vm.vm_id, None) else 0)

    async def take_snapshot(self, request: m.TakeSnapshot) -> m.SnapshotTaken:
        known = self._there(request.vm)
        memory, _ = known.snapshots.setdefault(request.snapshot_id, (known.power == "running", dict(known.files)))
        return m.SnapshotTaken(memory=memory, bytes=1000 if memory else 0, seconds=0.1)

    async def restore_snapshot(self, request: m.RestoreSnapshot) -> m.SnapshotRestored:
        known = self._there(request.vm)
        if request.snapshot_id not in known.snapshots:
            raise Verdict.because("vm.snapshot_not_found", "the VM has no such snapshot")
        memory, files = known.snapshots[request.snapshot_id]
        known.power, known.files = "running" if memory else "stopped", dict(files)
        return m.SnapshotRestored(running=memory, seconds=0.1)

    async def drop_snapshot(self, request: m.DropSnapshot) -> None:
        self._there(request.vm).snapshots.pop(request.snapshot_id, None)

    async def inspect(self, request: m.InspectVm) -> m.VmSeen:
        known = self._admit(request.vm)
        return m.VmSeen(power="absent") if known is None else m.VmSeen(power=known.power, reason=known.reason)

    async def screenshot(self, request: m.TakeScreenshot) -> m.Screenshot:
        self._running(request.vm)
        key = f"screens/{request.vm.vm_id}/1.png"
        await self._objects.put(key, b"\x89PNG", "image/png")
        return m.Screenshot(key=key, bytes=4, width=720, height=400, text="Welcome to the test guest")

    async def run_command(self, request: m.RunCommand) -> m.CommandDone:
        known = self._running(request.vm)
        done = self._run(known, request.argv, request.stdin.encode())
        return m.CommandDone(
            status=done.status,
            stdout=done.stdout[: 64 << 10].decode(),
            stderr=done.stderr.decode(),
            truncated=len(done.stdout) > 64 << 10,
        )

    async def open_forward(self, request: m.OpenForward) -> m.ForwardOpened:
        self._running(request.vm)
        return m.ForwardOpened(forward=PortForward(guest_port=request.forward.guest_port, host_port=40000))

    def _run(self, known: FakeVm, argv: tuple[str, ...], stdin: bytes) -> GuestExec:
        match argv:
            case ("tee", path):
                known.files[path] = stdin.decode()
                return GuestExec(status=0, stdout=stdin, stderr=b"")
            case ("cat", path):
                return GuestExec(status=0, stdout=known.files.get(path, "").encode(), stderr=b"")
            case ("head", "-c", count, "/dev/zero"):
                return GuestExec(status=0, stdout=bytes(int(count)), stderr=b"")
            case _:
                return self._program(argv, stdin)
