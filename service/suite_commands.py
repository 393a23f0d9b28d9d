"""Writing suites and binding images to their slots; each is recorded once for each request key."""

from collections.abc import Mapping
from contextlib import suppress

from domain.caller import Caller
from domain.errors import Fault, Problem, Verdict
from domain.suite.commands import BindTargets, ChangeSuite, CreateSuite
from domain.suite.decide import refuse_unknown_slots
from domain.suite.inputs import Binding, SuiteRequest, TargetFormat
from domain.suite.state import SuiteState
from domain.suite.views import SuiteView
from service.build_create import VISIBLE_SECONDS
from service.factory import Factory
from service.ids import derived_id, is_build_id
from service.lookup import build_id_of
from service.permissions import require
from service.suite_lookup import existing_suite, shown
from service.suite_text import SuiteDocument, understood

Targets = Mapping[str, str | None]
"""For each slot `build:<name>`, `build:<name>:iso`, `image:<id>`, a bare name of a build, or nothing to unbind it.

A tag such as `latest-verified:demo` is resolved when it is bound.
"""
_FORMATS: Mapping[str, TargetFormat] = {"qcow2": "qcow2", "iso": "iso"}


async def create_suite(
    factory: Factory, caller: Caller, document: SuiteDocument, *, request_key: str | None = None
) -> SuiteView:
    """Keep a suite; no image needs to exist yet. The same request key with the same suite gives the same one.

    Raises:
        Verdict: everything that is wrong with the suite, or `request_key.reused`.

    """
    require(caller, "create_test_suite")
    parsed = understood(document)
    known = request_key is not None
    suite_id = factory.new_id() if request_key is None else derived_id(caller.org_id, "create_test_suite", request_key)
    request = SuiteRequest(
        suite_id=suite_id, org_id=caller.org_id, requested_by=caller.subject, document=parsed.document
    )
    earlier = await _state(factory, caller, suite_id) if known else None
    if earlier is not None:
        _same_input(earlier, request)
        return (await shown(factory, caller, earlier)).model_copy(update={"replayed": True})
    version = await factory.tests.define_suite(suite_id, CreateSuite(request=request))
    met = await _seen(factory, caller, suite_id, version)
    if met is None:
        return SuiteView(suite_id=suite_id, name=parsed.suite.name, version=version, visible=False, next=_FOLLOW)
    _same_input(met, request)
    return await shown(factory, caller, met)


async def update_suite(
    factory: Factory,
    caller: Caller,
    suite_id: str,
    document: SuiteDocument,
    *,
    expected_version: int | None = None,
    request_key: str | None = None,
) -> SuiteView:
    """Write a suite anew. Without `expected_version` the version of this moment is replaced.

    Raises:
        Verdict: `suite.not_found`, `suite.version_conflict`, or everything that is wrong with the suite.

    """
    require(caller, "update_test_suite")
    state = await existing_suite(factory, caller, suite_id)
    command = ChangeSuite(
        command_id=_command_id(factory, "update_test_suite", suite_id, request_key),
        requested_by=caller.subject,
        expected_version=state.version if expected_version is None else expected_version,
        document=understood(document).document,
    )
    return await _commanded(factory, caller, state, command)


async def bind_targets(
    factory: Factory,
    caller: Caller,
    suite_id: str,
    targets: Targets,
    *,
    expected_version: int | None = None,
    request_key: str | None = None,
) -> SuiteView:
    """Bind images to slots; slots that are not named keep theirs.

    Raises:
        Verdict: `suite.not_found`, `suite.unknown_slot`, `suite.bad_target`, `suite.target_not_found`,
            `suite.version_conflict`.

    """
    require(caller, "update_test_suite_targets")
    state = await existing_suite(factory, caller, suite_id)
    refuse_unknown_slots(state, targets)
    bindings = await _bindings(factory, caller, targets)
    await _refuse_absent(factory, caller, bindings)
    command = BindTargets(
        command_id=_command_id(factory, "update_test_suite_targets", suite_id, request_key),
        requested_by=caller.subject,
        expected_version=state.version if expected_version is None else expected_version,
        bindings=bindings,
        unbind=tuple(slot for slot, target in targets.items() if not target),
    )
    return await _commanded(factory, caller, state, command)


async def _commanded(
    factory: Factory, caller: Caller, state: SuiteState, command: ChangeSuite | BindTargets
) -> SuiteView:
    if command.command_id in state.commands:
        return (await shown(factory, caller, state)).model_copy(update={"replayed": True})
    version = await factory.tests.define_suite(state.suite_id, command)
    met = await _seen(factory, caller, state.suite_id, version)
    view = await shown(factory, caller, met or state)
    return view if met is not None else view.model_copy(update={"visible": False, "next": _FOLLOW})


_FOLLOW = "It was accepted; get_test_suite shows it in a moment."


async def _seen(factory: Factory, caller: Caller, suite_id: str, version: int) -> SuiteState | None:
    """Answer the suite once the read model has this version, or nothing if that takes longer."""
    with suppress(Fault):  # it was accepted; that it cannot be seen now does not change that
        if await factory.reads.wait_for(caller.org_id, "suites", suite_id, version, VISIBLE_SECONDS):
            return await _state(factory, caller, suite_id)
    return None


async def _state(factory: Factory, caller: Caller, suite_id: str) -> SuiteState | None:
    async with factory.reads.org(caller.org_id) as reads:
        return await reads.suites.get(suite_id)


def _command_id(factory: Factory, tool: str, suite_id: str, request_key: str | None) -> str:
    return factory.new_id() if request_key is None else derived_id(suite_id, tool, request_key)


def _same_input(state: SuiteState, request: SuiteRequest) -> None:
    if state.input_digest != request.input_digest:
        raise Verdict.because(
            "request_key.reused",
            "This request_key was used before for another suite.",
            path="request_key",
            next=f"Use a new request_key for a new suite; the old one is suite_id {request.suite_id}.",
        )


async def _bindings(factory: Factory, caller: Caller, targets: Targets) -> tuple[Binding, ...]:
    """Read every target that is given; what is wrong with any of them is told at once."""
    bound: list[Binding] = []
    problems: list[Problem] = []
    for slot, target in targets.items():
        if target:
            try:
                bound.append(await _binding(factory, caller, slot, target))
            except Verdict as verdict:
                problems += verdict.problems
    if problems:
        raise Verdict(*problems)
    return tuple(bound)


async def _binding(factory: Factory, caller: Caller, slot: str, target: str) -> Binding:
    """Read `build:<name>[:iso]`, `image:<id>` or a build's name alone."""
    name, _, last = target.rpartition(":")
    image_format = _FORMATS.get(last) if name else None
    name = target if image_format is None else name
    if name.startswith("image:"):
        identity = name.removeprefix("image:")
        if not is_build_id(identity):
            raise _no_such_target(slot, target, "there is no image of this id")
        return Binding(slot=slot, source="image", source_id=identity, format=image_format or "qcow2")
    try:
        identity = await build_id_of(factory, caller, name.removeprefix("build:"))
    except Verdict as verdict:
        raise _no_such_target(slot, target, verdict.problems[0].message) from None
    return Binding(slot=slot, source="build", source_id=identity, format=image_format or "qcow2")


def _no_such_target(slot: str, target: str, why: str) -> Verdict:
    return Verdict.because(
        "suite.bad_target",
        f"the target of `{slot}` is not one: {why}",
        path=f"targets.{slot}",
        value=target[:80],
        next="Write build:NAME or build:NAME:iso (NAME: a build's id, latest, latest-verified:demo …) or "
        "image:<image_id>; null takes the image away.",
    )


async def _refuse_absent(factory: Factory, caller: Caller, bindings: tuple[Binding, ...]) -> None:
    async with factory.reads.org(caller.org_id) as reads:
        absent = [
            binding
            for binding in bindings
            if (
                await reads.builds.get(binding.source_id)
                if binding.source == "build"
                else await reads.images.get(binding.source_id)
            )
            is None
        ]
    if absent:
        raise Verdict(*(p for binding in absent for p in _no_target(binding).problems))


def _no_target(binding: Binding) -> Verdict:
    return Verdict.because(
        "suite.target_not_found",
        f"there is no {binding.source} with the id bound to `{binding.slot}`",
        path=f"targets.{binding.slot}",
        value=binding.source_id,
        next="list_builds" if binding.source == "build" else "list_images",
    )
