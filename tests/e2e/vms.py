"""Machines over the public road: followed, asked, deleted, and their processes."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cli.client.session import FactorySession

READY_SECONDS = 300.0
SIZE = {"memory": 512, "cpus": 1}


async def console(session: FactorySession, vm_id: str, channel: str) -> str:
    """Have a link that opens the console once."""
    return str((await session.call("get_console_link", {"vm_id": vm_id, "channel": channel}))["url"])


async def run(session: FactorySession, vm_id: str, text: str) -> dict[str, Any]:
    """Run a line of shell in the guest."""
    return await session.call("run_vm_command", {"vm_id": vm_id, "command": ["/bin/sh", "-c", text]})


async def until_vm(
    session: FactorySession, vm_id: str, holds: Callable[[dict[str, Any]], object], *, seconds: float = READY_SECONDS
) -> dict[str, Any]:
    """Follow a VM until it holds; one that failed instead says why."""
    deadline = time.monotonic() + seconds
    vm: dict[str, Any] = {}
    while time.monotonic() < deadline:
        vm = await session.call("get_vm", {"vm_id": vm_id, "wait_s": 2})
        if holds(vm):
            return vm
        if vm["status"] == "failed":
            break
    raise AssertionError(f"it did not come to hold: {json.dumps(vm)[:3000]}")


async def delete(session: FactorySession, vm_id: str) -> None:
    """Delete a VM and wait until that is done."""
    await session.call("delete_vm", {"vm_id": vm_id})
    await until_vm(session, vm_id, lambda vm: vm["status"] == "deleted", seconds=90)


def qemu_of(vm_id: str) -> int:
    """Find the process of a VM, which names it."""
    name = f"guest=vm-{vm_id.replace('-', '')[:12]}"
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                argv = (entry / "cmdline").read_bytes().decode(errors="replace")
            except OSError:
                continue
            if "qemu-system" in argv and name in argv:
                return int(entry.name)
    raise AssertionError(f"no process runs {name}")
