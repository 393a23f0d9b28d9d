"""How a job is ended by the reconciler: what it holds is given back, then its end is recorded.

Everything here may be repeated. The log decides: a job that ended by itself meanwhile stays as it ended.
"""

from collections.abc import Awaitable
from typing import TypeVar

from temporalio import workflow
from temporalio.exceptions import FailureError

from workflows import policies
from workflows.fleet_models import GiveBack
from workflows.fleet_signals import try_telling_fleet
from workflows.recording import record_build, record_image, record_test_run, record_vm
from workflows.slot_models import SlotEnd

with workflow.unsafe.imports_passed_through():
    from activities.failures import read_failure
    from activities.imaging.import_models import DiscardInput, DiscardResult
    from activities.job import Job
    from activities.keeping.models import Orphan
    from activities.machines import models as machines
    from activities.machines.vm_models import DeleteVm, VmDeleted
    from activities.vm_ref import VmRef
    from domain.build.commands import BuildCommand, CancelBuild, CloseRetryWindow, FailBuild, RequestBuild
    from domain.build.inputs import BuildRequest
    from domain.errors import Problem
    from domain.image.commands import RejectImage, RequestImage
    from domain.image.inputs import ImageRequest
    from domain.model import Value
    from domain.test_run.commands import FailRun, RequestRun
    from domain.test_run.inputs import RunRequest
    from domain.vm import orders
    from domain.vm.commands import RecordDeleted, RecordDeleting, RequestVm
    from domain.vm.inputs import VmRequest
    from domain.vm.inputs import workflow_id as vm_workflow_id

_BY = "reconciler"
_NO_TIME = 1.0  # seconds to upload what is rejected at once
_ENDED_MEANWHILE = frozenset({"build.already_finished", "test_run.already_finished", "image.wrong_state"})
_Result = TypeVar("_Result", bound=Value)


async def record_request(orphan: Orphan) -> None:
    """Tell the log what the workflow would have told it first; harmless if it did."""
    job_id, request = orphan.job.job_id, orphan.request
    match orphan.job.kind:
        case "build":
            await record_build(job_id, RequestBuild(request=BuildRequest.model_validate(request)))
        case "vm":
            await record_vm(job_id, RequestVm(request=VmRequest.model_validate(request)))
        case "test-run":
            await record_test_run(job_id, RequestRun(request=RunRequest.model_validate(request)))
        case "image":
            await record_image(
                job_id, RequestImage(request=ImageRequest.model_validate(request), upload_seconds=_NO_TIME)
            )


async def end_build(orphan: Orphan) -> None:
    """Cancel a build that somebody ended from outside, and fail for good one that the factory lost."""
    job = orphan.job
    if job.booted and job.host is not None:
        back = machines.ReleaseInput(
            job=Job(job_id=job.job_id, org_id=job.org_id, generation=job.generation), reason="cancelled"
        )
        await _if_host_is_there(f"host:{job.host}", "release_machines", back, machines.ReleaseResult)
    await try_telling_fleet("release_build", SlotEnd(build_id=job.job_id))
    if job.status == "failed":
        await _record_build(job.job_id, CloseRetryWindow())
    elif orphan.end in {"terminated", "cancelled"}:
        await _record_build(job.job_id, CancelBuild(requested_by=_BY, reason=orphan.reason))
    else:
        failed = FailBuild(
            step=job.step or "resolve",
            generation=job.generation,
            cause="fault",
            problems=(_problem(orphan, "Start it anew: create_build with the same recipe and retry_of."),),
            retry_seconds=0.0,
        )
        if await _record_build(job.job_id, failed):
            await _record_build(job.job_id, CloseRetryWindow())


async def end_vm(orphan: Orphan) -> None:
    """Remove a machine that nobody can command any more, with its lease and its share of the quota."""
    job = orphan.job
    await record_vm(job.job_id, RecordDeleting(requested_by=_BY, reason=orphan.reason))
    removed, note = 0, None
    if job.queue is not None:
        # Of a lease that was given but not recorded only the fleet knows the token. They begin at the fleet's clock
        # and grow by one, so that now (in milliseconds) is above all of them.
        token = max(job.token, int(workflow.now().timestamp() * 1000))
        request = DeleteVm(vm=VmRef(vm_id=job.job_id, org_id=job.org_id, token=token))
        deleted = await _if_host_is_there(job.queue, "delete_vm", request, VmDeleted)
        removed = deleted.removed if deleted else 0
        note = None if deleted else f"The host {job.host} does not answer; it removes what is left when it is back."
    await try_telling_fleet("release", GiveBack(vm_id=job.job_id))  # one that is begun anew begins without leases
    await record_vm(job.job_id, RecordDeleted(removed=removed, note=note))


async def end_test_run(orphan: Orphan) -> None:
    """Give the run's own machines back and say that the factory did not finish it."""
    job = orphan.job
    for vm_id in job.machines:
        order = orders.DeleteVm(command_id=f"run-{job.job_id}", requested_by=_BY, reason="the test run has ended")
        try:
            await workflow.get_external_workflow_handle(vm_workflow_id(vm_id)).signal("delete_vm", order)
        except FailureError as error:
            workflow.logger.info("the machine %s has ended already: %s", vm_id, error)
    problem = _problem(orphan, "Run it again.")
    await _unless_ended(record_test_run(job.job_id, FailRun(problems=(problem,))))


async def end_image(orphan: Orphan) -> None:
    """Reject an upload that nobody waits for, and remove its parts."""
    job = orphan.job
    await workflow.execute_activity(
        "discard_upload",
        DiscardInput(image_id=job.job_id),
        result_type=DiscardResult,
        task_queue=policies.IMAGING_QUEUE,
        start_to_close_timeout=policies.IMPORT_LIMIT,
        heartbeat_timeout=policies.HEARTBEAT,
        schedule_to_close_timeout=policies.LOST_PICKUP,
        retry_policy=policies.FEW,
        summary="Remove the upload's parts",
    )
    await _unless_ended(record_image(job.job_id, RejectImage(problems=(_problem(orphan, "create_image_upload"),))))


async def _record_build(build_id: str, command: BuildCommand) -> bool:
    return await _unless_ended(record_build(build_id, command))


async def _unless_ended(recording: Awaitable[int]) -> bool:
    """Record; answers false if the job ended by itself meanwhile."""
    try:
        await recording
    except FailureError as error:
        if read_failure(error).problems[0].code not in _ENDED_MEANWHILE:
            raise
        return False
    return True


async def _if_host_is_there(queue: str, activity: str, request: Value, result: type[_Result]) -> _Result | None:
    """Have a host do it; a host that is not there clears away by itself what nobody owns when it is back.

    Raises:
        ActivityError: the host is there and could not do it.

    """
    try:
        return await workflow.execute_activity(
            activity,
            request,
            result_type=result,
            task_queue=queue,
            schedule_to_start_timeout=policies.LOST_PICKUP,
            start_to_close_timeout=policies.REMOVE_LIMIT,
            heartbeat_timeout=policies.HEARTBEAT,
            retry_policy=policies.FEW,
            summary=activity.replace("_", " "),
        )
    except FailureError as error:
        if read_failure(error).problems[0].code != "host.lost":
            raise
        return None


def _problem(orphan: Orphan, advice: str) -> Problem:
    return Problem(
        code=f"workflow.{orphan.end}",
        message=f"The factory did not finish it: {orphan.reason}.",
        retryable=False,
        next=advice,
    )
