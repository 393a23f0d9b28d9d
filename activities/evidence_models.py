"""What the search for earlier evidence takes and gives. Frozen values only: workflows import this module."""

from typing import Final

from domain.model import Value
from domain.verification import VerificationReport

FIND_EVIDENCE: Final = "find_evidence"


class FindEvidence(Value):
    """Names of evidence that an organization may have already."""

    org_id: str
    names: tuple[str, ...]


class EvidenceFound(Value):
    """The newest report of each name that is known, marked with the build that made it."""

    reports: tuple[VerificationReport, ...]
