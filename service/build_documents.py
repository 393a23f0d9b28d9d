"""The documents that a build has published, read back and checked against their digests."""

import hashlib
import json
from typing import Any, cast

from domain.artifacts import Artifact
from domain.build.state import BuildState
from domain.errors import Verdict
from service.factory import Factory

VERIFICATION = "verification.json"
PACKAGES = "packages.json"
_MOST_BYTES = 16 << 20


def artifact_named(state: BuildState, name: str) -> Artifact | None:
    """Find a file of the build."""
    return next((artifact for artifact in state.artifacts if artifact.name == name), None)


async def read_document(factory: Factory, state: BuildState, name: str) -> dict[str, Any]:
    """Read a published JSON document whose bytes have the digest that the build recorded.

    Raises:
        Verdict: `evidence.missing` if the build has none or it was removed, `evidence.corrupt` if its bytes are others.

    """
    artifact = artifact_named(state, name)
    if artifact is None:
        why = f"The build is {state.status} and has not published {name}."
        raise Verdict.because("evidence.missing", why, path=name, next="Follow it with get_build_status.")
    try:
        data = await factory.objects.get(f"blobs/{artifact.blob.digest}", length=_MOST_BYTES)
    except Verdict as gone:
        why = f"{name} is no longer kept."
        raise Verdict.because(
            "evidence.missing", why, path=name, next="Build it again: create_build, rerun_of."
        ) from gone
    if hashlib.sha256(data).hexdigest() != artifact.blob.digest:
        raise Verdict.because(
            "evidence.corrupt",
            f"{name} does not have the SHA-256 that the build recorded.",
            path=name,
            value=artifact.blob.digest,
            next="Do not rely on it; build it again: create_build, rerun_of.",
        )
    return cast("dict[str, Any]", json.loads(data))


def versions_of(manifest: dict[str, Any]) -> dict[str, str]:
    """Read the version of each package out of a package manifest."""
    return {str(package["name"]): str(package["version"]) for package in manifest["packages"]}
