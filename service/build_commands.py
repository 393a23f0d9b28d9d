"""Going on with a failed build, and ending one."""

from contextlib import suppress

from domain.build.state import BuildState
from domain.caller import Caller
from domain.errors import FactoryError, Verdict
from domain.views import BuildView
from service.allowances import builds_left
from service.build_create import VISIBLE_SECONDS
from service.build_progress import view_of
from service.build_view import FOLLOW, accepted
from service.factory import Factory
from service.ids import derived_id
from service.lookup import build_id_of, visible_build
from service.permissions import require
from workflows.commands import CancelCommand, RetryCommand


async def retry_build(factory: Factory, caller: Caller, build_id: str, *, request_key: str | None = None) -> BuildView:
    """Have a failed build go on from the step that failed; finished steps are kept.

    A repeated request key is harmless: the workflow remembers which commands it obeyed.

    Raises:
        Verdict: `build.not_found`, `build.not_failed`, `build.retry_closed`, or `build.quota`.

    """
    require(caller, "retry_build")
    build_id = await build_id_of(factory, caller, build_id)
    state = await visible_build(factory, caller, build_id)
    command_id = _command_id(factory, "retry_build", build_id, request_key)
    if state is None:
        raise _not_failed(None)
    if command_id in state.retries:
        return await view_of(factory, state, replayed=True)
    if state.status != "failed":
        raise _not_failed(state)
    if state.failure is None or not state.failure.retryable:
        raise Verdict.because(
            "build.retry_closed",
            "The time in which this build could be retried is over.",
            path="build_id",
            next=f"Call create_build with the same recipe and retry_of={build_id}; finished layers are reused.",
        )
    problems = await builds_left(factory, caller)
    if problems:
        raise Verdict(*problems)
    command = RetryCommand(command_id=command_id, requested_by=caller.subject, generation=state.generation)
    await factory.workflows.retry_build(build_id, command)
    return await _after(factory, caller, state)


async def cancel_build(
    factory: Factory,
    caller: Caller,
    build_id: str,
    *,
    reason: str = "cancelled on request",
    request_key: str | None = None,
) -> BuildView:
    """End a build and give back what it holds; ending a cancelled one again is harmless.

    Raises:
        Verdict: `build.not_found`, or `build.ended` if it is completed or can no longer be retried.

    """
    require(caller, "cancel_build")
    build_id = await build_id_of(factory, caller, build_id)
    state = await visible_build(factory, caller, build_id)
    command_id = _command_id(factory, "cancel_build", build_id, request_key)
    if state is not None and state.status == "cancelled":
        return await view_of(factory, state, replayed=True)
    if state is not None and state.terminal:
        raise Verdict.because(
            "build.ended",
            f"This build is {state.status}; there is nothing left to cancel.",
            path="build_id",
            next="Leave it as it is; get_build_status shows it.",
        )
    command = CancelCommand(command_id=command_id, requested_by=caller.subject, reason=reason)
    await factory.workflows.cancel_build(build_id, command)
    return await _after(factory, caller, state) if state is not None else accepted(build_id)


def _command_id(factory: Factory, tool: str, build_id: str, request_key: str | None) -> str:
    return factory.new_id() if request_key is None else derived_id(build_id, tool, request_key)


async def _after(factory: Factory, caller: Caller, before: BuildState) -> BuildView:
    """Answer with the build once the command shows, or as it is if that takes longer."""
    state = before
    with suppress(FactoryError):  # the command was taken; that it cannot be seen now does not change that
        await factory.reads.wait_for(caller.org_id, "builds", before.build_id, before.version + 1, VISIBLE_SECONDS)
        state = await visible_build(factory, caller, before.build_id) or before
    view = await view_of(factory, state)
    if state.version > before.version:
        return view
    return view.model_copy(update={"visible": False, "next": f"The command was accepted. {FOLLOW}"})


def _not_failed(state: BuildState | None) -> Verdict:
    status = "starting" if state is None else state.status
    advice = {
        "completed": "It is done: call get_download_links.",
        "cancelled": "Call create_build for a new build.",
    }.get(status, FOLLOW)
    return Verdict.because(
        "build.not_failed",
        f"Only a failed build can be retried, and this one is {status}.",
        path="build_id",
        next=advice,
    )
