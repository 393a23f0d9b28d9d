"""Two builds beside each other, small enough to be read."""

from domain.build.compare import AssertionChange, BuildComparison, Packages, compare_states
from domain.build.state import BuildState
from domain.caller import Caller
from domain.errors import Verdict
from domain.text import clean_untrusted
from service.build_documents import PACKAGES, read_document, versions_of
from service.factory import Factory
from service.lookup import build_id_of, visible_build
from service.permissions import require
from service.recipe_customize import short_change

_MOST_CHANGES = 20
_MOST_PACKAGES = 25
_MOST_ASSERTIONS = 15
_TEXT = 120


async def compare_builds(factory: Factory, caller: Caller, before: str, after: str) -> BuildComparison:
    """Tell what is different in `after`: recipe, packages, sizes, and what was verified.

    Packages are compared only if both builds have published their manifests; everything else always.

    Raises:
        Verdict: `build.not_found`, or `build.starting` while one of the two cannot be read yet.

    """
    require(caller, "compare_builds")
    old = await _build(factory, caller, before, "before")
    new = await _build(factory, caller, after, "after")
    missing: list[str] = []
    packages = [found for state in (old, new) if (found := await _packages(factory, state, missing)) is not None]
    both = (packages[0], packages[1]) if not missing else None
    return _short(compare_states(old, new, both), missing)


async def _build(factory: Factory, caller: Caller, name: str, argument: str) -> BuildState:
    try:
        state = await visible_build(factory, caller, await build_id_of(factory, caller, name))
    except Verdict as verdict:
        raise Verdict(*(p.model_copy(update={"path": argument}) for p in verdict.problems)) from None
    if state is None:
        raise Verdict.because(
            "build.starting", "This build is only just starting.", path=argument, next="Follow get_build_status."
        )
    return state


async def _packages(factory: Factory, state: BuildState, missing: list[str]) -> Packages | None:
    try:
        return versions_of(await read_document(factory, state, PACKAGES))
    except Verdict as verdict:
        missing.append(f"packages, because of {state.build_id}: {verdict.problems[0].message}")
        return None


def _short(view: BuildComparison, missing: list[str]) -> BuildComparison:
    cut = list(missing)
    recipe = tuple(map(short_change, view.recipe[:_MOST_CHANGES]))
    if len(view.recipe) > len(recipe):
        cut.append(f"{len(view.recipe) - len(recipe)} more changes of the recipe")
    packages = view.packages
    if packages is not None:
        lists = {name: getattr(packages, name) for name in ("added", "removed", "changed")}
        cut += [f"{len(v) - _MOST_PACKAGES} more {n} packages" for n, v in lists.items() if len(v) > _MOST_PACKAGES]
        packages = packages.model_copy(update={name: found[:_MOST_PACKAGES] for name, found in lists.items()})
    assertions = tuple(map(_clean, view.assertions[:_MOST_ASSERTIONS]))
    if len(view.assertions) > len(assertions):
        cut.append(f"{len(view.assertions) - len(assertions)} more assertions")
    return view.model_copy(
        update={
            "recipe": recipe,
            "packages": packages,
            "assertions": assertions,
            "cut": f"Not shown: {'; '.join(cut)}." if cut else None,
            "next": "get_build_evidence of each has the links to the whole manifests and reports.",
        }
    )


def _clean(change: AssertionChange) -> AssertionChange:
    texts = {name: clean_untrusted(getattr(change, name), _TEXT) for name in ("description", "found")}
    return change.model_copy(update=texts)
