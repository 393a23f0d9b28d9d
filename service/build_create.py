"""Starting a build, once for each request key."""

import re

from domain.build.inputs import BuildPriority, BuildRequest, OnConflict, VerifyPolicy
from domain.caller import Caller
from domain.errors import Fault, Verdict
from domain.model import Value
from domain.views import BuildView
from service.allowances import builds_left
from service.build_progress import progress_of
from service.build_queue import place_of, queue_terms
from service.build_view import accepted, build_view
from service.factory import Factory
from service.ids import derived_id
from service.lookup import build_id_of, visible_build
from service.permissions import require
from service.recipes import RecipeDocument, canonical_recipe, understood

TOOL = "create_build"
VISIBLE_SECONDS = 2.0
_CONCURRENCY_KEY = re.compile(r"[\x21-\x7e]{1,128}")


class BuildWishes(Value):
    """What may be said about a build besides its recipe (see `BuildRequest`)."""

    retry_of: str | None = None
    verify: VerifyPolicy = "auto"
    priority: BuildPriority = "normal"
    concurrency_key: str | None = None
    on_conflict: OnConflict | None = None


async def create_build(
    factory: Factory,
    caller: Caller,
    document: RecipeDocument,
    wishes: BuildWishes | None = None,
    *,
    request_key: str | None = None,
) -> BuildView:
    """Start a build and answer with it as soon as the read model shows it, or after two seconds.

    The same request key with the same input gives the same build, `replayed`; nothing is started
    twice, whether the first request is done, under way, or its answer was lost.

    Raises:
        Verdict: what is wrong with the recipe, `concurrency_key.invalid`, `concurrency_key.missing`,
            `request_key.reused`, `build.not_found` for `retry_of`, `build.quota`, or `build.queue_full`.

    """
    require(caller, TOOL)
    wishes = wishes or BuildWishes()
    _refuse_wrong_key(wishes)
    recipe = canonical_recipe(understood(factory, document))
    retry_of = wishes.retry_of
    if retry_of is not None:
        retry_of = await build_id_of(factory, caller, retry_of)
        await visible_build(factory, caller, retry_of)
    request = BuildRequest(
        build_id=factory.new_id() if request_key is None else derived_id(caller.org_id, TOOL, request_key),
        org_id=caller.org_id,
        requested_by=caller.subject,
        plan=caller.plan,
        recipe=recipe,
        retry_of=retry_of,
        verify=wishes.verify,
        priority=wishes.priority,
        concurrency_key=wishes.concurrency_key,
        on_conflict=wishes.on_conflict or "cancel_queued",
    )
    earlier = None if request_key is None else await _earlier(factory, request)
    if earlier is not None:
        return earlier
    problems = await builds_left(factory, caller)
    if problems:
        raise Verdict(*problems)
    terms = await queue_terms(factory, caller, str(recipe["name"]))
    await factory.workflows.start_build(request, terms)
    return await _started(factory, request)


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


async def _started(factory: Factory, request: BuildRequest) -> BuildView:
    """Answer for a build that was just started; it stays accepted even if the read side is away now."""
    try:
        await factory.reads.wait_for(request.org_id, "builds", request.build_id, 1, VISIBLE_SECONDS)
        # Two requests with one key may have met here: the workflow that runs tells whose input it was.
        met = await _earlier(factory, request)
    except Fault:
        met = None
    if met is None:
        return accepted(request.build_id, name=str(request.recipe["name"]))
    return met.model_copy(update={"replayed": False})


async def _earlier(factory: Factory, request: BuildRequest) -> BuildView | None:
    """Return the build of this id if there is one with the same input; refuse it with another."""
    async with factory.reads.org(request.org_id) as reads:
        state = await reads.builds.get(request.build_id)
    if state is not None:
        _same_input(state.input_digest, request)
        place = await place_of(factory, state)
        progress = await progress_of(factory, state, place)
        return build_view(state, progress=progress, replayed=True, place=place)
    known = await factory.workflows.build_known(request.build_id, request.org_id)
    if known is None:
        return None
    _same_input(known, request)
    return accepted(request.build_id, name=str(request.recipe["name"]), replayed=True)


def _same_input(digest: str, request: BuildRequest) -> None:
    if digest == request.input_digest:
        return
    raise Verdict.because(
        "request_key.reused",
        "This request_key was used before with another recipe or other wishes.",
        path="request_key",
        next=f"Use a new request_key for a new build; the old one is build_id {request.build_id}.",
    )
