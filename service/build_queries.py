"""Looking at builds: a page of them, and one of them with waiting."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from domain.build.state import RESTING, BuildState, BuildStatus
from domain.caller import Caller
from domain.model import Value
from domain.views import BuildPage, BuildView, Progress, QueueView
from service.build_progress import progress_of
from service.build_queue import place_of, places
from service.build_view import Detail, accepted, build_view
from service.factory import Factory
from service.lookup import build_id_of, visible_build
from service.permissions import require

OnProgress = Callable[[Progress], Awaitable[None]]

LONGEST_WAIT = 25
MOST_BUILDS = 50
_SLICE_SECONDS = 2.0  # how often a waiting caller is told about progress


async def list_builds(
    factory: Factory,
    caller: Caller,
    *,
    limit: int = 20,
    cursor: str | None = None,
    status: BuildStatus | None = None,
    name: str | None = None,
) -> BuildPage:
    """List the organization's builds, newest first.

    Raises:
        Verdict: `cursor.invalid`.

    """
    require(caller, "list_builds")
    async with factory.reads.org(caller.org_id) as reads:
        page = await reads.builds.page(limit=min(limit, MOST_BUILDS), cursor=cursor, status=status, name=name)
    queue: Mapping[str, QueueView] = {}
    if any(build.status == "pending" for build in page.builds):
        queue = await places(factory, caller.org_id)
    builds = tuple(build.model_copy(update={"queue": queue.get(build.build_id)}) for build in page.builds)
    return page.model_copy(update={"builds": builds})


class StatusQuery(Value):
    """How much of a build is wanted, and how long to wait (seconds) for it to get beyond a version."""

    wait_s: float = 0.0
    since_version: int | None = None
    detail: Detail = "concise"


async def get_build_status(
    factory: Factory, caller: Caller, build_id: str, query: StatusQuery, *, on_progress: OnProgress | None = None
) -> BuildView:
    """Return the build; with `wait_s`, once it has changed or come to rest, or when the seconds are over.

    Changed means: its version is above `since_version`, or above the version at the call. A build at
    rest (completed, failed, cancelled) is answered at once.
    `on_progress` is told about every two seconds while the call waits.

    Raises:
        Verdict: `build.not_found`.

    """
    require(caller, "get_build_status")
    loop = asyncio.get_running_loop()
    build_id = await build_id_of(factory, caller, build_id)
    deadline = loop.time() + min(query.wait_s, LONGEST_WAIT)
    state = await visible_build(factory, caller, build_id)
    known = query.since_version if query.since_version is not None else _version(state)
    while _version(state) <= known and not _rests(state) and (left := deadline - loop.time()) > 0:
        if on_progress is not None and state is not None:
            await on_progress(await progress_of(factory, state, await place_of(factory, state)))
        await factory.reads.wait_for(caller.org_id, "builds", build_id, known + 1, min(_SLICE_SECONDS, left))
        state = await visible_build(factory, caller, build_id)
    if state is None:
        return accepted(build_id)
    place = await place_of(factory, state)
    progress = await progress_of(factory, state, place)
    return build_view(state, progress=progress, detail=query.detail, place=place)


def _version(state: BuildState | None) -> int:
    return 0 if state is None else state.version


def _rests(state: BuildState | None) -> bool:
    return state is not None and state.status in RESTING
