"""`package_installed`: by dpkg-query(1)."""

from activities.verification.check import Answer, Check, Finding, Probe, fails, holds, unknown
from domain.recipe.claims import PackageInstalled

_NO_PACKAGE = 1  # dpkg-query(1); 2 is a damaged database
_FORMAT = r"-f=${db:Status-Status} ${Version}\n"


def check(claim: PackageInstalled, suite: str) -> Check:
    """Claim that the package is installed, in a version that begins with the named one."""
    wanted = f"{claim.package} {claim.version}…" if claim.version else claim.package
    return Check(
        suite=suite,
        description=f"package {claim.package} is installed",
        opposite=f"package {wanted} is not installed",
        type="package_installed",
        expected=f"{wanted} installed",
        probe=Probe(argv=("dpkg-query", "-W", _FORMAT, "--", claim.package), plain=True),
        judge=lambda answer: _judge(claim, answer),
        params=claim.model_dump(mode="json", exclude_defaults=True),
    )


def _judge(claim: PackageInstalled, answer: Answer) -> Finding:
    versions = [line.partition(" ")[2] for line in answer.lines if line.startswith("installed ")]
    if answer.status not in {0, _NO_PACKAGE}:
        return unknown(answer.words)
    if not versions:
        return fails("not installed")
    if claim.version is not None and not any(version.startswith(claim.version) for version in versions):
        return fails(f"version {', '.join(versions)}")
    return holds(f"version {', '.join(versions)}")
