"""Jobs by the id of their workflow: looked at, answered when they ask, ended."""

import asyncio
from typing import Literal

from domain.build.state import BuildState
from domain.caller import Caller
from domain.errors import Verdict
from domain.job import JobView, job_of
from domain.test_run.state import RunState
from domain.test_run.views import RunView
from domain.views import BuildView
from service import build_commands, build_progress, build_queries, test_run_queries
from service.build_queries import StatusQuery
from service.factory import Factory
from service.ids import is_build_id
from service.permissions import require

MOST_RECENT = 10
_BUILD = "build-"
_RUN = "test-run-"
Decision = Literal["retry", "cancel"]


async def get_job(factory: Factory, caller: Caller, job_id: str) -> BuildView | RunView:
    """Return the build or test run whose workflow has this id, as its own tool shows it.

    Raises:
        Verdict: `job.not_found`, or what its own tool refuses.

    """
    kind, own_id = _whole(job_id)
    if kind == _BUILD:
        return await build_queries.get_build_status(factory, caller, own_id, StatusQuery())
    return await test_run_queries.get_run(factory, caller, own_id, StatusQuery())


async def recent_jobs(factory: Factory, caller: Caller) -> tuple[JobView, ...]:
    """Return the caller's newest builds and test runs, each as its own tool tells it.

    Raises:
        Verdict: `permission.denied`.

    """
    require(caller, "list_builds")
    require(caller, "list_test_runs")
    async with factory.reads.org(caller.org_id) as reads:
        listed = (await reads.builds.page(limit=MOST_RECENT)).builds
        builds = [state for build in listed if (state := await reads.builds.get(build.build_id)) is not None]
        tried = (await reads.test_runs.page(limit=MOST_RECENT)).runs
        runs = [state for run in tried if (state := await reads.test_runs.get(run.run_id)) is not None]
    newest = sorted([*builds, *runs], key=lambda state: state.requested_at, reverse=True)[:MOST_RECENT]
    return tuple(map(job_of, await asyncio.gather(*(_view(factory, state) for state in newest))))


async def _view(factory: Factory, state: BuildState | RunState) -> BuildView | RunView:
    if isinstance(state, BuildState):
        return await build_progress.view_of(factory, state)
    return await test_run_queries.view_of(factory, state)


async def decide_job(factory: Factory, caller: Caller, job_id: str, decision: Decision, *, request_key: str) -> None:
    """Tell a parked build whether to go on or to end; a repeated key is harmless.

    Raises:
        Verdict: `job.not_found`, or what `retry_build` and `cancel_build` refuse.

    """
    kind, build_id = _whole(job_id)
    if kind != _BUILD:
        raise _not_found(job_id)
    act = build_commands.retry_build if decision == "retry" else build_commands.cancel_build
    await act(factory, caller, build_id, request_key=request_key)


async def cancel_job(factory: Factory, caller: Caller, job_id: str) -> None:
    """End a job; one that has ended stays as it is.

    Raises:
        Verdict: `job.not_found`, or what its own tool refuses.

    """
    kind, own_id = _whole(job_id)
    cancel = build_commands.cancel_build if kind == _BUILD else test_run_queries.cancel_run
    try:
        await cancel(factory, caller, own_id, request_key="job")
    except Verdict as verdict:
        if verdict.problems[0].code not in {"build.ended", "test_run.already_finished"}:
            raise


def _whole(job_id: str) -> tuple[str, str]:
    """Split a workflow's id into kind and own id: `latest` or first digits, which a build may be called by, are none.

    Raises:
        Verdict: `job.not_found`.

    """
    for kind in (_BUILD, _RUN):
        own_id = job_id.removeprefix(kind)
        if own_id != job_id and is_build_id(own_id):
            return kind, own_id
    raise _not_found(job_id)


def _not_found(job_id: str) -> Verdict:
    return Verdict.because(
        "job.not_found", "There is no job with this id.", path="job_id", value=job_id[:64], next="Call list_builds."
    )
