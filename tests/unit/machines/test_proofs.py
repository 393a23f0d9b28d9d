"""What a killed proof of KVM leaves on the host."""

from pathlib import Path

from activities.machines.accelerator import sweep_proofs
from infra.libvirt_paths import LibvirtPaths


def test_what_a_killed_proof_left_goes_and_nothing_else(tmp_path: Path) -> None:
    paths = LibvirtPaths(home=tmp_path)
    machine = paths.machines / "kvm-proof"
    left = paths.machines.parent / "kvm-ab12cd34"
    for folder in (machine, left):
        folder.mkdir(parents=True)
        (folder / "vmlinuz").write_bytes(b"x")
    assert sweep_proofs(paths) == 1
    assert machine.exists()
    assert not left.exists()
    assert sweep_proofs(paths) == 0
    assert sweep_proofs(LibvirtPaths(home=tmp_path / "none")) == 0
