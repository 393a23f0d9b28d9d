"""One running machine, looked at from inside and outside. It is booted once for the whole file."""

import asyncio
import http.server
import threading
from collections.abc import AsyncIterator, Iterator
from http import HTTPStatus
from pathlib import Path

import pytest

from activities.job import Job
from activities.machines.domain_xml import machine_name
from activities.machines.libvirt_machines import LibvirtMachines
from activities.machines.models import ReleaseInput
from domain.errors import Fault, Verdict
from tests.integration.machines.conftest import House, Lines, blocking

pytestmark = [pytest.mark.integration, pytest.mark.timeout(400)]  # emulation on a busy host is slow
JOB = "feed0000-0000-4000-8000-000000000002"
NAME = machine_name(JOB, "iso")


@pytest.fixture(scope="module")
def booted(house: House) -> Iterator[House]:
    """The machine is up; whoever booted it is gone, as after the death of a worker."""

    async def boot() -> None:
        machines = house.machines()
        await machines.boot(await house.order(JOB, "well", "iso"), Lines())
        await machines.close()

    async def release() -> None:
        machines = house.machines()
        await machines.release(ReleaseInput(job=Job(job_id=JOB, org_id="o"), reason="finished"))
        await machines.close()

    blocking(boot())
    yield house
    blocking(release())


@pytest.fixture
async def machines(booted: House) -> AsyncIterator[LibvirtMachines]:
    machines = booted.machines()
    yield machines
    await machines.close()


@pytest.fixture
def web_server() -> Iterator[int]:
    """A server on the host's loopback that anybody here can reach; answers its port."""

    class Hello(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(HTTPStatus.OK)
            self.end_headers()
            self.wfile.write(b"the host's secret")

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            del format, args

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hello) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


async def test_the_guest_reaches_its_gateway_but_no_service_of_the_host(
    machines: LibvirtMachines, web_server: int
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", web_server)
    writer.write(b"GET / HTTP/1.0\r\n\r\n")
    assert b"the host's secret" in await reader.read()
    writer.close()

    guest = machines.guest(JOB, "iso")
    ping = await guest.run(("ping", "-c", "1", "-W", "5", "10.0.2.2"), timeout=20)
    assert ping.status == 0, ping.stdout + ping.stderr
    fetch = await guest.run(("wget", "-q", "-O", "-", f"http://10.0.2.2:{web_server}/"), timeout=30)
    assert (fetch.status, fetch.stdout) == (1, b"")
    assert b"can't connect" in fetch.stderr
    # The guest's own programs and network do work.
    assert (await guest.run(("httpd", "-p", "127.0.0.1:99", "-h", "/"), timeout=10)).status == 0
    own = await guest.run(("wget", "-q", "-O", "-", "http://127.0.0.1:99/init"), timeout=20)
    assert own.stdout.startswith(b"#!/bin/busybox sh"), own.stderr


async def test_qemu_is_not_root_and_no_route_leads_out_of_where_it_is(booted: House) -> None:
    qemu = booted.daemon.qemu(NAME)
    assert qemu.uids().effective != 0
    network = Path(f"/proc/{qemu.pid}/net")
    interfaces = {line.split()[0] for line in (network / "dev").read_text().splitlines()[2:]}
    # The way out of the machines that may use it; its default route is in a table of its own (decision 7).
    assert interfaces <= {"lo:", "tap0:"}
    destinations = [line.split()[1] for line in (network / "route").read_text().splitlines()[1:]]
    assert "00000000" not in destinations


async def test_output_beyond_the_cap_is_cut_and_too_much_is_said_to_be_too_much(machines: LibvirtMachines) -> None:
    guest = machines.guest(JOB, "iso")
    large = await guest.run(("head", "-c", "1500000", "/dev/zero"), timeout=60)
    assert len(large.stdout) == 1 << 20
    with pytest.raises(Verdict, match=r"guest\.output_too_large"):
        await guest.run(("head", "-c", "6000000", "/dev/zero"), timeout=60)
    assert (await guest.run(("true",), timeout=10)).status == 0


async def test_a_program_that_does_not_end_is_stopped(machines: LibvirtMachines) -> None:
    guest = machines.guest(JOB, "iso")
    with pytest.raises(Verdict, match=r"guest\.timeout"):
        await guest.run(("sleep", "98765"), timeout=1)
    listed = await guest.run(("ps",), timeout=10)
    assert b"98765" not in listed.stdout


async def test_twenty_programs_run_in_one_guest_at_once(machines: LibvirtMachines) -> None:
    guest = machines.guest(JOB, "iso")
    results = await asyncio.gather(*(guest.run(("echo", str(n)), timeout=60) for n in range(20)))
    assert [int(result.stdout) for result in results] == list(range(20))


async def test_evidence_is_kept_by_a_worker_that_did_not_boot_the_machine(
    machines: LibvirtMachines, booted: House
) -> None:
    keys = await machines.capture(JOB, 0, "iso", Lines())
    kept = {key.rpartition("/")[2]: booted.objects.objects[key] for key in keys}
    assert b"Welcome to the test guest" in kept["serial.log"]
    assert kept["screenshot.png"].startswith(b"\x89PNG")


async def test_a_sweep_leaves_what_is_in_use_and_removes_files_without_a_machine(
    machines: LibvirtMachines, booted: House
) -> None:
    stray = booted.daemon.paths.machines / "of-0000000000-iso"
    stray.mkdir()
    assert await machines.sweep(0) == 1
    assert not stray.exists()
    assert (await machines.guest(JOB, "iso").run(("true",), timeout=10)).status == 0


async def test_a_killed_libvirtd_comes_back_and_finds_its_machines(machines: LibvirtMachines, booted: House) -> None:
    guest = machines.guest(JOB, "iso")
    assert (await guest.run(("true",), timeout=10)).status == 0
    [libvirtd] = booted.daemon.descendants("libvirtd")
    libvirtd.kill()
    libvirtd.wait(10)
    await booted.daemon.wait_ready()
    assert (await guest.run(("echo", "still here"), timeout=10)).stdout == b"still here\n"


async def test_a_killed_qemu_is_the_hosts_fault_and_leaves_nothing_after_release(
    machines: LibvirtMachines, booted: House
) -> None:
    """Last in this file: the machine is gone afterwards."""
    booted.daemon.qemu(NAME).kill()
    with pytest.raises(Fault, match=r"machine\.lost"):
        await machines.guest(JOB, "iso").run(("true",), timeout=10)
    assert await machines.release(ReleaseInput(job=Job(job_id=JOB, org_id="o"), reason="failed")) == 1
    assert not booted.daemon.descendants("qemu")
    assert not list(booted.daemon.paths.machines.iterdir())
    assert not list(booted.daemon.paths.sockets.iterdir())
