"""VMs of a factory against QEMU started by hand, with the same image, firmware and sizes."""

import asyncio
import hashlib
import json
import time
from pathlib import Path
from typing import Any

from activities.machines.guest import LibvirtGuest
from activities.machines.hypervisor import Hypervisor
from activities.machines.vm_folder import vm_name
from benchmarks.assertions import assertions
from benchmarks.bare_qemu import booted
from benchmarks.measure import Figure, Line, median_ratio
from cli.client.session import FactorySession
from infra.libvirt_client import LibvirtClient
from infra.libvirt_paths import LibvirtPaths
from tests.e2e.stack import Stack

MEMORY, CPUS = 1024, 1
_SECONDS = 900.0
_PAIRS = 3


async def upload(stack: Stack, image: Path) -> str:
    """Give the factory the image; answers its id."""
    done = await asyncio.to_thread(stack.run, "image", "upload", str(image), "--json", timeout=600)
    return str(json.loads(done.stdout)["image_id"])


async def create_to_ready(stack: Stack, session: FactorySession, image: Path) -> list[Line]:
    """From `create_vm` to the guest's first answer, and to a running QEMU, one after the other."""
    image_id = await upload(stack, image)
    ready: list[tuple[float, float]] = []
    running: list[float] = []
    for _ in range(_PAIRS):
        async with booted(image, memory=MEMORY, cpus=CPUS) as bare:
            pass
        vm_id, to_running, to_ready = await _one(session, image_id)
        ready.append((to_ready, bare.seconds))
        running.append(to_running)
        await _gone(session, vm_id)
    note = f"QEMU runs {min(running):.2f}-{max(running):.2f} s after create_vm"
    return [median_ratio("create_vm until the guest answers, against QEMU by hand", ready, "≤ 1.05", note)]


async def second_vm(stack: Stack, session: FactorySession, image: Path) -> list[Line]:
    """From `create_vm` to a running QEMU for a second VM of an image, and what its disk holds then."""
    image_id = await upload(stack, image)
    first, _, _ = await _one(session, image_id, wait_ready=False)
    second, seconds, _ = await _one(session, image_id, wait_ready=False)
    disk = stack.home / "libvirt" / "lib" / "machines" / vm_name(second) / "disk.qcow2"
    kib = disk.stat().st_blocks // 2
    base = image.stat().st_size // 1024
    for vm_id in (first, second):
        await _gone(session, vm_id)
    note = f"its own disk holds {kib} KiB, its image {base} KiB"
    return [Figure("a second VM of an image until its QEMU runs", seconds, "s", "< 1", note)]


async def thirty_assertions(stack: Stack, session: FactorySession, image: Path) -> list[Line]:
    """Ask a VM of the factory through the same agent as its host does."""
    vm_id, _, _ = await _one(session, await upload(stack, image))
    libvirt = LibvirtClient(LibvirtPaths(home=stack.home).uri)
    try:
        return [await assertions(LibvirtGuest(Hypervisor(libvirt), vm_name(vm_id)))]
    finally:
        await libvirt.close()
        await _gone(session, vm_id)


async def _one(session: FactorySession, image_id: str, *, wait_ready: bool = True) -> tuple[str, float, float]:
    started = time.monotonic()
    name = "bench-" + hashlib.sha256(str(started).encode()).hexdigest()[:8]
    request = {"image_id": image_id, "name": name, "memory": MEMORY, "cpus": CPUS}
    vm_id = str((await session.call("create_vm", request))["vm_id"])
    vm = await _until(session, vm_id, "running")
    to_running = time.monotonic() - started
    while wait_ready and not vm.get("ready"):
        vm = await session.call("get_vm", {"vm_id": vm_id, "wait_s": 20})
    return vm_id, to_running, time.monotonic() - started


async def _gone(session: FactorySession, vm_id: str) -> None:
    await session.call("delete_vm", {"vm_id": vm_id})
    await _until(session, vm_id, "deleted")


async def _until(session: FactorySession, vm_id: str, status: str) -> dict[str, Any]:
    async with asyncio.timeout(_SECONDS):
        while True:
            vm = await session.call("get_vm", {"vm_id": vm_id, "wait_s": 20})
            if vm["status"] == status:
                return vm
            if vm["status"] == "failed":
                raise RuntimeError(json.dumps(vm))
