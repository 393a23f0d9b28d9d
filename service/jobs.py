"""Jobs by the id of their workflow: looked at, answered when they ask, ended."""

from typing import Literal

from domain.caller import Caller
from domain.errors import Verdict
from domain.test_run.views import RunView
from domain.views import BuildView
from service import build_commands, build_queries, test_run_queries
from service.build_queries import StatusQuery
from service.factory import Factory

_BUILD = "build-"
_RUN = "test-run-"
Decision = Literal["retry", "cancel"]


async def get_job(factory: Factory, caller: Caller, job_id: str) -> BuildView | RunView:
    """Return the build or test run whose workflow has this id, as its own tool shows it.

    Raises:
        Verdict: `job.not_found`, or what its own tool refuses.

    """
    if job_id.startswith(_BUILD):
        return await build_queries.get_build_status(factory, caller, job_id.removeprefix(_BUILD), StatusQuery())
    if job_id.startswith(_RUN):
        return await test_run_queries.get_run(factory, caller, job_id.removeprefix(_RUN), StatusQuery())
    raise _not_found(job_id)


async def decide_job(factory: Factory, caller: Caller, job_id: str, decision: Decision, *, request_key: str) -> None:
    """Tell a parked build whether to go on or to end; a repeated key is harmless.

    Raises:
        Verdict: `job.not_found`, or what `retry_build` and `cancel_build` refuse.

    """
    if not job_id.startswith(_BUILD):
        raise _not_found(job_id)
    act = build_commands.retry_build if decision == "retry" else build_commands.cancel_build
    await act(factory, caller, job_id.removeprefix(_BUILD), request_key=request_key)


async def cancel_job(factory: Factory, caller: Caller, job_id: str) -> None:
    """End a job; one that has ended stays as it is.

    Raises:
        Verdict: `job.not_found`, or what its own tool refuses.

    """
    try:
        if job_id.startswith(_BUILD):
            await build_commands.cancel_build(factory, caller, job_id.removeprefix(_BUILD), request_key="job")
        elif job_id.startswith(_RUN):
            await test_run_queries.cancel_run(factory, caller, job_id.removeprefix(_RUN), request_key="job")
        else:
            raise _not_found(job_id)
    except Verdict as verdict:
        if verdict.problems[0].code not in {"build.ended", "test_run.already_finished"}:
            raise


def _not_found(job_id: str) -> Verdict:
    return Verdict.because(
        "job.not_found", "There is no job with this id.", path="job_id", value=job_id[:64], next="Call list_builds."
    )
