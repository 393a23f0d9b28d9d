"""Finding a build for its caller: absent and another organization's look the same."""

from domain.build.names import BuildTag, read_build_name
from domain.build.state import BuildState, Removal
from domain.caller import Caller
from domain.errors import Verdict
from domain.text import clean_untrusted
from service.factory import Factory
from service.ids import is_build_id

_MOST_NAMED = 5
_LONGEST_REASON = 200


async def build_id_of(factory: Factory, caller: Caller, name: str) -> str:
    """Return the id that a name stands for now (see `domain.build.names`); whoever goes on keeps the id.

    An id is answered as it is, whether there is such a build or not.

    Raises:
        Verdict: `build.not_found`, or `build.ambiguous` for the beginning of several ids.

    """
    named = read_build_name(name)
    if named.build_id is not None:
        return named.build_id
    found: tuple[str, ...]
    async with factory.reads.org(caller.org_id) as reads:
        if named.tag is not None:
            newest = await reads.builds.newest(named.tag)
            found = () if newest is None else (newest,)
        else:
            found = await reads.builds.beginning(named.beginning or "", limit=_MOST_NAMED)
    if not found:
        raise not_found(name) if named.tag is None else _no_such(named.tag, name)
    first, *others = found
    if others:
        raise Verdict.because(
            "build.ambiguous",
            f"More than one build begins with {name[:64]}.",
            path="build_id",
            value=name[:64],
            suggestions=found,
            next="Give more digits.",
        )
    return first


async def visible_build(factory: Factory, caller: Caller, build_id: str) -> BuildState | None:
    """Return the build as the read model shows it.

    Returns nothing for a build that was accepted but is not visible yet.

    Raises:
        Verdict: `build.not_found`, or `build.deleted`.

    """
    if not is_build_id(build_id):
        raise not_found(build_id)
    async with factory.reads.org(caller.org_id) as reads:
        state = await reads.builds.get(build_id)
    if state is None and await factory.workflows.build_known(build_id, caller.org_id) is None:
        raise not_found(build_id)
    if state is not None and state.deleted is not None:
        raise deleted(state.deleted)
    return state


def deleted(removal: Removal) -> Verdict:
    """Refuse a build that somebody deleted; its id stays known."""
    why = clean_untrusted(removal.reason, _LONGEST_REASON)
    return Verdict.because(
        "build.deleted",
        f"This build was deleted by {removal.by} at {removal.at:%Y-%m-%d %H:%M} UTC: {why}",
        path="build_id",
        next="Call list_builds for others, or create_build to build its recipe again.",
    )


def not_found(build_id: str) -> Verdict:
    """Refuse an id under which the caller has no build."""
    return Verdict.because(
        "build.not_found",
        "There is no build with this id.",
        path="build_id",
        value=build_id[:64],
        next="Call list_builds to see the builds of your organization.",
    )


def _no_such(tag: BuildTag, name: str) -> Verdict:
    what = "verified build" if tag.verified else "build"
    of = f" of {tag.recipe}" if tag.recipe else ""
    return Verdict.because(
        "build.not_found",
        f"There is no {what}{of} yet.",
        path="build_id",
        value=name[:64],
        next="Start one with create_build, or call list_builds to see what there is.",
    )


def require_kept(state: BuildState) -> None:
    """Refuse a build whose files are no longer kept.

    Raises:
        Verdict: `build.deleted` or `build.expired`.

    """
    if state.deleted is not None:
        raise deleted(state.deleted)
    if state.expired is not None:
        raise Verdict.because(
            "build.expired",
            f"The files of this build are no longer kept since {state.expired.at:%Y-%m-%d}: {state.expired.reason}",
            path="build_id",
            next="Build its recipe again with create_build; what is still cached is not made anew.",
        )
