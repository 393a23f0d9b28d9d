"""The proof of KVM by a boot. What it finds depends on the host; that it finds something does not."""

from pathlib import Path

import pytest

from activities.machines.accelerator import AcceleratorProbe
from activities.machines.hypervisor import Hypervisor
from infra.libvirt_client import LibvirtClient
from infra.libvirt_paths import LibvirtPaths
from tests.integration.machines.conftest import House

pytestmark = pytest.mark.integration


async def test_the_verdict_has_a_reason_and_is_kept(house: House, tmp_path: Path) -> None:
    paths = house.daemon.paths
    iso = paths.blob((await house.artifact("well", "iso")).blob.digest)
    client = LibvirtClient(paths.uri)
    found = await AcceleratorProbe("auto", tmp_path / "kvm.json", paths, Hypervisor(client)).decide(iso)
    assert found.kind in ("kvm", "tcg")
    assert len(found.reason) > 10
    assert not [m for m in await Hypervisor(client).machines() if "kvm" in m.name]
    assert not list(paths.machines.glob("*kvm*"))
    await client.close()

    # The next one needs no hypervisor: this one has none.
    nowhere = Hypervisor(LibvirtClient(LibvirtPaths(home=tmp_path).uri))
    assert await AcceleratorProbe("auto", tmp_path / "kvm.json", paths, nowhere).decide(iso) == found


@pytest.mark.parametrize("forced", ["kvm", "tcg"])
async def test_the_operators_word_is_taken_without_a_proof(tmp_path: Path, forced: str) -> None:
    nowhere = LibvirtPaths(home=tmp_path)
    probe = AcceleratorProbe(
        "kvm" if forced == "kvm" else "tcg", tmp_path / "kvm.json", nowhere, Hypervisor(LibvirtClient(nowhere.uri))
    )
    assert (await probe.decide(None)).kind == forced
    assert not (tmp_path / "kvm.json").exists()


async def test_without_a_kernel_to_boot_nothing_is_proven_and_nothing_is_kept(tmp_path: Path) -> None:
    nowhere = LibvirtPaths(home=tmp_path)
    probe = AcceleratorProbe("auto", tmp_path / "kvm.json", nowhere, Hypervisor(LibvirtClient(nowhere.uri)))
    assert (await probe.decide(None)).kind == "tcg"
    assert not (tmp_path / "kvm.json").exists()
