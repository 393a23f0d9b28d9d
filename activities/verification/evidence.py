"""What evidence about an image is called: the same bytes, tests and verifier give the same name."""

from functools import cache
from pathlib import Path

from activities.verification.check import Check
from activities.verification.due import due_checks
from activities.verification.models import EvidenceNames, NameEvidence
from domain.canonical import digest
from domain.recipe.schema import Recipe
from domain.verification import Bootable
from domain.version import VERSION
from infra.sources import source_digest

_HERE = Path(__file__).resolve().parent


@cache
def verifier_version() -> str:
    """The factory's version, and the digest of all that decides what a check asks and how it is judged."""
    files = (path for path in _HERE.rglob("*") if path.is_file() and path.suffix != ".pyc")
    return f"{VERSION}+{source_digest(files)}"


def evidence_name(recipe: Recipe, artifact: Bootable, sha256: str) -> str:
    """Name the evidence of checking these bytes with all that the recipe makes due."""
    return digest(
        {
            "artifact": artifact,
            "sha256": sha256,
            "tests": [_told(check) for check in due_checks(recipe, artifact)],
            "verifier": verifier_version(),
        }
    )


def names_of(request: NameEvidence) -> EvidenceNames:
    """Name the evidence of every image that can be booted."""
    recipe = Recipe.model_validate(request.recipe)
    names: dict[Bootable, str] = {}
    for image in request.images:
        if image.kind in ("qcow2", "iso"):
            names[image.kind] = evidence_name(recipe, image.kind, image.blob.digest)
    return EvidenceNames(names=names)


def _told(check: Check) -> dict[str, object]:
    """Tell what a check claims and asks; how it is judged is in the verifier's version."""
    return {
        "suite": check.suite,
        "type": check.type,
        "description": check.description,
        "expected": check.expected,
        "params": check.params,
        "probe": check.probe.model_dump(mode="json"),
        "settles": check.settles,
        "negated": check.negated,
        "within": check.within,
    }
