"""What is known of a build and how: evidence bound to the bytes, small enough to be read."""

from typing import Any

from domain.artifacts import Artifact
from domain.build.state import BuildState
from domain.caller import Caller
from domain.errors import Problem, Verdict
from domain.evidence import EvidenceView, ImageEvidence, PackageEvidence
from domain.text import clean_untrusted
from domain.verification import VerificationReport
from service.build_documents import PACKAGES, VERIFICATION, read_document, versions_of
from service.build_view import clipped
from service.downloads import histories_of, link_of
from service.factory import Factory
from service.lookup import build_id_of, require_kept, visible_build
from service.permissions import require

_MOST_DOCUMENTS = 8
_MOST_HISTORIES = 2
_MOST_REQUESTED = 40
_MOST_FAILURES = 6
_TEXT = 160
_Document = dict[str, Any]


async def get_build_evidence(factory: Factory, caller: Caller, build_id: str) -> EvidenceView:
    """Return how each image was verified, bound to its SHA-256, with what went in and links to the whole documents.

    Raises:
        Verdict: `build.not_found`, `build.deleted`, `build.expired`, or `build.starting` while it cannot be read yet.

    """
    require(caller, "get_build_evidence")
    state = await visible_build(factory, caller, await build_id_of(factory, caller, build_id))
    if state is None:
        raise Verdict.because(
            "build.starting", "This build is only just starting.", path="build_id", next="Follow get_build_status."
        )
    require_kept(state)
    problems: list[Problem] = []
    verified = await _read(factory, state, VERIFICATION, problems)
    manifest = await _read(factory, state, PACKAGES, problems)
    images = tuple(_image(a, state, verified) for a in state.artifacts if a.kind in {"qcow2", "iso"})
    problems += _contradictions(state, images, verified)
    files = [artifact for artifact in state.artifacts if artifact.kind not in {"qcow2", "iso"}]
    rest = len(files) - _MOST_DOCUMENTS
    return EvidenceView(
        build_id=state.build_id,
        name=str(state.recipe.get("name", "")),
        status=state.status,
        sound=not problems and bool(images),
        verifier=None if verified is None else "{name} {version}".format(**verified["verifier"]),
        recipe_sha256=state.recipe_digest,
        lock_sha256=None if verified is None else str(verified["lock"]["sha256"]),
        images=images,
        packages=None if manifest is None else _packages(manifest, state),
        problems=tuple(map(clipped, problems)),
        documents=tuple(link_of(factory, state, artifact) for artifact in files[:_MOST_DOCUMENTS]),
        histories=(await histories_of(factory, state))[-_MOST_HISTORIES:],
        cut=f"{rest} more files: call get_download_links with kind=evidence." if rest > 0 else None,
        next=_next(state, images),
    )


async def _read(factory: Factory, state: BuildState, name: str, problems: list[Problem]) -> _Document | None:
    try:
        return await read_document(factory, state, name)
    except Verdict as verdict:
        problems += verdict.problems
        return None


def _image(artifact: Artifact, state: BuildState, verified: _Document | None) -> ImageEvidence:
    about = _about(artifact, verified)
    report = next((report for report in state.reports if report.artifact == artifact.kind), None)
    return ImageEvidence.model_validate(
        {
            "name": artifact.name,
            "kind": artifact.kind,
            "sha256": artifact.blob.digest,
            "bytes": artifact.blob.bytes,
            "verification": artifact.verification,
            "method": artifact.method,
            "bound": about is not None and about["sha256"] == artifact.blob.digest,
            "booted": bool(about and about["booted"]),
            **({} if report is None else _report(report)),
        }
    )


def _report(report: VerificationReport) -> dict[str, object]:
    failed = [result for result in report.results if not result.passed][:_MOST_FAILURES]
    return {
        "firmware": report.firmware,
        "accelerator": report.accelerator,
        "boot_seconds": report.boot_seconds,
        "reused": report.reused,
        "passed": report.passed,
        "failed": report.failed,
        "failures": tuple(
            clean_untrusted(f"{result.description}: expected {result.expected}, found {result.found}", _TEXT)
            for result in failed
        ),
    }


def _about(artifact: Artifact, verified: _Document | None) -> _Document | None:
    """Find what the verification document says about an image."""
    images: list[_Document] = [] if verified is None else verified["images"]
    return next((image for image in images if image["kind"] == artifact.kind), None)


def _packages(manifest: _Document, state: BuildState) -> PackageEvidence:
    versions = versions_of(manifest)
    named = [str(name) for name in state.recipe.get("packages", ())]
    return PackageEvidence(
        count=len(versions),
        suite=str(manifest["suite"]),
        index=str(manifest["index"])[:_TEXT],
        requested=tuple(f"{name} {versions[name]}" for name in named if name in versions)[:_MOST_REQUESTED],
    )


def _contradictions(state: BuildState, images: tuple[ImageEvidence, ...], verified: _Document | None) -> list[Problem]:
    """Name what the verification document says of other bytes, another recipe or another outcome than the build."""
    if verified is None:
        return []
    found: list[str] = [f"{image.name} is not the file that was checked" for image in images if not image.bound]
    if verified["recipe"]["sha256"] != state.recipe_digest:
        found.append("it is about another recipe")
    if verified["build"]["id"] != state.build_id:
        found.append("it is about another build")
    return [
        Problem(
            code="evidence.unbound",
            message=f"{VERIFICATION} does not fit this build: {why}.",
            path=VERIFICATION,
            next="Do not call the image verified; build it again: create_build, rerun_of.",
        )
        for why in found
    ]


def _next(state: BuildState, images: tuple[ImageEvidence, ...]) -> str:
    if not images:
        return f"The build is {state.status} and has no images yet: call get_build_status."
    if any(image.verification != "verified" for image in images):
        return "Not every image is verified: say so. get_build_status with detail=full shows the assertions."
    return "Compare an image's sha256 with the downloaded file; get_download_links has the images."
