"""What the tests say about each artifact, and what that makes of the build."""

from domain.artifacts import Artifact
from domain.errors import Problem
from domain.verification import VerificationReport

_MOST_PROBLEMS = 20


def judge(artifacts: tuple[Artifact, ...], reports: tuple[VerificationReport, ...]) -> tuple[Artifact, ...]:
    """Give every artifact the state its own report earned it; without a report it stays unverified."""
    by_kind = {report.artifact: report for report in reports}
    return tuple(_judged(artifact, by_kind.get(artifact.kind)) for artifact in artifacts)


def failed_assertions(reports: tuple[VerificationReport, ...]) -> tuple[Problem, ...]:
    """Say in words which assertions do not hold, at most 20 and the count of the rest."""
    problems = [
        Problem(
            code="verification.failed",
            message=f"{report.artifact}: {result.description}: expected {result.expected}, found {result.found}",
            path=f"{report.artifact}/{result.suite}/{result.type}",
            next="Mend the recipe and create a new build with retry_of, or retry if the image was right.",
        )
        for report in reports
        for result in report.results
        if not result.passed
    ]
    rest = len(problems) - _MOST_PROBLEMS
    if rest > 0:
        more = Problem(code="verification.failed", message=f"{rest} more assertions do not hold")
        problems = [*problems[:_MOST_PROBLEMS], more]
    return tuple(problems)


def _judged(artifact: Artifact, report: VerificationReport | None) -> Artifact:
    if report is None:
        return artifact
    method = (
        f"{report.firmware.upper()}, {report.accelerator}, {report.passed} of {len(report.results)} assertions hold"
    )
    if report.reused is not None:
        method += f", reused from build {report.reused.build_id} of {report.reused.verified_at:%Y-%m-%d %H:%M} UTC"
    return artifact.model_copy(update={"verification": "verified" if report.held else "unverified", "method": method})
