"""What libvirt's states mean for a job: who ended a machine decides whose fault it is."""

import libvirt
import pytest

from activities.machines.hypervisor import Condition, condition_of


def test_a_machine_that_libvirt_saw_shut_down_went_off_by_itself() -> None:
    assert condition_of(libvirt.VIR_DOMAIN_SHUTOFF, libvirt.VIR_DOMAIN_SHUTOFF_SHUTDOWN) is Condition.OFF


@pytest.mark.parametrize(
    "reason",
    [
        libvirt.VIR_DOMAIN_SHUTOFF_UNKNOWN,
        libvirt.VIR_DOMAIN_SHUTOFF_DESTROYED,
        libvirt.VIR_DOMAIN_SHUTOFF_CRASHED,
        libvirt.VIR_DOMAIN_SHUTOFF_FAILED,
        libvirt.VIR_DOMAIN_SHUTOFF_DAEMON,
    ],
)
def test_any_other_end_was_not_the_guests_doing(reason: int) -> None:
    assert condition_of(libvirt.VIR_DOMAIN_SHUTOFF, reason) is Condition.KILLED


def test_a_panic_and_a_full_disk_are_told_apart() -> None:
    assert condition_of(libvirt.VIR_DOMAIN_CRASHED, 0) is Condition.PANICKED
    assert condition_of(libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_PAUSED_IOERROR) is Condition.DISK_FULL
