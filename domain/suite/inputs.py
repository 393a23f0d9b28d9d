"""What is asked of a suite, and what ties a result to that request."""

from typing import Any, Literal

from domain.canonical import digest
from domain.model import Value
from domain.suite.schema import SlotName

TargetSource = Literal["build", "image"]
TargetFormat = Literal["qcow2", "iso"]


class Binding(Value):
    """The image of a slot: that of a build in one of its formats, or an uploaded one."""

    slot: SlotName
    source: TargetSource
    source_id: str
    format: TargetFormat = "qcow2"


class SuiteRequest(Value):
    """A validated request. `document` is the canonical form that `domain.suite.parse` makes."""

    suite_id: str
    org_id: str
    requested_by: str
    document: dict[str, Any]

    @property
    def input_digest(self) -> str:
        """SHA-256 of everything that a repeated request must have in common."""
        return digest({"tool": "create_test_suite", "document": self.document})
