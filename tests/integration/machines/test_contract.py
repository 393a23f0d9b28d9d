"""What every kind of machines does, the real ones and the fake."""

from collections.abc import AsyncIterator

import pytest

from activities.job import Job
from activities.machines.models import BootInput, ReleaseInput
from activities.machines.ports import Machines
from domain.artifacts import Artifact, Blob
from domain.errors import Fault
from tests.fakes.machines import FakeMachines
from tests.fakes.objects import FakeObjectStore
from tests.integration.machines.conftest import House, Lines

pytestmark = [pytest.mark.integration, pytest.mark.timeout(400)]  # emulation on a busy host is slow
JOB = "c0ffee00-0000-4000-8000-000000000001"


class Case:
    def __init__(self, machines: Machines, order: BootInput, objects: FakeObjectStore) -> None:
        self.machines = machines
        self.order = order
        self.objects = objects
        self.log = Lines()

    def release(self) -> ReleaseInput:
        return ReleaseInput(job=self.order.job, reason="finished")


@pytest.fixture(params=["fake", "real"])
async def case(request: pytest.FixtureRequest) -> AsyncIterator[Case]:
    if request.param == "fake":
        objects = FakeObjectStore()
        artifacts = tuple(Artifact(kind=k, name=k, blob=Blob(digest="0" * 64, bytes=1)) for k in ("qcow2", "iso"))
        order = BootInput(job=Job(job_id=JOB, org_id="o"), recipe={}, artifacts=artifacts)
        yield Case(FakeMachines(objects), order, objects)
        return
    house: House = request.getfixturevalue("house")
    machines = house.machines()
    yield Case(machines, await house.order(JOB, "well", "qcow2", "iso"), house.objects)
    await machines.release(ReleaseInput(job=Job(job_id=JOB, org_id="o"), reason="finished"))
    await machines.close()


async def test_artifacts_boot_run_programs_leave_evidence_and_are_released(case: Case) -> None:
    """One test, because one boot: the parts of a machine's life in their order."""
    result = await case.machines.boot(case.order, case.log)
    reports = {report.artifact: report for report in result.reports}
    assert {kind: report.firmware for kind, report in reports.items()} == {"qcow2": "uefi", "iso": "bios"}
    assert all(report.booted and report.seconds > 0 for report in reports.values())
    assert case.log.steps[-1][0] == 100
    assert any("Welcome" in line for line in case.log.lines)

    for kind in reports:
        guest = case.machines.guest(JOB, kind)
        said = await guest.run(("echo", "hello", "you"), timeout=10)
        assert (said.status, said.stdout) == (0, b"hello you\n")
        assert (await guest.run(("cat",), timeout=10, stdin=b"in\0and out")).stdout == b"in\0and out"
        assert (await guest.run(("false",), timeout=10)).status == 1
        missing = await guest.run(("no-such-program",), timeout=10)
        assert missing.status == 127
        assert b"no-such-program" in missing.stderr

    keys = await case.machines.capture(JOB, 3, "iso", case.log)
    names = {key.rpartition("/")[2] for key in keys}
    assert names == {"serial.log", "console.txt", "screenshot.png", "failed-units.txt"}
    assert all(key.startswith(f"evidence/{JOB}/3/") and case.objects.objects[key] for key in keys)

    assert await case.machines.release(case.release()) == 2
    assert await case.machines.release(case.release()) == 0
    with pytest.raises(Fault, match=r"machine\.lost"):
        await case.machines.guest(JOB, "iso").run(("echo",), timeout=5)
