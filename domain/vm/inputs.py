"""What is asked of a virtual machine, and what ties a result to that request."""

from domain import jobs
from domain.artifacts import Verification
from domain.canonical import digest
from domain.model import Value
from domain.vm.spec import VmSpec


class VmRequest(Value):
    """A validated request. `plan` names the organization's plan, whose quota guards the first event.

    `verification` is what was known of the image when the machine was asked for. `owner` is the id of a
    test run that the machine belongs to.
    """

    vm_id: str
    org_id: str
    requested_by: str
    plan: str
    spec: VmSpec
    verification: Verification = "unverified"
    owner: str | None = None

    @property
    def input_digest(self) -> str:
        """SHA-256 of everything that a repeated request must have in common."""
        return digest({"tool": "create_vm", "spec": self.spec.model_dump(mode="json"), "owner": self.owner})


def workflow_id(vm_id: str) -> str:
    """Name the workflow of a machine."""
    return jobs.workflow_id("vm", vm_id)
