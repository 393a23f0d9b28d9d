"""`package_not_installed`: by dpkg-query(1). What was removed but for its configuration is not installed."""

from activities.verification.assertions import package_installed
from activities.verification.check import Answer, Check, Finding, holds
from domain.recipe.claims import PackageInstalled, PackageNotInstalled


def check(claim: PackageNotInstalled, suite: str) -> Check:
    """Claim that the package is not installed."""
    installed = package_installed.check(PackageInstalled(package=claim.package), suite)
    return Check(
        suite=suite,
        description=f"package {claim.package} is not installed",
        opposite=f"package {claim.package} is installed",
        type="package_not_installed",
        expected=f"{claim.package} not installed",
        probe=installed.probe,
        judge=lambda answer: _judge(installed, answer),
        params=claim.model_dump(mode="json"),
    )


def _judge(installed: Check, answer: Answer) -> Finding:
    finding = installed.judge(answer)
    if not finding.answered:
        return finding
    return finding.model_copy(update={"passed": False}) if finding.passed else holds(finding.found)
