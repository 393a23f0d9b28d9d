"""A worker that is killed at any moment of what it does to a VM: the next one goes on, or removes everything."""

import asyncio
import json
import random
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from activities.machines import vm_models as m
from activities.vm_ref import VmRef
from domain.model import Value
from tests.guests import tiny_guest
from tests.integration.machines.conftest import House
from tests.integration.machines.vm_yard import Yard, yard_of

pytestmark = [pytest.mark.integration, pytest.mark.faults, pytest.mark.timeout(600)]
ROOT = Path(__file__).parents[3]
SEED = 7
ROUNDS = 6


@pytest.fixture
async def yard(house: House) -> AsyncIterator[Yard]:
    async with yard_of(house) as made:
        yield made


async def kill_while(yard: Yard, method: str, request: Value, seconds: float) -> bool:
    """Have another process do it and kill that after `seconds`; answers whether it was still at it."""
    order = json.dumps({"method": method, "request": request.model_dump(mode="json")})
    worker = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.integration.machines.vm_worker",
        str(yard.house.settings.home),
        str(await tiny_guest()),
        order,
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
    )
    assert worker.stdout is not None
    assert await worker.stdout.readline() == b"begun\n"
    try:
        async with asyncio.timeout(seconds):
            await worker.wait()
    except TimeoutError:
        worker.send_signal(signal.SIGKILL)
        await worker.wait()
        return True
    assert worker.returncode == 0
    return False


def moments(longest: float) -> list[float]:
    """Moments at which to kill; the same ones each time."""
    chance = random.Random(SEED)
    return [chance.uniform(0, longest) for _ in range(ROUNDS)]


@pytest.mark.parametrize("seconds", moments(0.5))
async def test_making(yard: Yard, seconds: float) -> None:
    blob = yard.house.daemon.paths.blob(yard.spec.image.digest)
    blob.unlink(missing_ok=True)
    kept, removed = yard.ref(), yard.ref()
    for vm in (kept, removed):
        await kill_while(yard, "create", m.CreateVm(vm=vm, spec=yard.spec), seconds)
    await yard.vms.create(m.CreateVm(vm=kept, spec=yard.spec))
    await yard.vms.start(m.StartVm(vm=kept))
    await yard.remove(removed)
    assert (await yard.power(kept)).power == "running"
    assert (await yard.power(removed)).power == "absent"
    await yard.vms.adopt()
    assert not list(yard.house.daemon.paths.store.rglob(".fetch-*"))


@pytest.mark.parametrize("seconds", moments(1.0))
async def test_starting(yard: Yard, seconds: float) -> None:
    kept, removed = await yard.create(), await yard.create()
    for vm in (kept, removed):
        await kill_while(yard, "start", m.StartVm(vm=vm), seconds)
    assert (await yard.vms.start(m.StartVm(vm=kept))).boot in (1, 2)
    assert (await yard.power(kept)).power == "running"
    assert await yard.remove(removed) > 0


@pytest.mark.parametrize("seconds", moments(1.5))
async def test_taking_a_snapshot(yard: Yard, seconds: float) -> None:
    vm = await yard.start()
    await kill_while(yard, "take_snapshot", m.TakeSnapshot(vm=vm, snapshot_id="s"), seconds)
    assert (await yard.power(vm)).power == "running"
    assert (await yard.vms.take_snapshot(m.TakeSnapshot(vm=vm, snapshot_id="s"))).memory
    assert (await yard.vms.restore_snapshot(m.RestoreSnapshot(vm=vm, snapshot_id="s"))).running


@pytest.mark.parametrize("seconds", moments(1.5))
async def test_restoring_a_snapshot(yard: Yard, seconds: float) -> None:
    vm = await yard.start()
    await yard.vms.take_snapshot(m.TakeSnapshot(vm=vm, snapshot_id="s"))
    await kill_while(yard, "restore_snapshot", m.RestoreSnapshot(vm=vm, snapshot_id="s"), seconds)
    assert (await yard.vms.restore_snapshot(m.RestoreSnapshot(vm=vm, snapshot_id="s"))).running
    assert (await yard.power(vm)).power == "running"


@pytest.mark.parametrize("seconds", moments(0.3))
async def test_removing(yard: Yard, seconds: float) -> None:
    vm = await yard.start()
    await kill_while(yard, "delete", m.DeleteVm(vm=vm), seconds)
    await yard.remove(vm)
    assert (await yard.power(vm)).power == "absent"
    assert yard.left() == []


async def test_what_a_killed_worker_left_for_good_goes_when_the_host_is_held_anew(yard: Yard) -> None:
    ref: list[VmRef] = [yard.ref() for _ in range(3)]
    for vm, seconds in zip(ref, moments(0.4), strict=False):
        await kill_while(yard, "create", m.CreateVm(vm=vm, spec=yard.spec), seconds)
    await yard.vms.obey(m.HoldHost(host="h", floor=1))
    await yard.vms.sweep()
    assert yard.left() == []
