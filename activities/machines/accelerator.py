"""Whether this host's KVM works, proven by a boot.

/dev/kvm that opens, and even makes a virtual machine, proves nothing: under some hypervisors firmware
runs and Linux then hangs, or QEMU aborts. So a real kernel is booted to user space, once, as a libvirt
machine of the very daemon, account and namespaces that the real machines have: what stops them, a
permission for example, stops the proof too.
"""

import asyncio
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from activities.machines.domain_xml import Accelerator, domain_xml
from activities.machines.hypervisor import Condition, Hypervisor
from activities.machines.labels import MachineLabel
from activities.machines.serial_port import SerialPort
from activities.machines.workspace import Workspace, workspace_of
from domain.errors import Fault
from domain.model import Value
from infra.libvirt_paths import LibvirtPaths
from infra.process import CommandError, run

_DEVICE = Path("/dev/kvm")
_JOB = "kvm-proof"
_MARKER = "openfactory: user space is up"
_INIT = f"#!/bin/busybox sh\n/bin/busybox echo '{_MARKER}'\n/bin/busybox poweroff -f\n"
_BOOT_SECONDS = 15.0
_PROGRAM_SECONDS = 30.0
_FOLDER = "kvm-"
_POLL_SECONDS = 0.2


class Acceleration(Value):
    """How machines run on this host, and why, in words."""

    kind: Accelerator
    reason: str


class _Cached(Value):
    key: dict[str, str]
    verdict: Acceleration


class AcceleratorProbe:
    """Finds the accelerator once, and keeps it in `cache` for as long as host, kernel and QEMU are the same."""

    def __init__(
        self, forced: Literal["auto", "kvm", "tcg"], cache: Path, paths: LibvirtPaths, hypervisor: Hypervisor
    ) -> None:
        self._forced: Accelerator | None = None if forced == "auto" else forced
        self._cache = cache
        self._paths = paths
        self._hypervisor = hypervisor
        self._turn = asyncio.Lock()

    async def decide(self, iso: Path | None) -> Acceleration:
        """Tell how to run machines; may boot the kernel of the live system `iso` for up to 15 s.

        Raises:
            Fault: `hypervisor.…` when there is no verdict because libvirt fails.

        """
        if self._forced is not None:
            return Acceleration(kind=self._forced, reason="OPENFACTORY_ACCELERATOR says so")
        if not _DEVICE.exists():
            return Acceleration(kind="tcg", reason="this host has no /dev/kvm")
        async with self._turn:
            key = await _key()
            known = self._read(key)
            if known is not None:
                return known
            if iso is None:
                return Acceleration(
                    kind="tcg", reason="KVM is not proven yet, and this build has no ISO to prove it with"
                )
            verdict = await self._prove(iso)
            self._write(_Cached(key=key, verdict=verdict))
            return verdict

    def _read(self, key: Mapping[str, str]) -> Acceleration | None:
        try:
            cached = _Cached.model_validate_json(self._cache.read_bytes())
        except (OSError, ValidationError):
            return None
        return cached.verdict if cached.key == key else None

    def _write(self, cached: _Cached) -> None:
        self._cache.parent.mkdir(parents=True, exist_ok=True)
        part = self._cache.with_suffix(".new")
        part.write_text(cached.model_dump_json(indent=1), encoding="utf-8")
        part.replace(self._cache)

    async def _prove(self, iso: Path) -> Acceleration:
        workspace = workspace_of(self._paths, _JOB, "kvm")
        with tempfile.TemporaryDirectory(prefix=_FOLDER, dir=self._paths.machines.parent) as folder:
            try:
                kernel, initrd = await _kernel_of(iso, Path(folder)), await _initrd(Path(folder))
            except CommandError as error:
                return Acceleration(kind="tcg", reason=f"KVM could not be tried: {error.problems[0].message}")
            try:
                await self._hypervisor.remove(workspace.name)
                return await self._boot(workspace, kernel, initrd)
            finally:
                await asyncio.shield(self._clean(workspace))

    async def _clean(self, workspace: Workspace) -> None:
        await self._hypervisor.remove(workspace.name)
        workspace.remove()

    async def _boot(self, workspace: Workspace, kernel: Path, initrd: Path) -> Acceleration:
        label = MachineLabel(job_id=_JOB, artifact="kvm", expires=int(time.time() + 10 * _BOOT_SECONDS))
        spec = workspace.prepare_kernel(kernel, initrd, "console=ttyS0 panic=-1", label)
        try:
            await self._hypervisor.start_paused(domain_xml(spec))
        except Fault as error:
            if error.code != "hypervisor.start_failed":
                raise
            what = " ".join(error.problems[0].message.split())
            return Acceleration(kind="tcg", reason=f"/dev/kvm is there, but {what}")
        port = SerialPort(workspace.folder)
        try:
            await port.open(workspace.sockets / "s")
            return await self._watch(workspace.name, port)
        finally:
            await port.close()

    async def _watch(self, name: str, port: SerialPort) -> Acceleration:
        started = time.monotonic()
        await self._hypervisor.resume(name)
        while True:
            condition = await self._hypervisor.condition(name)
            if condition in (Condition.OFF, Condition.KILLED, Condition.GONE):
                await port.drained(1.0)
            took = time.monotonic() - started
            if _MARKER in port.console.screen:
                return Acceleration(kind="kvm", reason=f"a kernel booted under KVM in {took:.1f} s")
            last = port.console.last_line or "nothing at all"
            if condition in (Condition.KILLED, Condition.GONE):
                return _refused(f"QEMU ended by itself; the last thing on the console was: {last}")
            if condition is not Condition.RUNNING:
                return _refused(f"its kernel stopped ({condition.value}); the last thing on the console was: {last}")
            if took > _BOOT_SECONDS:
                return _refused(
                    f"its kernel did not come up within {took:.0f} s; the last thing on the console was: {last}"
                )
            await asyncio.sleep(_POLL_SECONDS)


def sweep_proofs(paths: LibvirtPaths) -> int:
    """Remove what proofs of dead workers left beside the machines; answers how many. For a worker's start only."""
    left = [path for path in paths.machines.parent.glob(f"{_FOLDER}*") if path.is_dir()]
    for path in left:
        shutil.rmtree(path, ignore_errors=True)
    return len(left)


def _refused(what: str) -> Acceleration:
    return Acceleration(kind="tcg", reason=f"/dev/kvm opens, but a machine under it fails: {what}")


async def _key() -> dict[str, str]:
    """All that a verdict depends on: the processor, the running kernel, QEMU, and who may open the device."""
    version = await run(["qemu-system-x86_64", "--version"], timeout=_PROGRAM_SECONDS)
    device = _DEVICE.stat()
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    return {
        "cpu": next((line.partition(": ")[2] for line in lines if line.startswith("model name")), "unknown"),
        "kernel": " ".join(os.uname()[2:4]),
        "qemu": version.stdout.decode(errors="replace").partition("\n")[0],
        "device": f"{stat.filemode(device.st_mode)} {device.st_uid}:{device.st_gid}, asked by {os.geteuid()}",
    }


async def _kernel_of(iso: Path, folder: Path) -> Path:
    target = folder / "vmlinuz"
    extract = ["xorriso", "-osirrox", "on", "-indev", str(iso), "-extract", "/live/vmlinuz", str(target)]
    await run(extract, timeout=_PROGRAM_SECONDS, on_line=lambda _line: None)
    return target


async def _initrd(folder: Path) -> Path:
    """Pack an initramfs of busybox and an init that says the marker and switches the machine off."""
    tree = folder / "tree"
    (tree / "bin").mkdir(parents=True)
    shutil.copy(shutil.which("busybox") or "/bin/busybox", tree / "bin" / "busybox")
    (tree / "init").write_text(_INIT, encoding="utf-8")
    (tree / "init").chmod(0o755)
    names = b"bin\nbin/busybox\ninit\n"
    archive = await run(["cpio", "-o", "-H", "newc", "--quiet"], timeout=_PROGRAM_SECONDS, stdin=names, cwd=tree)
    target = folder / "initrd"
    target.write_bytes(archive.stdout)
    return target
