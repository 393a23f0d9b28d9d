"""Deleting a build: its files are no longer to be had at once, and removed a little later."""

from contextlib import suppress

from domain.build.commands import DeleteBuild
from domain.build.state import BuildState
from domain.caller import Caller
from domain.errors import Fault, Verdict
from domain.views import DeletedBuild
from service.build_create import VISIBLE_SECONDS
from service.factory import Factory
from service.lookup import build_id_of, not_found
from service.permissions import require

_MOST_NAMED = 5


async def delete_build(
    factory: Factory, caller: Caller, build_id: str, *, reason: str = "deleted on request"
) -> DeletedBuild:
    """Delete a build that has ended; deleting it again changes nothing.

    What it shares with other builds stays. That there was such a build, and why it is gone, stays known.

    Raises:
        Verdict: `build.not_found`, `build.not_ended`, or `build.in_use` while a machine is made of one of its
            images or a suite is bound to one.

    """
    require(caller, "delete_build")
    build_id = await build_id_of(factory, caller, build_id)
    async with factory.reads.org(caller.org_id) as reads:
        state = await reads.builds.get(build_id)
        if state is None:
            raise not_found(build_id)
        machines = await reads.vms.made_of(build_id, limit=_MOST_NAMED)
        suites = await reads.suites.bound_to(build_id, limit=_MOST_NAMED)
    if state.deleted is not None:
        return _view(state, replayed=True)
    _require_ended(state)
    _require_unused(machines, suites)
    version = await factory.workflows.delete_build(build_id, DeleteBuild(requested_by=caller.subject, reason=reason))
    with suppress(Fault):  # it is recorded; that it cannot be seen now does not change that
        await factory.reads.wait_for(caller.org_id, "builds", build_id, version, VISIBLE_SECONDS)
    return _view(state, replayed=False)


def _require_ended(state: BuildState) -> None:
    if state.terminal:
        return
    parked = state.status == "failed"
    raise Verdict.because(
        "build.not_ended",
        "The build has failed and can still be retried." if parked else f"The build is {state.status}.",
        path="build_id",
        value=state.status,
        next="End it with cancel_build first, then delete it.",
    )


def _require_unused(machines: tuple[str, ...], suites: tuple[str, ...]) -> None:
    used = [f"the machine {name}" for name in machines] + [f"the suite {name}" for name in suites]
    if used:
        raise Verdict.because(
            "build.in_use",
            f"An image of this build is used by {', '.join(used)}.",
            path="build_id",
            suggestions=(*machines, *suites),
            next="Delete the machines (delete_vm) and bind the suites to another build (update_test_suite_targets).",
        )


def _view(state: BuildState, *, replayed: bool) -> DeletedBuild:
    return DeletedBuild(
        build_id=state.build_id,
        name=str(state.recipe.get("name", "")),
        files=len(state.artifacts),
        bytes=sum(artifact.blob.bytes for artifact in state.artifacts),
        replayed=replayed,
        next="Its links no longer work. What no other build shares is removed from disk within two days.",
    )
