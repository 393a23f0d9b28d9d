"""A build's machine without the guest agent is entered over SSH."""

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from activities.job import Job
from activities.machines import job_entry
from activities.machines.libvirt_machines import LibvirtMachines
from activities.machines.models import ReleaseInput
from activities.machines.networks import GuestNetworks
from activities.machines.ssh_key import key_file
from domain.errors import Fault, Verdict
from tests.guests import ssh_key
from tests.integration.machines.conftest import House, Lines

pytestmark = [pytest.mark.integration, pytest.mark.timeout(400)]
JOB = "55400000-0000-4000-8000-000000000001"
RECIPE = {"name": "web", "baseImage": "debian-bookworm", "guestAgent": False}
WITH_ROOT = {**RECIPE, "services": [{"name": "ssh", "config": {"allow_root": True}}]}


@pytest.fixture
async def machines(house: House) -> AsyncIterator[LibvirtMachines]:
    made = LibvirtMachines(house.settings, house.objects, networks=GuestNetworks(house.daemon.paths))
    yield made
    await made.release(ReleaseInput(job=Job(job_id=JOB, org_id="o"), reason="finished"))
    await made.close()


async def test_it_boots_is_asked_and_leaves_nothing(
    house: House, machines: LibvirtMachines, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = await ssh_key()

    async def the_key_that_the_tiny_guest_knows(folder: Path) -> None:
        key_file(folder).parent.mkdir(mode=0o700)
        shutil.copy(known, key_file(folder))
        shutil.copy(known.with_suffix(".pub"), key_file(folder).with_suffix(".pub"))

    monkeypatch.setattr(job_entry, "make_key", the_key_that_the_tiny_guest_knows)
    order = (await house.order(JOB, "ssh", "iso")).model_copy(update={"recipe": WITH_ROOT})
    result = await machines.boot(order, Lines())
    assert [report.booted for report in result.reports] == [True]
    done = await machines.guest(JOB, "iso").run(("sh", "-c", "id -u; cat; exit 3"), timeout=30, stdin=b"in")
    assert (done.status, done.stdout) == (3, b"0\nin")
    strings = await machines.guest(JOB, "iso").run(("cat", "/sys/firmware/dmi/tables/DMI"), timeout=30)
    assert b"io.systemd.credential.binary:ssh.authorized_keys.root=" in strings.stdout
    await machines.release(ReleaseInput(job=order.job, reason="finished"))
    assert not list(house.daemon.paths.machines.glob("of-554*"))
    with pytest.raises(Fault, match=r"network\.unknown_machine"):
        await GuestNetworks(house.daemon.paths).open_guest_port("of-5540000000-iso", 22)


async def test_a_recipe_that_lets_nobody_in_is_said_so_at_once(house: House, machines: LibvirtMachines) -> None:
    order = (await house.order(JOB, "ssh", "iso")).model_copy(update={"recipe": RECIPE})
    with pytest.raises(Verdict, match=r"boot\.no_entry"):
        await machines.boot(order, Lines())
