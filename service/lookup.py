"""Finding a build for its caller: absent and another organization's look the same."""

from domain.build.state import BuildState
from domain.caller import Caller
from domain.errors import Verdict
from service.factory import Factory
from service.ids import is_build_id


async def visible_build(factory: Factory, caller: Caller, build_id: str) -> BuildState | None:
    """Return the build as the read model shows it.

    Returns nothing for a build that was accepted but is not visible yet.

    Raises:
        Verdict: `build.not_found`.

    """
    if not is_build_id(build_id):
        raise not_found(build_id)
    async with factory.reads.org(caller.org_id) as reads:
        state = await reads.builds.get(build_id)
    if state is None and await factory.workflows.build_known(build_id, caller.org_id) is None:
        raise not_found(build_id)
    return state


def not_found(build_id: str) -> Verdict:
    """Refuse an id under which the caller has no build."""
    return Verdict.because(
        "build.not_found",
        "There is no build with this id.",
        path="build_id",
        value=build_id[:64],
        next="Call list_builds to see the builds of your organization.",
    )
