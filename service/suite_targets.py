"""Which images are bound to a suite's slots, as they are now."""

from collections.abc import Sequence

from domain.artifacts import Artifact
from domain.build.state import BuildState
from domain.image.state import ImageState
from domain.recipe.schema import Recipe
from domain.recipe.ssh_access import ssh_access_of
from domain.suite.inputs import Binding, TargetFormat
from domain.suite.readiness import Target
from domain.vm.spec import ImageRef
from service.ports import OrgReads


async def targets_of(reads: OrgReads, bindings: Sequence[Binding]) -> dict[str, Target]:
    """Look at what is bound to each slot; what is not there (any more) is `absent`."""
    return {binding.slot: await _target(reads, binding) for binding in bindings}


async def _target(reads: OrgReads, binding: Binding) -> Target:
    if binding.source == "build":
        build = await reads.builds.get(binding.source_id)
        return _absent(binding) if build is None else of_build(build, binding.slot, binding.format)
    image = await reads.images.get(binding.source_id)
    return _absent(binding) if image is None or image.status == "deleted" else _of_image(image, binding)


def of_build(build: BuildState, slot: str, image_format: TargetFormat) -> Target:
    """Tell of a build's image in one format."""
    kept = () if build.expired is not None else build.artifacts
    artifact = next((a for a in kept if a.kind == image_format), None)
    return Target(
        slot=slot,
        source="build",
        source_id=build.build_id,
        format=image_format,
        status=build.status,
        name=str(build.recipe.get("name", "")),
        image=None if artifact is None else _ref(artifact, build, image_format),
        verified=None if artifact is None else artifact.verification == "verified",
        recipe=Recipe.model_validate(build.recipe),
    )


def _ref(artifact: Artifact, build: BuildState, image_format: TargetFormat) -> ImageRef:
    return ImageRef(
        digest=artifact.blob.digest,
        bytes=artifact.blob.bytes,
        format=image_format,
        source="build",
        source_id=build.build_id,
        name=artifact.name,
        ssh=ssh_access_of(Recipe.model_validate(build.recipe)),
    )


def _of_image(image: ImageState, binding: Binding) -> Target:
    ref = ImageRef(
        digest=image.sha256,
        bytes=image.bytes,
        format=image.format,
        source="image",
        source_id=image.image_id,
        name=image.name,
    )
    return Target(
        slot=binding.slot,
        source="image",
        source_id=image.image_id,
        format=image.format,
        status=image.status,
        name=image.name,
        image=ref if image.status == "ready" else None,
    )


def _absent(binding: Binding) -> Target:
    return Target(
        slot=binding.slot,
        source=binding.source,
        source_id=binding.source_id,
        format=binding.format,
        status="absent",
    )
