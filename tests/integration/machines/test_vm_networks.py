"""VMs on links of their own: they know each other by name, are reached by a forward, and take their links with them."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from activities.machines import vm_models as m
from activities.vm_ref import VmRef
from domain.vm.spec import Network, PortForward
from tests.integration.machines.conftest import House
from tests.integration.machines.vm_yard import Yard, yard_of

pytestmark = [pytest.mark.integration, pytest.mark.timeout(500)]  # emulation on a busy host is slow
SERVE = ("sh", "-c", "echo hello from $0 > /tmp/index.html; httpd -h /tmp -p 80", "primary")


@pytest.fixture
async def yard(house: House) -> AsyncIterator[Yard]:
    async with yard_of(house, networks=True) as made:
        yield made


async def boot(yard: Yard, hostname: str, *forwards: PortForward) -> tuple[VmRef, m.VmStarted]:
    networks = (Network(name="lan", scope="run", hostname=hostname),)
    changes = {"networks": networks, "forwards": forwards, "egress": False}
    vm = await yard.create(yard.spec.model_copy(update=changes))
    started = await yard.vms.start(m.StartVm(vm=vm))
    await yard.vms.await_agent(m.AwaitAgent(vm=vm))
    return vm, started


async def get(port: int) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET / HTTP/1.0\r\n\r\n")
    try:
        return await reader.read()
    finally:
        writer.close()
        await writer.wait_closed()


async def test_two_vms_know_each_other_also_after_a_snapshot_and_a_forward_leads_to_one(yard: Yard) -> None:
    primary, started = await boot(yard, "primary", PortForward(guest_port=80))
    client, _ = await boot(yard, "client")

    async def run(vm: VmRef, *argv: str) -> m.CommandDone:
        return await yard.vms.run_command(m.RunCommand(vm=vm, argv=argv, limit=60))

    assert (await run(primary, *SERVE)).status == 0
    fetched = await run(client, "wget", "-q", "-O", "-", "http://primary/")
    assert fetched.stdout == "hello from primary\n", fetched.stderr
    back = await run(primary, "ping", "-c", "1", "-W", "5", "client")
    assert back.status == 0, back.stderr

    [forward] = started.forwards
    assert forward.host_port is not None
    assert b"hello from primary" in await get(forward.host_port)
    opened = await yard.vms.open_forward(m.OpenForward(vm=primary, forward=PortForward(guest_port=80)))
    assert opened.forward == forward

    await yard.vms.take_snapshot(m.TakeSnapshot(vm=client, snapshot_id="s"))
    assert (await yard.vms.restore_snapshot(m.RestoreSnapshot(vm=client, snapshot_id="s"))).running
    await yard.vms.await_agent(m.AwaitAgent(vm=client))
    assert (await run(client, "wget", "-q", "-O", "-", "http://primary/")).stdout == "hello from primary\n"

    await yard.remove(primary)
    with pytest.raises(OSError, match="Connect call failed"):
        await get(forward.host_port)
