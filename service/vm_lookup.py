"""Finding a machine for its caller: absent and another organization's look the same."""

from domain.caller import Caller
from domain.errors import Verdict
from domain.vm.state import VmState
from service.factory import Factory
from service.ids import is_build_id


async def vm_state(factory: Factory, org_id: str, vm_id: str) -> VmState | None:
    """Return the machine as the read model shows it, or nothing."""
    async with factory.reads.org(org_id) as reads:
        return await reads.vms.get(vm_id)


async def visible_vm(factory: Factory, caller: Caller, vm_id: str) -> VmState | None:
    """Return the machine; nothing for one that was accepted but is not visible yet.

    Raises:
        Verdict: `vm.not_found`.

    """
    if not is_build_id(vm_id):
        raise not_found(vm_id)
    state = await vm_state(factory, caller.org_id, vm_id)
    if state is None and await factory.vms.vm_known(vm_id, caller.org_id) is None:
        raise not_found(vm_id)
    return state


def not_found(vm_id: str) -> Verdict:
    """Refuse an id under which the caller has no machine."""
    return Verdict.because(
        "vm.not_found",
        "There is no machine with this id.",
        path="vm_id",
        value=vm_id[:64],
        next="Call list_vms to see the machines of your organization.",
    )
