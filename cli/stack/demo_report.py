"""What the demo made: judged, shown, and as JSON."""

from pathlib import Path
from typing import Any

from pydantic import Field
from rich.console import Console

from cli.client.words import plain, size
from domain.model import Value
from domain.views import BuildView, DownloadLinks
from infra.settings import Settings

_IMAGES = frozenset({"qcow2", "iso"})


class DemoArtifact(Value):
    """A file of the build. `url` is a signed link that works for an hour while the stack runs."""

    kind: str
    name: str
    bytes: int
    sha256: str
    verification: str
    url: str | None


class DemoReport(Value):
    """The demo's outcome. `verified` only if the build completed and every image held every claim."""

    build_id: str | None
    status: str
    artifacts: tuple[DemoArtifact, ...] = ()
    passed: int = 0
    failed: int = 0
    verified: bool = False
    total_seconds: float
    step_seconds: dict[str, float] = Field(default_factory=dict)

    def with_total(self, seconds: float) -> "DemoReport":
        """Put in how long the whole demo took, the start of the stack included."""
        return self.model_copy(update={"total_seconds": seconds})

    def as_json(self) -> dict[str, Any]:
        """Give it the published shape."""
        return {
            "build_id": self.build_id,
            "status": self.status,
            "artifacts": [a.model_dump(include={"kind", "bytes", "sha256", "url"}) for a in self.artifacts],
            "verification": {"passed": self.passed, "failed": self.failed},
            "seconds": {
                "total": round(self.total_seconds, 1),
                "steps": {name: round(seconds, 1) for name, seconds in self.step_seconds.items()},
            },
        }


def judge(build: BuildView, links: DownloadLinks | None) -> DemoReport:
    """Make the report of a build that rests."""
    urls = {link.sha256: link.url for link in links.links} if links is not None else {}
    artifacts = tuple(
        DemoArtifact(
            kind=a.kind,
            name=a.name,
            bytes=a.blob.bytes,
            sha256=a.blob.digest,
            verification=a.verification,
            url=urls.get(a.blob.digest),
        )
        for a in build.artifacts
    )
    images = [a for a in artifacts if a.kind in _IMAGES]
    passed, failed = sum(r.passed for r in build.reports), sum(r.failed for r in build.reports)
    all_images = bool(images) and all(a.verification == "verified" for a in images)
    return DemoReport(
        build_id=build.build_id,
        status=build.status,
        artifacts=artifacts,
        passed=passed,
        failed=failed,
        verified=build.status == "completed" and all_images and passed > 0 and failed == 0,
        total_seconds=0.0,
        step_seconds={s.step: s.seconds for s in build.steps if s.seconds is not None},
    )


def say_files(report: DemoReport, settings: Settings, console: Console, *, reachable_later: bool) -> None:
    """Say where the images are, and how they are fetched while the stack runs."""
    console.print()
    for artifact in report.artifacts:
        if artifact.kind in _IMAGES:
            path = blob_path(settings.home, artifact.sha256)
            console.print(plain(f"  {artifact.kind:5} {size(artifact.bytes):>9}  {path}"), soft_wrap=True)
            if reachable_later and artifact.url:
                console.print(plain(f"                   {artifact.url}", "dim"), soft_wrap=True)
    verdict = "verified" if report.verified else "NOT verified"
    text = f"{report.status}, {verdict}: {report.passed} passed, {report.failed} failed, {report.total_seconds:.0f} s"
    console.print(plain(f"\n  {text}", "bold green" if report.verified else "bold red"), soft_wrap=True)


def blob_path(home: Path, digest: str) -> Path:
    """Where this host keeps a blob."""
    return home / "store" / digest[:2] / digest
