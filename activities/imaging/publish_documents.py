"""The documents that are published beside the images: what went in, what was checked, what came out.

Apart from the log they hold no time and no random value, so publishing the same build again gives the
same bytes.
"""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

from activities.imaging.lock import Lock
from activities.imaging.models import PublishInput
from domain.artifacts import Artifact
from domain.canonical import canonical_json, digest
from domain.text import clean_untrusted
from infra.log_layout import missing_text
from infra.ports import LogRecord

IMAGES = frozenset({"qcow2", "iso"})


def honest(artifact: Artifact, reports: Iterable[dict[str, Any]]) -> Artifact:
    """Call an image that no report is about `unverified`, whatever it was called before."""
    if artifact.kind not in IMAGES or any(report["artifact"] == artifact.kind for report in reports):
        return artifact
    return artifact.model_copy(update={"verification": "unverified"})


def recipe_document(recipe: dict[str, Any]) -> bytes:
    """The canonical recipe: its SHA-256 is the recipe's digest everywhere."""
    return canonical_json(recipe)


def package_manifest(lock: Lock) -> bytes:
    """Every package of the image with its version and the SHA-256 of its .deb."""
    packages = sorted(lock.everything, key=lambda p: (p.name, p.arch))
    return canonical_json(
        {
            "format": 1,
            "suite": lock.suite,
            "arch": lock.arch,
            "index": lock.index,
            "packages": [
                {
                    "name": p.name,
                    "version": p.version,
                    "arch": p.arch,
                    "source": p.control.get("Source", p.name),
                    "sha256": p.sha256,
                    "bytes": p.bytes,
                }
                for p in packages
            ],
        }
    )


def verification_document(request: PublishInput, images: Iterable[Artifact], version: str) -> bytes:
    """What was checked on which bytes.

    An image without a report was not booted and stands here as `unverified`; one whose reports are all reused was
    booted by the build that they name. Texts in the reports came from the guest.
    """
    return canonical_json(
        {
            "format": 1,
            "verifier": {"name": "openfactory", "version": version},
            "build": {"id": request.job.job_id, "generation": request.job.generation},
            "recipe": {"name": request.recipe["name"], "sha256": digest(request.recipe)},
            "lock": {"sha256": request.lock.digest},
            "images": [_image(image, request.reports) for image in images],
            "problems": list(request.problems),
        }
    )


def _image(image: Artifact, reports: Iterable[dict[str, Any]]) -> dict[str, Any]:
    about = [report for report in reports if report["artifact"] == image.kind]
    return {
        "name": image.name,
        "kind": image.kind,
        "sha256": image.blob.digest,
        "bytes": image.blob.bytes,
        "booted": any(report.get("reused") is None for report in about),
        "verification": image.verification,
        "method": image.method,
        "reports": about,
    }


def checksums(artifacts: Iterable[Artifact]) -> bytes:
    """A list for `sha256sum --check`."""
    lines = sorted((artifact.name, artifact.blob.digest) for artifact in artifacts)
    return "".join(f"{value}  {name}\n" for name, value in lines).encode()


def log_lines(records: Iterable[LogRecord]) -> Iterator[bytes]:
    """Write a job's log for people: time (UTC), step, text. Progress is left out: it is of no use afterwards."""
    for record in records:
        if record.kind == "line":
            at = datetime.fromtimestamp(record.at / 1000, UTC).isoformat(timespec="milliseconds")
            yield f"{at.removesuffix('+00:00')}Z {record.step}: {_indented(record.text)}\n".encode()


def missing_part(key: str) -> bytes:
    """Stand in a job's log for a part that the object store does not give back."""
    return f"{missing_text(key)}\n".encode()


def _indented(text: str) -> str:
    """Keep a text of several lines from looking like several records."""
    return clean_untrusted(text).replace("\n", "\n    ")


def evidence_name(key: str) -> str:
    """Name a file of `evidence/<job>/<generation>/<machine>/<file>` so that it needs no folder."""
    _, _, *rest = key.split("/")
    return "-".join(("evidence", *rest))
