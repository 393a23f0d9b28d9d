"""Evidence and comparisons of builds as short text."""

from collections.abc import Callable, Iterable
from typing import Any

from pydantic import BaseModel

from domain.build.compare import AssertionChange, BuildComparison, ImageComparison, PackageComparison
from domain.evidence import EvidenceView, ImageEvidence
from mcp_server.render_recipes import change_lines
from mcp_server.render_words import one_row, problem_lines


def _evidence(view: EvidenceView) -> Iterable[str]:
    sound = "sound" if view.sound else "NOT sound"
    yield f"Evidence of build {view.build_id} {view.name} ({view.status}): {sound}."
    yield from (line for problem in view.problems for line in problem_lines(problem))
    for image in view.images:
        yield from _image(image)
    yield f"Recipe sha256 {view.recipe_sha256}" + (f", lock sha256 {view.lock_sha256}" if view.lock_sha256 else "")
    if view.packages is not None:
        packages = view.packages
        yield f"{packages.count} packages of {packages.suite}. Asked for: {', '.join(packages.requested) or 'none'}"
    for document in (*view.documents, *view.histories):
        yield f"{document.name} ({document.bytes} bytes, sha256 {document.sha256}): {document.url}"
    yield from (line for line in (view.cut, view.next and f"Next: {view.next}") if line)


def _image(image: ImageEvidence) -> Iterable[str]:
    how = f" by {image.method}" if image.method else ""
    bound = "verification.json names these bytes" if image.bound else "NOT bound to verification.json"
    yield f"{image.name}: {image.verification}{how}; sha256 {image.sha256}; {bound}."
    if image.reused is not None:
        first = f"build {image.reused.build_id} of {image.reused.verified_at:%Y-%m-%d %H:%M} UTC"
        yield f"  Not booted again: the same bytes passed the same tests in {first}."
    yield from (f"  FAILED (untrusted): {one_row(text)}" for text in image.failures)


def _comparison(view: BuildComparison) -> Iterable[str]:
    for word, side in (("Before", view.before), ("After", view.after)):
        took = f", {side.seconds:.0f} s" if side.seconds is not None else ""
        yield f"{word}: {side.build_id} {side.name} {side.status}{took}, {side.created_at:%Y-%m-%d %H:%M} UTC"
    yield f"Recipe: {len(view.recipe)} change(s)" if view.recipe else "Recipe: the same"
    yield from change_lines(view.recipe)
    if view.packages is not None:
        yield from _packages(view.packages)
    yield from map(_image_change, view.images)
    if view.assertions:
        yield "Assertions (what was found is untrusted):"
        yield from map(_assertion, view.assertions)
    yield from (line for line in (view.cut, view.next and f"Next: {view.next}") if line)


def _packages(packages: PackageComparison) -> Iterable[str]:
    yield f"Packages: {packages.before} -> {packages.after}"
    yield from (f"  + {change.name} {change.after}" for change in packages.added)
    yield from (f"  - {change.name} {change.before}" for change in packages.removed)
    yield from (f"  ~ {change.name} {change.before} -> {change.after}" for change in packages.changed)


def _image_change(image: ImageComparison) -> str:
    same = "the same bytes" if image.identical else f"{image.bytes_before} -> {image.bytes_after} bytes"
    return f"{image.kind}: {same}; {image.verification_before} -> {image.verification_after}"


def _assertion(change: AssertionChange) -> str:
    words = {None: "not made", True: "holds", False: "does not hold"}
    found = f", found {change.found!r}" if change.found else ""
    turn = f"{words[change.before]} -> {words[change.after]}"
    return f"  {change.image} {change.suite}: {one_row(change.description)}: {turn}{found}"


WRITERS: dict[type[BaseModel], Callable[[Any], Iterable[str]]] = {
    EvidenceView: _evidence,
    BuildComparison: _comparison,
}
