"""The activity that reads back what earlier builds of an organization have proven."""

import asyncio
from typing import Protocol

from temporalio import activity

from activities.evidence_models import FIND_EVIDENCE, EvidenceFound, FindEvidence
from domain.verification import VerificationReport


class EvidenceSource(Protocol):
    """Knows the reports of completed builds."""

    def find(self, org_id: str, names: tuple[str, ...], /) -> tuple[VerificationReport, ...]:
        """Find the newest report of each name that a build of this organization alone made; blocking."""
        ...


class EvidenceActivities:
    """Runs on the core worker, for it needs the database."""

    def __init__(self, source: EvidenceSource) -> None:
        self._source = source

    @activity.defn(name=FIND_EVIDENCE)
    async def find_evidence(self, request: FindEvidence) -> EvidenceFound:
        """Find them; `Fault` (`database.unavailable`) when the database does not answer."""
        found = await asyncio.to_thread(self._source.find, request.org_id, request.names)
        return EvidenceFound(reports=found)
