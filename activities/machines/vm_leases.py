"""Fencing: which requests a host still obeys.

Each request carries the token of its lease; tokens only grow. What a host has obeyed once outdates all that is
lower, also after the worker was killed: the highest token is written down beside the VM. Of a VM that was
deleted only this process remembers the token, because only its own late activities could still revive it.
"""

import math
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable

from activities.machines.vm_folder import LeaseRecord, VmFolder
from activities.machines.vm_models import HeldVm
from activities.vm_ref import VmRef
from domain.errors import Fault, Verdict

_MOST_REMEMBERED = 10_000


class Leases:
    """The tokens that this host has seen, and until when its own lease holds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._held_until = math.inf
        self._least: OrderedDict[str, int] = OrderedDict()
        self._deleted: OrderedDict[str, int] = OrderedDict()

    @property
    def lapsed(self) -> bool:
        """Whether the host's own lease has not been acknowledged for too long. It never lapses if nobody set a time.

        It is read from the clock, so that a process which stood still knows it before it does anything.
        """
        return self._clock() > self._held_until

    def hold_until(self, moment: float) -> None:
        """The host's own lease holds until then, in the clock's seconds."""
        self._held_until = moment

    def require(self, held: Iterable[HeldVm]) -> None:
        """From now on refuse what is lower than these tokens."""
        for vm in held:
            _remember(self._least, vm.vm_id, vm.token)

    def deleted(self, vm: VmRef) -> None:
        """Refuse everything that would make the deleted VM anew under a lease that it had."""
        _remember(self._deleted, vm.vm_id, vm.token)

    def admit(self, vm: VmRef, folder: VmFolder, *, makes: bool = False) -> None:
        """Let a request pass and remember its token beside the VM, if the VM is there.

        Raises:
            Verdict: `lease.superseded` for a token lower than one seen before, and for a request that `makes` a
                VM which was deleted under the same lease.
            Fault: `machine.name_taken` if the folder is another VM's.

        """
        lease = folder.lease
        if lease is not None and lease.vm_id != vm.vm_id:
            raise Fault.because(
                "machine.name_taken", f"{folder.name} belongs to another VM ({lease.vm_id})", next="Use another host."
            )
        highest = max(lease.token if lease else 0, self._least.get(vm.vm_id, 0))
        if vm.token < highest or (makes and vm.token <= self._deleted.get(vm.vm_id, -1)):
            raise Verdict.because(
                "lease.superseded",
                f"the VM {vm.vm_id} is held under a later lease than number {vm.token}",
                value=str(vm.token),
                next="Ask for the VM's state: somebody else has gone on with it.",
            )
        if folder.path.is_dir() and (lease is None or lease.token < vm.token):
            folder.write_lease(LeaseRecord(vm_id=vm.vm_id, token=vm.token))

    def require_held(self) -> None:
        """Refuse to make anything run while the host's own lease is not acknowledged.

        Raises:
            Fault: `host.fenced`.

        """
        if self.lapsed:
            raise Fault.because(
                "host.fenced",
                "this host has lost touch with the factory and runs no VMs until it is back",
                next="Wait until the host is connected again, or start the VM elsewhere.",
            )


def _remember(tokens: OrderedDict[str, int], vm_id: str, token: int) -> None:
    tokens[vm_id] = max(token, tokens.pop(vm_id, token))
    while len(tokens) > _MOST_REMEMBERED:
        tokens.popitem(last=False)
