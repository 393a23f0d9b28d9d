"""Looking at test runs: a page of them, and one of them with waiting; and ending one."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

from domain.caller import Caller
from domain.errors import Fault, Verdict
from domain.model import Value
from domain.test_run.inputs import RunKind
from domain.test_run.state import RunState, RunStatus
from domain.test_run.views import FileLink, RunPage, RunProgress, RunSummary, RunView
from service.build_create import VISIBLE_SECONDS
from service.build_queries import LONGEST_WAIT, StatusQuery
from service.build_view import Detail
from service.factory import Factory
from service.histories import kept_histories
from service.ids import derived_id
from service.links import link_to
from service.permissions import require
from service.suite_lookup import existing_suite
from service.test_run_lookup import run_state, visible_run
from service.test_run_view import accepted, run_view
from workflows.commands import CancelCommand
from workflows.test_run_models import workflow_id

OnProgress = Callable[[RunProgress], Awaitable[None]]
MOST_RUNS = 50
_MOST_FILES = 30
_SLICE_SECONDS = 2.0


class RunQuery(Value):
    """Which runs are wanted; `target_id` is a suite's, build's or machine's."""

    limit: int = 20
    cursor: str | None = None
    kind: RunKind | None = None
    status: RunStatus | None = None
    target_id: str | None = None


async def list_runs(factory: Factory, caller: Caller, query: RunQuery) -> RunPage:
    """List the organization's test runs, newest first.

    Raises:
        Verdict: `cursor.invalid`.

    """
    require(caller, "list_test_runs")
    return await _page(factory, caller, query)


async def list_suite_runs(factory: Factory, caller: Caller, suite_id: str, query: RunQuery) -> RunPage:
    """List the runs of one suite, newest first.

    Raises:
        Verdict: `suite.not_found`, `cursor.invalid`.

    """
    require(caller, "list_test_suite_runs")
    state = await existing_suite(factory, caller, suite_id)
    return await _page(factory, caller, query.model_copy(update={"kind": "suite", "target_id": state.suite_id}))


async def get_run(
    factory: Factory, caller: Caller, run_id: str, query: StatusQuery, *, on_progress: OnProgress | None = None
) -> RunView:
    """Return the run; with `wait_s`, once it has changed or ended, or when the seconds are over.

    Raises:
        Verdict: `test_run.not_found`.

    """
    require(caller, "get_test_run")
    loop = asyncio.get_running_loop()
    deadline = loop.time() + min(query.wait_s, LONGEST_WAIT)
    state = await visible_run(factory, caller, run_id)
    known = query.since_version if query.since_version is not None else _version(state)
    while _version(state) <= known and not _rests(state) and (left := deadline - loop.time()) > 0:
        if on_progress is not None and state is not None and (so_far := (await view_of(factory, state)).progress):
            await on_progress(so_far)
        await factory.reads.wait_for(caller.org_id, "test_runs", run_id, known + 1, min(_SLICE_SECONDS, left))
        state = await visible_run(factory, caller, run_id)
    if state is None:
        return accepted(run_id)
    return await view_of(factory, state, detail=query.detail, files=await _files(factory, state))


async def view_of(
    factory: Factory, state: RunState, *, detail: Detail = "concise", files: tuple[FileLink, ...] = ()
) -> RunView:
    """Describe a run, measured by the run before it: the one source for whatever shows it."""
    previous = None
    with suppress(Fault):  # less exact, but no reason to hide the rest
        async with factory.reads.org(state.org_id) as reads:
            previous = await reads.test_runs.previous(state)
    return run_view(state, now=factory.now(), detail=detail, previous=previous, files=files)


async def cancel_run(
    factory: Factory,
    caller: Caller,
    run_id: str,
    *,
    reason: str = "cancelled on request",
    request_key: str | None = None,
) -> RunView:
    """End a run; its machines are given back. Ending a cancelled one again is harmless.

    Raises:
        Verdict: `test_run.not_found`, or `test_run.already_finished`.

    """
    require(caller, "cancel_test_run")
    state = await visible_run(factory, caller, run_id)
    if state is not None and state.status == "cancelled":
        return (await view_of(factory, state)).model_copy(update={"replayed": True})
    if state is not None and state.terminal:
        raise Verdict.because(
            "test_run.already_finished",
            f"This run has ended ({state.status}); there is nothing left to cancel.",
            path="run_id",
            next="Machines that it holds are ended with delete_vm; get_test_run names them.",
        )
    command_id = factory.new_id() if request_key is None else derived_id(run_id, "cancel_test_run", request_key)
    await factory.tests.cancel_run(
        run_id, CancelCommand(command_id=command_id, requested_by=caller.subject, reason=reason)
    )
    before = _version(state)
    with suppress(Fault):  # the command was taken; that it cannot be seen now does not change that
        await factory.reads.wait_for(caller.org_id, "test_runs", run_id, before + 1, VISIBLE_SECONDS)
        state = await run_state(factory, caller, run_id) or state
    if state is None:
        return accepted(run_id)
    view = await view_of(factory, state)
    return view if view.status == "cancelled" else view.model_copy(update={"next": "It was accepted; it is ending."})


async def _page(factory: Factory, caller: Caller, query: RunQuery) -> RunPage:
    async with factory.reads.org(caller.org_id) as reads:
        page = await reads.test_runs.page(
            limit=min(query.limit, MOST_RUNS),
            cursor=query.cursor,
            kind=query.kind,
            status=query.status,
            target_id=query.target_id,
        )
    return page.model_copy(update={"runs": tuple(_current(run, factory) for run in page.runs)})


def _current(run: RunSummary, factory: Factory) -> RunSummary:
    """Leave out a hold that is over."""
    over = run.held_until is not None and run.held_until <= factory.now()
    return run.model_copy(update={"held_until": None}) if over else run


def _version(state: RunState | None) -> int:
    return 0 if state is None else state.version


def _rests(state: RunState | None) -> bool:
    return state is not None and state.terminal


async def _files(factory: Factory, state: RunState) -> tuple[FileLink, ...]:
    """Sign a link of one hour for each file of the run, and for what is kept of its workflow once that is over."""
    links: list[FileLink] = []
    for file in state.files[:_MOST_FILES]:
        name = f"{file.slot}-{file.name}" if file.slot and file.slot not in file.name else file.name
        link = link_to(factory, file.key, name)
        links.append(FileLink(name=name, url=link.url, expires_at=link.expires_at))
    if state.terminal:
        with suppress(Fault):  # the run itself can be shown without
            kept = await kept_histories(factory, workflow_id(state.run_id))
            links += [FileLink(name=link.name, url=link.url, expires_at=link.expires_at) for link in kept]
    return tuple(links)
