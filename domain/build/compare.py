"""What is different between two builds: packages, sizes, recipe, and what was verified."""

from collections.abc import Mapping
from datetime import datetime
from typing import Literal

from domain.build.state import BuildState, BuildStatus
from domain.canonical import canonical_json
from domain.model import Value
from domain.recipe.difference import Difference, differences
from domain.verification import AssertionResult, VerificationReport

Packages = Mapping[str, str]
"""The version of each package by its name."""


class ComparedBuild(Value):
    """One of the two builds."""

    build_id: str
    name: str
    status: BuildStatus
    created_at: datetime
    seconds: float | None = None
    recipe_digest: str


class PackageChange(Value):
    """A package with its versions; one of them is missing if it was added or removed."""

    name: str
    before: str | None = None
    after: str | None = None


class PackageComparison(Value):
    """How many packages each has, and which are different."""

    before: int
    after: int
    added: tuple[PackageChange, ...] = ()
    removed: tuple[PackageChange, ...] = ()
    changed: tuple[PackageChange, ...] = ()


class ImageComparison(Value):
    """One image of both: sizes in bytes, whether the bytes are the same, and what was verified on it."""

    kind: Literal["qcow2", "iso"]
    bytes_before: int | None = None
    bytes_after: int | None = None
    identical: bool = False
    verification_before: str | None = None
    verification_after: str | None = None
    boot_seconds_before: float | None = None
    boot_seconds_after: float | None = None


class AssertionChange(Value):
    """An assertion that holds on one of the two only, or is made on one only. `found` is untrusted data."""

    image: Literal["qcow2", "iso"]
    suite: str
    description: str
    before: bool | None = None
    after: bool | None = None
    found: str = ""


class BuildComparison(Value):
    """Two builds beside each other. Without `packages` one of the two has no package manifest.

    `cut` says what was left out to keep the answer small.
    """

    before: ComparedBuild
    after: ComparedBuild
    recipe: tuple[Difference, ...] = ()
    packages: PackageComparison | None = None
    images: tuple[ImageComparison, ...] = ()
    assertions: tuple[AssertionChange, ...] = ()
    cut: str | None = None
    next: str | None = None


def compare_states(
    before: BuildState, after: BuildState, packages: tuple[Packages, Packages] | None
) -> BuildComparison:
    """Compare two builds as they are now, with the packages of both if both have a manifest."""
    return BuildComparison(
        before=_side(before),
        after=_side(after),
        recipe=differences(before.recipe, after.recipe),
        packages=None if packages is None else compare_packages(*packages),
        images=_images(before, after),
        assertions=_assertions(before.reports, after.reports),
    )


def compare_packages(before: Packages, after: Packages) -> PackageComparison:
    """Tell which packages came, went, or changed their version, by name."""
    return PackageComparison(
        before=len(before),
        after=len(after),
        added=tuple(PackageChange(name=n, after=after[n]) for n in sorted(after.keys() - before.keys())),
        removed=tuple(PackageChange(name=n, before=before[n]) for n in sorted(before.keys() - after.keys())),
        changed=tuple(
            PackageChange(name=n, before=before[n], after=after[n])
            for n in sorted(before.keys() & after.keys())
            if before[n] != after[n]
        ),
    )


def _side(state: BuildState) -> ComparedBuild:
    return ComparedBuild(
        build_id=state.build_id,
        name=str(state.recipe.get("name", "")),
        status=state.status,
        created_at=state.requested_at,
        seconds=state.seconds,
        recipe_digest=state.recipe_digest,
    )


def _images(before: BuildState, after: BuildState) -> tuple[ImageComparison, ...]:
    found: list[ImageComparison] = []
    kinds: tuple[Literal["qcow2", "iso"], ...] = ("qcow2", "iso")
    for kind in kinds:
        old = next((a for a in before.artifacts if a.kind == kind), None)
        new = next((a for a in after.artifacts if a.kind == kind), None)
        if old is None and new is None:
            continue
        found.append(
            ImageComparison(
                kind=kind,
                bytes_before=old and old.blob.bytes,
                bytes_after=new and new.blob.bytes,
                identical=old is not None and new is not None and old.blob == new.blob,
                verification_before=old and old.verification,
                verification_after=new and new.verification,
                boot_seconds_before=_boot(before, kind),
                boot_seconds_after=_boot(after, kind),
            )
        )
    return tuple(found)


def _boot(state: BuildState, kind: str) -> float | None:
    return next((report.boot_seconds for report in state.reports if report.artifact == kind), None)


_Key = tuple[Literal["qcow2", "iso"], str, str, str, bytes]


def _assertions(
    before: tuple[VerificationReport, ...], after: tuple[VerificationReport, ...]
) -> tuple[AssertionChange, ...]:
    old, new = _results(before), _results(after)
    changes: list[AssertionChange] = []
    for key in dict.fromkeys((*old, *new)):
        was, now = old.get(key), new.get(key)
        if was is not None and now is not None and was.passed == now.passed:
            continue
        shown = now or was
        changes.append(
            AssertionChange(
                image=key[0],
                suite=key[1],
                description=key[2],
                before=was and was.passed,
                after=now and now.passed,
                found="" if shown is None or shown.passed else shown.found,
            )
        )
    # What broke comes first: it is what one looks for.
    return tuple(sorted(changes, key=lambda change: (change.after is not False, change.after is True)))


def _results(reports: tuple[VerificationReport, ...]) -> dict[_Key, AssertionResult]:
    return {
        (report.artifact, result.suite, result.description, result.type, canonical_json(result.params)): result
        for report in reports
        for result in report.results
    }
