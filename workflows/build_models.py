"""What a build workflow is started with and what it leaves."""

from typing import Literal

from activities.imaging.models import AssembleResult, LayerResult, ResolveResult
from domain.artifacts import Artifact, Blob
from domain.build.inputs import BuildRequest, QueueTerms
from domain.build.steps import StepName
from domain.model import Value
from domain.verification import VerificationReport


class Finished(Value):
    """The results of the steps that need not run again. What is `None` has to be done."""

    resolve: ResolveResult | None = None
    base_layer: LayerResult | None = None
    package_layer: LayerResult | None = None
    configuration_layer: LayerResult | None = None
    assemble: AssembleResult | None = None
    verify: tuple[VerificationReport, ...] | None = None

    def blobs(self) -> tuple[Blob, ...]:
        """Every blob that the remaining steps may need from the host's store."""
        made = (self.base_layer, self.package_layer, self.configuration_layer)
        layers = [blob for result in made if result for blob in result.layer.blobs]
        lock = [self.resolve.lock] if self.resolve else []
        artifacts = [a.blob for a in self.assemble.artifacts] if self.assemble else []
        return (*lock, *layers, *artifacts)

    def without(self, missing: frozenset[str]) -> "Finished":
        """Forget the steps whose result the host does not have, and all that follow from them."""
        if not missing:
            return self
        kept: dict[str, object] = {}
        for name in ("resolve", "base_layer", "package_layer", "configuration_layer", "assemble", "verify"):
            result = getattr(self, name)
            if result is None or _digests(result) & missing:
                break
            kept[name] = result
        return Finished.model_validate(kept)


class Resume(Value):
    """How a retried build goes on. `commands` are the ids of the commands that it already obeyed."""

    generation: int
    finished: Finished
    commands: tuple[str, ...]


class BuildInput(Value):
    """A build to do, or to go on with."""

    request: BuildRequest
    resume: Resume | None = None
    terms: QueueTerms = QueueTerms()


class BuildOutcome(Value):
    """How the build ended."""

    build_id: str
    status: Literal["completed", "failed", "cancelled"]
    generation: int
    step: StepName | None = None
    code: str | None = None
    message: str | None = None
    artifacts: tuple[Artifact, ...] = ()


def _digests(result: object) -> frozenset[str]:
    if isinstance(result, ResolveResult):
        return frozenset({result.lock.digest})
    if isinstance(result, LayerResult):
        return frozenset(blob.digest for blob in result.layer.blobs)
    if isinstance(result, AssembleResult):
        return frozenset(a.blob.digest for a in result.artifacts)
    return frozenset()
