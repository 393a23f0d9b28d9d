"""What every activity on a VM is told about the VM."""

from domain.model import Value


class VmRef(Value):
    """A VM on a host. `token` is the fencing token of its lease there."""

    vm_id: str
    org_id: str
    token: int
