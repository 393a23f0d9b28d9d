"""Which requests a host still obeys."""

from pathlib import Path

import pytest

from activities.machines.vm_folder import VmFolder, vm_name
from activities.machines.vm_leases import Leases
from activities.machines.vm_models import HeldVm
from activities.vm_ref import VmRef
from domain.errors import Fault, Verdict
from infra.libvirt_paths import LibvirtPaths

ID = "0123abcd-4567-4000-8000-000000000001"


def vm(token: int, vm_id: str = ID) -> VmRef:
    return VmRef(vm_id=vm_id, org_id="o", token=token)


def folder_of(home: Path, vm_id: str = ID) -> VmFolder:
    folder = VmFolder(LibvirtPaths(home=home), vm_name(vm_id))
    folder.path.mkdir(parents=True, exist_ok=True)
    return folder


def test_a_vm_is_named_by_twelve_digits_of_its_id() -> None:
    assert vm_name(ID) == "vm-0123abcd4567"
    assert vm_name("../../ETC/passwd") == "vm-ecad"


def test_the_highest_token_is_remembered_by_the_next_worker(tmp_path: Path) -> None:
    folder = folder_of(tmp_path)
    Leases().admit(vm(5), folder)
    Leases().admit(vm(8), folder)
    with pytest.raises(Verdict, match=r"lease\.superseded"):
        Leases().admit(vm(7), folder)
    Leases().admit(vm(8), folder)


def test_what_the_fleet_requires_outdates_what_is_lower(tmp_path: Path) -> None:
    folder, leases = folder_of(tmp_path), Leases()
    leases.admit(vm(5), folder)
    leases.require((HeldVm(vm_id=ID, token=6),))
    with pytest.raises(Verdict, match=r"lease\.superseded"):
        leases.admit(vm(5), folder)
    leases.require((HeldVm(vm_id=ID, token=2),))
    with pytest.raises(Verdict, match=r"lease\.superseded"):
        leases.admit(vm(5), folder)


def test_a_deleted_vm_may_be_deleted_again_but_not_made_anew_under_its_lease(tmp_path: Path) -> None:
    folder, leases = VmFolder(LibvirtPaths(home=tmp_path), vm_name(ID)), Leases()
    leases.deleted(vm(5))
    leases.admit(vm(5), folder)
    with pytest.raises(Verdict, match=r"lease\.superseded"):
        leases.admit(vm(5), folder, makes=True)
    leases.admit(vm(6), folder, makes=True)
    assert not folder.path.exists()


def test_a_folder_of_another_vm_of_the_same_name_is_left_alone(tmp_path: Path) -> None:
    folder, other = folder_of(tmp_path), f"{ID[:13]}-9999-8000-000000000002"
    Leases().admit(vm(5), folder)
    assert vm_name(other) == folder.name
    with pytest.raises(Fault, match=r"machine\.name_taken"):
        Leases().admit(vm(9, other), folder)


def test_the_hosts_own_lease_lapses_by_the_clock_alone() -> None:
    now = 100.0
    leases = Leases(clock=lambda: now)
    leases.require_held()
    leases.hold_until(101.0)
    leases.require_held()
    now = 102.0
    with pytest.raises(Fault, match=r"host\.fenced"):
        leases.require_held()
