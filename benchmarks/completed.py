"""Completed builds as a real factory has them: each with two reports of sixteen assertions and its files, 20 events."""

from collections.abc import Iterator
from functools import cache
from typing import Any
from uuid import UUID

from domain.artifacts import Artifact, Blob
from domain.build.events import ArtifactsPublished, BuildEvent, BuildRequested, BuildVerified, StepCompleted
from domain.verification import AssertionResult, VerificationReport
from service.recipe_catalog import load_catalog
from service.recipe_source import canonical_recipe
from tests.integration.event_store.builders import whole_build

_RESULTS = 16
_FILES = ("recipe", "manifest", "report", "log")


def completed_build(build_id: UUID, *, org: str) -> Iterator[BuildEvent]:
    """All events of a build of the demo recipe, in the order in which a factory records them."""
    for event in whole_build(build_id, org=org, name="bench"):
        if isinstance(event, BuildRequested):
            yield event.model_copy(update={"recipe": _recipe()})
            continue
        same: dict[str, Any] = {"build_id": str(build_id), "org_id": org, "at": event.at, "generation": 0}
        if isinstance(event, StepCompleted) and event.step == "verify":
            yield BuildVerified(**same, reports=_reports(build_id.hex))
        if isinstance(event, StepCompleted) and event.step == "publish":
            yield ArtifactsPublished(**same, artifacts=_artifacts())
        yield event


@cache
def _recipe() -> dict[str, Any]:
    return {**canonical_recipe(load_catalog().get("demo").recipe), "name": "bench"}


def _reports(name: str) -> tuple[VerificationReport, ...]:
    known: dict[str, Any] = {"firmware": "uefi", "accelerator": "tcg", "boot_seconds": 30.0, "results": _results()}
    return (
        VerificationReport(artifact="qcow2", evidence=f"{name}{'1' * 32}", **known),
        VerificationReport(artifact="iso", evidence=f"{name}{'2' * 32}", **known),
    )


@cache
def _results() -> tuple[AssertionResult, ...]:
    return tuple(map(_result, range(_RESULTS)))


def _result(number: int) -> AssertionResult:
    return AssertionResult(
        suite="bench",
        description=f"The file /usr/share/doc/package-{number} is there",
        type="file_exists",
        params={"path": f"/usr/share/doc/package-{number}"},
        passed=True,
        expected="a file with mode 0644 of root",
        found="-rw-r--r-- root root 1234",
        command=f"stat -c '%A %U %G %s' /usr/share/doc/package-{number}",
        seconds=0.01,
    )


def _artifacts() -> tuple[Artifact, ...]:
    blob = Blob(digest="d" * 64, bytes=400 << 20)
    images: dict[str, Any] = {"blob": blob, "verification": "verified", "method": "booted, and all assertions held"}
    files = tuple(Artifact.model_validate({"kind": kind, "name": f"{kind}.json", "blob": blob}) for kind in _FILES)
    return (
        Artifact(kind="qcow2", name="bench.qcow2", **images),
        Artifact(kind="iso", name="bench.iso", **images),
        *files,
    )
