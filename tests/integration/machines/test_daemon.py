"""The private libvirtd: alone in its world, gone when told to go, back after a crash."""

import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from activities.machines.domain_xml import MachineSpec, domain_xml, machine_name
from activities.machines.hypervisor import Hypervisor
from activities.machines.labels import MachineLabel
from activities.machines.libvirt_machines import LibvirtMachines
from domain.errors import Fault
from infra.libvirt_client import LibvirtClient, destroy_all, wait_ready
from infra.libvirt_daemon import command
from infra.libvirt_paths import LibvirtPaths, qemu_user
from infra.settings import load
from tests.fakes.objects import FakeObjectStore
from tests.integration.machines.conftest import Daemon, House

pytestmark = pytest.mark.integration
NAME = machine_name("da3a0000-1", "iso")


@pytest.fixture
def other() -> Iterator[Daemon]:
    """A daemon of a home of its own, for tests that are not gentle with it."""
    with tempfile.TemporaryDirectory(prefix="of-d-") as home:
        daemon = Daemon(Path(home))
        yield daemon
        if daemon.process.poll() is None:
            daemon.stop()


async def start_idle_machine(daemon: Daemon) -> int:
    """Start a machine that never runs an instruction; answers its process id on the host."""
    sockets = daemon.paths.sockets / NAME
    sockets.mkdir()
    os.chown(sockets, qemu_user().uid, qemu_user().gid)
    spec = MachineSpec(
        name=NAME,
        label=MachineLabel(job_id="da3a0000-1", artifact="iso", expires=0),
        accelerator="tcg",
        memory=64,
        cpus=1,
        sockets=str(daemon.paths.inside_sockets(NAME)),
    )
    client = LibvirtClient(daemon.paths.uri)
    await Hypervisor(client).start_paused(domain_xml(spec))
    await client.close()
    return daemon.qemu(NAME).pid


async def test_two_homes_run_side_by_side_and_do_not_see_each_others_machines(house: House, other: Daemon) -> None:
    await start_idle_machine(other)
    here, there = LibvirtClient(house.daemon.paths.uri), LibvirtClient(other.paths.uri)
    assert [m.name for m in await Hypervisor(there).machines()] == [NAME]
    assert NAME not in [m.name for m in await Hypervisor(here).machines()]
    await here.close()
    await there.close()
    assert await destroy_all(other.paths.uri) == 1
    assert await destroy_all(other.paths.uri) == 0


async def test_a_machine_past_its_time_is_swept_away_with_its_files(other: Daemon) -> None:
    pid = await start_idle_machine(other)
    machines = LibvirtMachines(load({"OPENFACTORY_HOME": str(other.paths.home)}), FakeObjectStore())
    assert await machines.sweep(-1) == 0
    assert await machines.sweep(1) == 1
    assert not psutil.pid_exists(pid)
    assert not (other.paths.sockets / NAME).exists()
    assert await machines.sweep(1) == 0
    await machines.close()


async def test_sigterm_ends_the_daemon_and_its_machines(other: Daemon) -> None:
    pid = await start_idle_machine(other)
    assert other.stop() == 0
    assert not psutil.pid_exists(pid)


async def test_a_killed_keeper_leaves_no_machine_and_the_next_one_takes_over(other: Daemon) -> None:
    pid = await start_idle_machine(other)
    libvirtd = other.descendants("libvirtd")
    other.stop(signal.SIGKILL)
    psutil.wait_procs([*libvirtd, *(p for p in psutil.process_iter() if p.pid == pid)], timeout=10)
    assert not psutil.pid_exists(pid)
    assert (other.paths.root / "run" / "libvirt-sock").exists()

    again = Daemon(other.paths.home)
    client = LibvirtClient(again.paths.uri)
    hypervisor = Hypervisor(client)
    assert [m.name for m in await hypervisor.machines()] == [NAME]  # its definition is still there, to be swept
    assert await hypervisor.remove(NAME)
    await client.close()
    assert again.stop() == 0


def test_a_second_daemon_of_the_same_home_is_refused(other: Daemon) -> None:
    second = subprocess.run(command(other.paths.home), capture_output=True, text=True, timeout=30, check=False)
    assert second.returncode != 0
    assert "another process runs the libvirt" in second.stderr
    assert other.process.poll() is None


async def test_the_host_is_left_as_it_was(house: House) -> None:
    mounts = Path("/proc/self/mounts").read_text()
    assert str(house.daemon.paths.home) not in mounts
    assert not Path("/run/libvirt/libvirt-sock").exists() or not Path("/run/libvirt/libvirt-sock").samefile(
        house.daemon.paths.socket
    )


async def test_waiting_for_a_daemon_that_does_not_come_ends_with_a_fault(tmp_path: Path) -> None:
    with pytest.raises(Fault, match=r"hypervisor\.unavailable"):
        await wait_ready(LibvirtPaths(home=tmp_path).uri, time.monotonic())


async def test_a_daemon_that_hangs_is_a_fault_and_does_not_hang_its_caller(other: Daemon) -> None:
    client = LibvirtClient(other.paths.uri)
    assert await client.call(lambda connection: connection.numOfDomains()) == 0
    [libvirtd] = other.descendants("libvirtd")
    libvirtd.suspend()
    with pytest.raises(Fault, match=r"hypervisor\.(unavailable|timeout)"):
        await client.call(lambda connection: connection.numOfDomains(), seconds=1)
    libvirtd.resume()
    assert await client.call(lambda connection: connection.numOfDomains()) == 0
    await client.close()
