"""What a machine says about itself in its definition's metadata: whose it is."""

from xml.etree import ElementTree as ET

from domain.model import Value

METADATA = "urn:openfactory:machine:1"


class MachineLabel(Value):
    """A job's machine: whose it is, and when nobody can need it any more.

    `expires` is in seconds since the epoch.
    """

    job_id: str
    artifact: str
    expires: int

    @property
    def key(self) -> str:
        """What the machine's UUID is made from."""
        return f"{self.job_id}/{self.artifact}"

    def element(self) -> ET.Element:
        """Write it as metadata."""
        attributes = {"job": self.job_id, "artifact": self.artifact, "expires": str(self.expires)}
        return ET.Element(f"{{{METADATA}}}machine", attributes)


class VmLabel(Value):
    """A VM. `token` is the fencing token of the lease under which it was defined."""

    vm_id: str
    org_id: str
    token: int

    @property
    def key(self) -> str:
        """What the machine's UUID is made from."""
        return f"vm/{self.vm_id}"

    def element(self) -> ET.Element:
        """Write it as metadata."""
        attributes = {"vm_id": self.vm_id, "org_id": self.org_id, "token": str(self.token)}
        return ET.Element(f"{{{METADATA}}}vm", attributes)


def read_label(xml: str) -> MachineLabel | None:
    """Read the label of a job's machine from its definition; nothing if it is none."""
    element = ET.fromstring(xml).find(f"metadata/{{{METADATA}}}machine")  # noqa: S314 - libvirt wrote it
    if element is None:
        return None
    return MachineLabel(
        job_id=element.get("job", ""), artifact=element.get("artifact", ""), expires=int(element.get("expires", "0"))
    )


def read_vm_label(xml: str) -> VmLabel | None:
    """Read the label of a VM from its definition; nothing if it is none."""
    element = ET.fromstring(xml).find(f"metadata/{{{METADATA}}}vm")  # noqa: S314 - libvirt wrote it
    if element is None:
        return None
    return VmLabel(
        vm_id=element.get("vm_id", ""), org_id=element.get("org_id", ""), token=int(element.get("token", "0"))
    )
