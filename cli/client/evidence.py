"""The commands about what is known of builds: evidence, and two builds beside each other."""

from rich.table import Table
from rich.text import Text

from cli.client import exits
from cli.client.output import Output
from cli.client.recipe_changes import change_text
from cli.client.tools import Tools
from cli.client.words import STATUS_STYLE, plain, problem_text, size
from domain.build.compare import AssertionChange, BuildComparison, PackageComparison
from domain.evidence import EvidenceView, ImageEvidence

_WORDS = {None: "not made", True: "holds", False: "does not hold"}


async def show_evidence(session: Tools, output: Output, *, given: str) -> int:
    """Show a build's evidence; exit 1 if it is not sound."""
    answer = await session.call("get_build_evidence", {"build_id": given})
    view = EvidenceView.model_validate(answer, extra="ignore")
    code = exits.OK if view.sound else exits.FAILED
    if output.as_json:
        output.json(answer)
        return code
    style = "bold green" if view.sound else "bold red"
    words = "the evidence is sound" if view.sound else "the evidence is NOT sound"
    output.out.print(plain(f"Build {view.name}  {view.build_id}  ").append(words, style=style), soft_wrap=True)
    for problem in view.problems:
        output.out.print(problem_text(problem), soft_wrap=True)
    for image in view.images:
        _image(image, output)
    output.say(f"recipe sha256 {view.recipe_sha256}")
    if view.packages is not None:
        output.say(f"{view.packages.count} packages of {view.packages.suite}; {', '.join(view.packages.requested)}")
    table = Table(box=None, padding=(0, 2, 0, 0))
    for name in ("file", "size", "sha256"):
        table.add_column(name)
    for document in (*view.documents, *view.histories):
        table.add_row(plain(document.name), size(document.bytes), document.sha256)
    output.out.print(table)
    output.say(f"All files: openfactory download {view.build_id}")
    return code


async def compare(session: Tools, output: Output, *, before: str, after: str) -> int:
    """Show what is different between two builds."""
    answer = await session.call("compare_builds", {"before": before, "after": after})
    if output.as_json:
        output.json(answer)
        return exits.OK
    view = BuildComparison.model_validate(answer, extra="ignore")
    for side in (view.before, view.after):
        when = f"{side.created_at.astimezone():%Y-%m-%d %H:%M}"
        line = plain(f"{side.build_id}  {side.name}  {when}  ").append(side.status, style=STATUS_STYLE[side.status])
        output.out.print(line, soft_wrap=True)
    output.say("Recipe:" if view.recipe else "Recipe: the same")
    for change in view.recipe:
        output.out.print(Text("  ").append_text(change_text(change)), soft_wrap=True)
    if view.packages is not None:
        _packages(view.packages, output)
    for image in view.images:
        sizes = " → ".join("none" if n is None else size(n) for n in (image.bytes_before, image.bytes_after))
        same = "the same bytes" if image.identical else sizes
        output.say(f"{image.kind}: {same}; {image.verification_before} → {image.verification_after}")
    for assertion in view.assertions:
        output.say(_assertion(assertion))
    if view.cut:
        output.say(view.cut)
    return exits.OK


def _image(image: ImageEvidence, output: Output) -> None:
    bound = "verification.json names these bytes" if image.bound else "verification.json does NOT name these bytes"
    line = plain(f"{image.name}  ").append(image.verification, style=STATUS_STYLE[image.verification])
    output.out.print(line.append_text(plain(f"  {image.method or ''}")), soft_wrap=True)
    output.say(f"    sha256 {image.sha256}  ({bound})")
    for failure in image.failures:
        output.say(f"    ✗ {failure}")


def _packages(packages: PackageComparison, output: Output) -> None:
    output.say(f"Packages: {packages.before} → {packages.after}")
    for mark, changes in (("+", packages.added), ("-", packages.removed), ("~", packages.changed)):
        for change in changes:
            versions = " → ".join(version for version in (change.before, change.after) if version)
            output.say(f"  {mark} {change.name} {versions}")


def _assertion(change: AssertionChange) -> str:
    found = f" (found {change.found})" if change.found else ""
    turn = f"{_WORDS[change.before]} → {_WORDS[change.after]}"
    return f"{change.image} {change.suite}: {change.description}: {turn}{found}"
