"""The life of VMs over the public road: uploaded, started, used, broken, deleted."""

import asyncio
import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from cli.client.session import FactorySession
from tests.e2e.stack import Stack
from tests.e2e.vms import READY_SECONDS, SIZE, console, delete, qemu_of, run, until_vm
from tests.integration.consoles.browser import CHROMIUM, CONNECTED, LIT, Page, browser, photographed
from tests.invariants import assert_nothing_left

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

HISTORY_SECONDS = 120.0
# A shell on the screen and one on the serial port.
SHELLS = 'for tty in tty1 ttyS0; do setsid sh -c "exec sh -i < /dev/$tty > /dev/$tty 2>&1" & done'


async def test_a_vm_is_used_from_its_upload_to_its_end_and_its_history_replays(
    stack: Stack, session: FactorySession, image_id: str, tmp_path: Path
) -> None:
    request = {"image_id": image_id, "name": "used", **SIZE, "request_key": "used-1"}
    created = await session.call("create_vm", request)
    again = await session.call("create_vm", request)
    assert (again["vm_id"], again["replayed"]) == (created["vm_id"], True)
    vm_id = created["vm_id"]
    await until_vm(session, vm_id, lambda vm: vm.get("ready"))
    said = await run(session, vm_id, "cat /proc/version; echo kept > /tmp/note")
    assert said["status"] == 0
    assert "Linux version" in said["stdout"]
    assert said["untrusted"] is True
    await session.call("snapshot_vm", {"vm_id": vm_id, "name": "before"})
    vm = await until_vm(session, vm_id, lambda vm: vm.get("snapshots"))
    assert vm["snapshots"][0]["memory"] is True
    await run(session, vm_id, "rm /tmp/note")
    await session.call("restore_vm", {"vm_id": vm_id, "snapshot_id": vm["snapshots"][0]["snapshot_id"]})
    await until_vm(session, vm_id, lambda vm: _last(vm, "restore") == "done" and vm.get("ready"))
    assert (await run(session, vm_id, "cat /tmp/note"))["stdout"] == "kept\n"  # memory and disk are as they were
    link = await session.call("get_console_link", {"vm_id": vm_id})
    assert link["url"].startswith(stack.url)
    await session.call("stop_vm", {"vm_id": vm_id, "grace_s": 0})
    await until_vm(session, vm_id, lambda vm: vm["status"] == "stopped")
    await session.call("start_vm", {"vm_id": vm_id})
    await until_vm(session, vm_id, lambda vm: vm["status"] == "running")
    await delete(session, vm_id)
    assert_nothing_left(stack.home)
    await until_kept(stack, session, vm_id)
    saved = await asyncio.to_thread(stack.run, "vm", "show", vm_id, "--histories", str(tmp_path))
    assert saved.returncode == 0, saved.stdout + saved.stderr
    for history in tmp_path.iterdir():
        replayed = await asyncio.to_thread(stack.run, "replay", str(history))
        assert replayed.returncode == 0, replayed.stdout + replayed.stderr
    assert list(tmp_path.iterdir())


async def test_a_vm_whose_qemu_is_killed_is_called_lost_within_seconds_and_can_be_started_again(
    stack: Stack, session: FactorySession, image_id: str
) -> None:
    created = await session.call("create_vm", {"image_id": image_id, "name": "killed", **SIZE})
    vm_id = created["vm_id"]
    await until_vm(session, vm_id, lambda vm: vm["status"] == "running")
    os.kill(qemu_of(vm_id), signal.SIGKILL)
    lost = await until_vm(session, vm_id, lambda vm: vm["status"] == "lost", seconds=30)
    assert "QEMU" in lost["reason"]
    await session.call("start_vm", {"vm_id": vm_id})
    await until_vm(session, vm_id, lambda vm: vm["status"] == "running")
    await delete(session, vm_id)
    assert_nothing_left(stack.home)


async def test_a_vm_survives_its_worker_and_is_taken_up_again(
    stack: Stack, session: FactorySession, image_id: str
) -> None:
    created = await session.call("create_vm", {"image_id": image_id, "name": "orphaned", **SIZE})
    vm_id = created["vm_id"]
    stack.kill("host-worker")
    await until_vm(session, vm_id, lambda vm: vm["status"] == "running")
    process = qemu_of(vm_id)
    stack.kill("host-worker")
    stack.kill("core-worker")
    stack.pid("host-worker")
    await until_vm(session, vm_id, lambda vm: vm.get("ready"))
    assert qemu_of(vm_id) == process
    await delete(session, vm_id)
    assert_nothing_left(stack.home)


@pytest.mark.skipif(
    CHROMIUM is None, reason="Chromium is not installed; ./openfactory test installs it, or: apt install chromium"
)
async def test_the_consoles_of_a_vm_are_seen_and_typed_on_in_a_browser(
    stack: Stack, session: FactorySession, image_id: str
) -> None:
    created = await session.call("create_vm", {"image_id": image_id, "name": "watched", **SIZE})
    vm_id = created["vm_id"]
    await until_vm(session, vm_id, lambda vm: vm.get("ready"))
    await run(session, vm_id, SHELLS)
    async with browser() as chromium, chromium.tab() as screen, chromium.tab() as serial:
        await screen.open(await console(session, vm_id, "vnc"))
        await screen.until(CONNECTED)
        await screen.until(f"{LIT} > 500")
        await types(screen, "echo by keyboard > /tmp/screen\n")
        await until_said(session, vm_id, "cat /tmp/screen", "by keyboard\n")
        await photographed(screen, "stack-screen")

        await serial.open(await console(session, vm_id, "serial"))
        await serial.until(CONNECTED)
        await types(serial, "echo $((6 * 7)) answers; echo by serial port > /tmp/serial\n")
        await until_said(session, vm_id, "cat /tmp/serial", "by serial port\n")
        await serial.until("document.querySelector('.xterm-rows').textContent.includes('42 answers')")
        await photographed(serial, "stack-serial")
        assert screen.messages == serial.messages == []
    await delete(session, vm_id)
    assert_nothing_left(stack.home)


async def types(page: Page, text: str) -> None:
    """Have the page type a text into the machine."""
    await page.click("#clipboard-open")
    await page.run(f"document.getElementById('paste').value = {json.dumps(text)}")
    await page.click("#type")


async def until_said(session: FactorySession, vm_id: str, text: str, wanted: str) -> None:
    """Ask the guest until it says that."""
    deadline = time.monotonic() + READY_SECONDS
    said: dict[str, Any] = {}
    while time.monotonic() < deadline:
        said = await run(session, vm_id, text)
        if said["stdout"] == wanted:
            return
    raise AssertionError(f"it never said {wanted!r}: {said}")


def _last(vm: dict[str, Any], command: str) -> str | None:
    return next((c["status"] for c in reversed(vm.get("commands", ())) if c["command"] == command), None)


async def until_kept(stack: Stack, session: FactorySession, vm_id: str) -> None:
    """Have the histories of closed runs kept now, not only at the next of their times, until the VM's is linked."""
    async with asyncio.timeout(HISTORY_SECONDS):
        while not (await session.call("get_vm", {"vm_id": vm_id})).get("histories"):
            await asyncio.to_thread(stack.temporal, "schedule", "trigger", "--schedule-id", "historian")
            await asyncio.sleep(1)
