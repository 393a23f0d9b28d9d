"""What libvirt says of a VM, in the words of the factory. Pure, but for asking once."""

import libvirt

from activities.machines.vm_folder import VmRecord
from activities.machines.vm_hypervisor import VmState
from activities.machines.vm_models import VmSeen

_FULL = "The host's disk is full: QEMU has stopped the guest."
_PANICKED = "The guest's kernel panicked."
_BY_ITSELF = "The guest switched itself off."
_KILLED = "QEMU ended on the host, not by the guest."
_UNDEFINED = "The host no longer knows the VM."


def read_power(state: VmState | None, record: VmRecord | None) -> VmSeen:
    """Tell how a VM is. `record` says what it was asked to be: an end that nobody asked for is a loss."""
    if record is None:
        return VmSeen(power="absent")
    if state is not None and state.is_active:
        return _active(state)
    if record.wanted != "running":
        return VmSeen(power="stopped")
    if state is None:
        return VmSeen(power="lost", reason=_UNDEFINED)
    if state.reason == libvirt.VIR_DOMAIN_SHUTOFF_SHUTDOWN:
        return VmSeen(power="stopped", reason=_BY_ITSELF)
    return VmSeen(power="lost", reason=_KILLED)


def _active(state: VmState) -> VmSeen:
    if state.state == libvirt.VIR_DOMAIN_CRASHED:
        return VmSeen(power="panicked", reason=_PANICKED)
    if state.is_paused:
        full = state.reason == libvirt.VIR_DOMAIN_PAUSED_IOERROR
        return VmSeen(power="paused", reason=_FULL if full else None)
    return VmSeen(power="running")
