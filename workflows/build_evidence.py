"""Evidence of earlier builds that a build may take over instead of booting the same bytes again.

It is a short cut and never a condition: what cannot be found, for whatever reason, is checked anew.
"""

from datetime import timedelta

from temporalio import workflow
from temporalio.exceptions import ActivityError, is_cancelled_exception

from workflows import policies

with workflow.unsafe.imports_passed_through():
    from activities.evidence_models import FIND_EVIDENCE, EvidenceFound, FindEvidence
    from activities.verification.models import EvidenceNames, NameEvidence
    from domain.artifacts import Artifact
    from domain.build.inputs import BuildRequest
    from domain.verification import VerificationReport

_NAMING_LIMIT = timedelta(seconds=20)
_LOOK_LIMIT = timedelta(seconds=10)


async def earlier_evidence(
    request: BuildRequest, queue: str, images: tuple[Artifact, ...]
) -> tuple[VerificationReport, ...]:
    """Find what builds of the same organization have proven of these bytes, by the tests that are due now."""
    if request.verify == "always" or not workflow.patched("take-over-evidence"):
        return ()
    try:
        named = await _names(queue, NameEvidence(recipe=request.recipe, images=images))
        if not named.names:
            return ()
        wanted = FindEvidence(org_id=request.org_id, names=tuple(named.names.values()))
        found = await _look(wanted)
    except ActivityError as error:
        if is_cancelled_exception(error):
            raise
        workflow.logger.warning("earlier evidence could not be looked for: %s", error.cause)
        return ()
    return tuple(r for r in found.reports if r.held and named.names.get(r.artifact) == r.evidence)


async def _names(queue: str, request: NameEvidence) -> EvidenceNames:
    """Ask the host: its verifier is the one that would check."""
    return await workflow.execute_activity(
        "name_evidence",
        request,
        result_type=EvidenceNames,
        task_queue=queue,
        start_to_close_timeout=_NAMING_LIMIT,
        schedule_to_start_timeout=policies.HOST_PICKUP,
        retry_policy=policies.QUESTION_ATTEMPTS,
        summary="What evidence about these images would be called",
    )


async def _look(request: FindEvidence) -> EvidenceFound:
    return await workflow.execute_local_activity(
        FIND_EVIDENCE,
        request,
        result_type=EvidenceFound,
        start_to_close_timeout=_LOOK_LIMIT,
        retry_policy=policies.QUESTION_ATTEMPTS,
        summary="earlier evidence",
    )
