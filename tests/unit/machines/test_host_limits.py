"""What is refused before a hypervisor is asked."""

import pytest

from activities.job import Job
from activities.machines.libvirt_machines import LibvirtMachines
from activities.machines.models import BootInput
from activities.machines.workspace import Size
from domain.artifacts import Artifact, Blob
from domain.errors import Fault, Verdict
from infra.settings import load
from tests.fakes.objects import FakeObjectStore


class Silence:
    def line(self, text: str) -> None: ...

    def progress(self, percent: float, text: str) -> None: ...


def machines(memory: int) -> LibvirtMachines:
    settings = load({"OPENFACTORY_HOME": "/nowhere", "OPENFACTORY_ACCELERATOR": "tcg"})
    return LibvirtMachines(settings, FakeObjectStore(), size=Size(memory=memory))


def order(kind: str) -> BootInput:
    artifact = Artifact.model_validate({"kind": kind, "name": kind, "blob": Blob(digest="0" * 64, bytes=1)})
    return BootInput(job=Job(job_id="j", org_id="o"), recipe={}, artifacts=(artifact,))


async def test_machines_too_big_for_the_host_are_a_fault_that_says_how_much_is_missing() -> None:
    with pytest.raises(Fault, match=r"host\.memory: the machines need 1000000000 MiB"):
        await machines(10**9).boot(order("iso"), Silence())


async def test_a_build_without_anything_bootable_is_a_verdict() -> None:
    with pytest.raises(Verdict, match=r"boot\.failed"):
        await machines(512).boot(order("manifest"), Silence())
