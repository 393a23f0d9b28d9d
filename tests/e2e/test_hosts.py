"""A factory with a second host: its own libvirt, its own worker, no database."""

import asyncio
import os
import signal
from collections.abc import Generator
from typing import Any

import pytest

from cli.client.session import FactorySession
from tests.e2e.stack import Stack
from tests.e2e.vms import SIZE, delete, run, until_vm
from tests.held import fleet_of
from tests.invariants import Witness, assert_nothing_left
from tests.ports import free_port

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

NAME = "second"
LOST_SECONDS = 120.0
_NOT_OF_A_HOST = ("DATABASE_URL", "OPENFACTORY_HOME", "OPENFACTORY_PORT")


@pytest.fixture
def second(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Generator[Stack]:
    """Run one more host of the factory, as docs/guides/hypervisors.md says."""
    state = stack.state()
    assert state is not None
    witness = Witness(stack.home)
    environ = {name: value for name, value in os.environ.items() if name not in _NOT_OF_A_HOST} | {
        "OPENFACTORY_HOST_ID": NAME,
        "OPENFACTORY_RELAY_BIND": f"127.0.0.1:{free_port()}",
        "OPENFACTORY_RELAY_SECRET": (stack.home / "secrets" / "relay.key").read_text(encoding="utf-8").strip(),
        "TEMPORAL_ADDRESS": state.addresses.temporal,
        **witness.object_store(),
    }
    host = Stack(tmp_path_factory.mktemp("host") / "h", free_port(), environ, "--host")
    host.start()
    yield host
    if host.process is not None and host.process.poll() is None:
        host.stop()


async def test_machines_are_placed_on_two_hosts_and_one_that_dies_loses_only_its_own(
    stack: Stack, second: Stack, session: FactorySession, image_id: str
) -> None:
    fleet = await fleet_of(second.environ["TEMPORAL_ADDRESS"])
    assert len(fleet.hosts) == 2, fleet
    # One host has no room for two of them. Emulated memory is not taken before the guest touches it.
    memory = min(host.total.memory for host in fleet.hosts) * 6 // 10
    vms = [await made(session, image_id, number, memory=memory) for number in range(2)]
    where = {vm["host"]: vm["vm_id"] for vm in vms}
    assert len(where) == 2, where
    theirs = where.pop(NAME)
    [ours] = where.values()
    for vm_id in (ours, theirs):
        await until_vm(session, vm_id, lambda vm: vm.get("ready"))
    assert (await run(session, theirs, "echo here"))["stdout"] == "here\n"

    die(second)
    lost = await until_vm(session, theirs, lambda vm: vm["status"] == "lost", seconds=LOST_SECONDS)
    assert NAME in lost["reason"]
    assert (await run(session, ours, "echo still"))["stdout"] == "still\n"
    meanwhile = await made(session, image_id, 2)
    assert meanwhile["host"] != NAME
    await delete(session, meanwhile["vm_id"])

    second.start()
    await until_up(second)
    await session.call("start_vm", {"vm_id": theirs})
    vm = await until_vm(session, theirs, lambda vm: vm.get("ready"))
    assert vm["host"] == NAME
    for vm_id in (ours, theirs):
        await delete(session, vm_id)
    for home in (stack.home, second.home):
        assert_nothing_left(home)
    assert await asyncio.to_thread(second.stop) == 0


async def made(session: FactorySession, image_id: str, number: int, **size: int) -> dict[str, Any]:
    """Have a machine that runs."""
    created = await session.call("create_vm", {"image_id": image_id, "name": f"placed-{number}", **SIZE, **size})
    return await until_vm(session, created["vm_id"], lambda vm: vm["status"] == "running")


async def until_up(host: Stack) -> None:
    """Wait until the fleet knows that the host is back: its parts are ready before its lease is."""
    async with asyncio.timeout(LOST_SECONDS):
        while not all(known.up for known in (await fleet_of(host.environ["TEMPORAL_ADDRESS"])).hosts):  # noqa: ASYNC110 - it is in another process
            await asyncio.sleep(0.2)


def die(host: Stack) -> None:
    """Have a host lose its supervisor and with it all parts, as if the power went for all but its disk."""
    assert host.process is not None
    host.process.send_signal(signal.SIGKILL)
    host.process.wait(30)
