"""Virtual machines for tests, as requests and as what happened to them."""

from datetime import UTC, datetime
from typing import Any

from domain.vm.inputs import VmRequest
from domain.vm.spec import ImageRef, VmSpec

VM_ID = "22222222-2222-4222-8222-222222222222"
BUILD_ID = "11111111-1111-4111-8111-111111111111"
NOON = datetime(2030, 1, 2, 12, tzinfo=UTC)


def image(**changes: Any) -> ImageRef:
    """A disk image of 300 MiB that a build made."""
    facts = {"digest": "ab" * 32, "bytes": 300 << 20, "format": "qcow2", "source": "build", "source_id": BUILD_ID}
    return ImageRef.model_validate({**facts, "name": "web", **changes})


def spec(**changes: Any) -> VmSpec:
    """A machine that stays until it is deleted: virtual clocks jump over every TTL that there is."""
    return VmSpec.model_validate({"name": "web", "image": image(), "memory": 512, "ttl": None, **changes})


def request(vm_id: str = VM_ID, *, org_id: str = "org", plan: str = "operator", **changes: Any) -> VmRequest:
    """A request of the tester's."""
    return VmRequest(vm_id=vm_id, org_id=org_id, requested_by="tester", plan=plan, spec=spec(**changes))
