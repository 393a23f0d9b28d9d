"""Starting a build, once for each request key."""

import re
from typing import Any

from domain.artifacts import LOCK, Blob
from domain.build.inputs import BuildPriority, BuildRequest, OnConflict, VerifyPolicy
from domain.build.progress import StepDuration
from domain.build.state import BuildState
from domain.caller import Caller
from domain.errors import Fault, Verdict
from domain.model import Value
from domain.recipe.schema import Recipe
from domain.views import BuildView
from service.allowances import builds_left
from service.build_documents import artifact_named
from service.build_progress import view_of
from service.build_queue import Joining, join_queue
from service.build_view import accepted, build_view
from service.factory import Factory
from service.ids import derived_id, is_build_id
from service.lookup import build_id_of, require_kept, visible_build
from service.permissions import require
from service.progress import measure
from service.recipe_source import RecipeDocument, canonical_recipe, may_have_meant, recipe_of_build, understood
from service.recipe_text import read_recipe

TOOL = "create_build"
VISIBLE_SECONDS = 2.0
_CONCURRENCY_KEY = re.compile(r"[\x21-\x7e]{1,128}")


class BuildWishes(Value):
    """What may be said about a build besides its recipe (see `BuildRequest`)."""

    retry_of: str | None = None
    rerun_of: str | None = None
    verify: VerifyPolicy = "auto"
    priority: BuildPriority = "normal"
    concurrency_key: str | None = None
    on_conflict: OnConflict | None = None


async def create_build(
    factory: Factory,
    caller: Caller,
    document: RecipeDocument | None = None,
    wishes: BuildWishes | None = None,
    *,
    request_key: str | None = None,
) -> BuildView:
    """Start a build and answer with it as soon as the read model shows it, or after two seconds.

    With `rerun_of` instead of a recipe, that build's recipe is built again with the very same packages.

    The same request key with the same input gives the same build, `replayed`; nothing is started
    twice, whether the first request is done, under way, or its answer was lost. Names such as `latest`
    mean then what they meant the first time.

    Raises:
        Verdict: what is wrong with the recipe, `concurrency_key.invalid`, `concurrency_key.missing`,
            `request_key.reused`, `build.quota`, `build.queue_full`, `argument.conflict` unless there is either a recipe
            or `rerun_of`, `build.not_found` for `retry_of` or `rerun_of`, and for the latter `build.no_lock`,
            `build.deleted` or `build.expired`.

    """
    require(caller, TOOL)
    wishes = wishes or BuildWishes()
    _refuse_wrong_key(wishes)
    build_id = factory.new_id() if request_key is None else derived_id(caller.org_id, TOOL, request_key)
    then = None if request_key is None else await _state(factory, caller.org_id, build_id)
    meant = await _meant(factory, caller, document, wishes, then)
    request = BuildRequest(
        build_id=build_id,
        org_id=caller.org_id,
        requested_by=caller.subject,
        plan=caller.plan,
        recipe=meant.recipe,
        retry_of=meant.retry_of,
        rerun_of=meant.rerun_of,
        verify=wishes.verify,
        priority=wishes.priority,
        concurrency_key=wishes.concurrency_key,
        on_conflict=wishes.on_conflict or "cancel_queued",
    )
    if then is not None:
        _same_input(then.input_digest, request)
        return await view_of(factory, then, replayed=True)
    try:
        request, joining = await _admitted(factory, caller, request)
    except Verdict:
        # What this very request took when it came first must not be held against its repeat.
        if request_key is None or not await _is_known(factory, request):
            raise
        return accepted(build_id, name=str(meant.recipe["name"]), replayed=True)
    started = await factory.workflows.start_build(request, joining.terms)
    if not started:
        await _is_known(factory, request)
    return await _shown(factory, request, joining.durations, replayed=not started)


async def _admitted(factory: Factory, caller: Caller, request: BuildRequest) -> tuple[BuildRequest, Joining]:
    """Find that the plan allows one more build, with which packages, and how it takes its turn."""
    problems = await builds_left(factory, caller)
    if problems:
        raise Verdict(*problems)
    if request.rerun_of is not None:
        request = request.model_copy(update={"lock": await _lock_of(factory, caller, request.rerun_of)})
    return request, await join_queue(factory, caller, str(request.recipe["name"]))


class _Meant(Value):
    """What the names in a request stand for."""

    recipe: dict[str, Any]
    retry_of: str | None
    rerun_of: str | None


async def _meant(
    factory: Factory, caller: Caller, document: RecipeDocument | None, wishes: BuildWishes, then: BuildState | None
) -> _Meant:
    """Find what the names stand for: what they stood for when the build `then` was asked for, if it is there."""
    rerun_of = await _build_meant(factory, caller, wishes.rerun_of, then.rerun_of if then else None)
    again = document is None and rerun_of is not None and then is not None and rerun_of == then.rerun_of
    named = rerun_of is None and then is not None and await may_have_meant(factory, caller, document, then.recipe)
    if then is not None and (again or named):
        recipe = then.recipe
    else:
        recipe = canonical_recipe(await _recipe(factory, caller, document, rerun_of))
    retry_of = await _build_meant(factory, caller, wishes.retry_of, then.retry_of if then else None)
    if retry_of is not None and then is None:
        await visible_build(factory, caller, retry_of)
    return _Meant(recipe=recipe, retry_of=retry_of, rerun_of=rerun_of)


async def _build_meant(factory: Factory, caller: Caller, name: str | None, then: str | None) -> str | None:
    if name is None:
        return None
    if then is not None and not is_build_id(name):
        return then
    return await build_id_of(factory, caller, name)


async def _recipe(factory: Factory, caller: Caller, document: RecipeDocument | None, rerun_of: str | None) -> Recipe:
    if document is not None and rerun_of is None:
        return await understood(factory, caller, document)
    if document is None and rerun_of is not None:
        return read_recipe(await recipe_of_build(factory, caller, rerun_of))
    raise Verdict.because(
        "argument.conflict",
        "Give either a recipe, or rerun_of to build another build's recipe again.",
        path="recipe",
        next="Name one of the two; for a changed recipe call customize_recipe first.",
    )


async def _lock_of(factory: Factory, caller: Caller, build_id: str) -> Blob:
    """Find what says exactly which packages went into a build."""
    state = await visible_build(factory, caller, build_id)
    if state is not None:
        require_kept(state)
    lock = None if state is None else artifact_named(state, LOCK)
    if lock is None:
        raise Verdict.because(
            "build.no_lock",
            "This build has published no list of its exact packages, so it cannot be built again with the same ones.",
            path="rerun_of",
            next=f"Build its recipe with the packages of today: create_build with recipe build:{build_id}.",
        )
    return lock.blob


def _refuse_wrong_key(wishes: BuildWishes) -> None:
    if wishes.concurrency_key is None and wishes.on_conflict is not None:
        raise Verdict.because(
            "concurrency_key.missing",
            "on_conflict says what becomes of older builds of the same concurrency_key, and there is none.",
            path="on_conflict",
            next="Give a concurrency_key too, or leave on_conflict out.",
        )
    if wishes.concurrency_key is not None and not _CONCURRENCY_KEY.fullmatch(wishes.concurrency_key):
        raise Verdict.because(
            "concurrency_key.invalid",
            "A concurrency_key is 1 to 128 printable ASCII characters without spaces.",
            path="concurrency_key",
            value=wishes.concurrency_key[:64],
            next="Use a name like main or webserver/release.",
        )


async def _shown(
    factory: Factory, request: BuildRequest, durations: tuple[StepDuration, ...], *, replayed: bool
) -> BuildView:
    """Answer for a build that has a workflow; it stays accepted even if the read side is away now."""
    try:
        await factory.reads.wait_for(request.org_id, "builds", request.build_id, 1, VISIBLE_SECONDS)
        state = await _state(factory, request.org_id, request.build_id)
    except Fault:
        state = None
    if state is None:
        return accepted(request.build_id, name=str(request.recipe["name"]), replayed=replayed)
    if replayed:
        return await view_of(factory, state, replayed=True)
    # It has just been recorded: it joins the queue after that, and has done nothing yet. To ask for its place
    # would cost a round trip and tell nothing, so with others before it no end is told.
    return build_view(state, progress=measure(state, now=factory.now(), durations=durations))


async def _state(factory: Factory, org_id: str, build_id: str) -> BuildState | None:
    async with factory.reads.org(org_id) as reads:
        return await reads.builds.get(build_id)


async def _is_known(factory: Factory, request: BuildRequest) -> bool:
    """Whether this build has a workflow with the same input; another input is refused."""
    known = await factory.workflows.build_known(request.build_id, request.org_id)
    if known is not None:
        _same_input(known, request)
    return known is not None


def _same_input(digest: str, request: BuildRequest) -> None:
    if digest == request.input_digest:
        return
    raise Verdict.because(
        "request_key.reused",
        "This request_key was used before with another recipe or other wishes.",
        path="request_key",
        next=f"Use a new request_key for a new build; the old one is build_id {request.build_id}.",
    )
