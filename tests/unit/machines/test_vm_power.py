"""What libvirt says of a VM, in the words of the factory."""

from typing import Literal

import libvirt
import pytest

from activities.machines.vm_folder import VmRecord
from activities.machines.vm_hypervisor import VmState
from activities.machines.vm_power import read_power
from domain.vm.spec import ImageRef, VmSpec

IMAGE = ImageRef(digest="ab" * 32, bytes=1, format="qcow2", source="image", source_id="i")


def record(wanted: Literal["running", "stopped"]) -> VmRecord:
    spec = VmSpec(name="t", image=IMAGE)
    return VmRecord(vm_id="v", org_id="o", spec=spec, accelerator="tcg", wanted=wanted, boot=1)


def state(number: int, reason: int = 0) -> VmState:
    return VmState(name="vm-0", label=None, state=number, reason=reason)


OFF = libvirt.VIR_DOMAIN_SHUTOFF


@pytest.mark.parametrize(
    ("seen", "wanted", "power"),
    [
        (state(libvirt.VIR_DOMAIN_RUNNING), "running", "running"),
        (state(libvirt.VIR_DOMAIN_RUNNING), "stopped", "running"),
        (state(libvirt.VIR_DOMAIN_PAUSED), "running", "paused"),
        (state(libvirt.VIR_DOMAIN_CRASHED), "running", "panicked"),
        (state(OFF), "stopped", "stopped"),
        (state(OFF, libvirt.VIR_DOMAIN_SHUTOFF_SHUTDOWN), "running", "stopped"),
        (state(OFF, libvirt.VIR_DOMAIN_SHUTOFF_CRASHED), "running", "lost"),
        (state(OFF, libvirt.VIR_DOMAIN_SHUTOFF_DESTROYED), "running", "lost"),
        (state(OFF, libvirt.VIR_DOMAIN_SHUTOFF_UNKNOWN), "running", "lost"),
        (None, "running", "lost"),
        (None, "stopped", "stopped"),
    ],
)
def test_an_end_that_nobody_asked_for_is_a_loss_unless_the_guest_did_it(
    seen: VmState | None, wanted: Literal["running", "stopped"], power: str
) -> None:
    assert read_power(seen, record(wanted)).power == power


def test_a_vm_that_was_never_made_completely_is_absent() -> None:
    assert read_power(state(OFF), None).power == "absent"


def test_a_guest_that_a_full_disk_has_stopped_says_so() -> None:
    seen = read_power(state(libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_PAUSED_IOERROR), record("running"))
    assert "disk is full" in (seen.reason or "")
