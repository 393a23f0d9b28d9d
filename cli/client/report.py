"""The report of a build that rests: what was verified and how, what is wrong, the files and the times."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from cli.client.words import STATUS_STYLE, duration, place_text, plain, problem_text, size, step_title
from domain.build.state import Failure
from domain.verification import AssertionResult
from domain.views import BuildView, ReportView

_SHA_SHOWN = 12


def render_report(view: Mapping[str, Any], console: Console) -> None:
    """Print the report of a build; every text from a guest is stripped of control characters."""
    build = BuildView.model_validate(view, extra="ignore")
    _heading(build, console)
    for report in build.reports:
        _verification(report, console)
    if build.failure is not None:
        _failure(build.failure, build.build_id, console)
    if build.artifacts:
        console.print()
        console.print(_artifacts(build))
    if build.steps:
        console.print()
        console.print(_steps(build))
    hidden = sum(r.failed - sum(not a.passed for a in r.results) for r in build.reports)
    if hidden > 0:
        console.print(
            Text(f"\n{hidden} more failed: openfactory download {build.build_id} --kind report"), soft_wrap=True
        )
    if build.status == "completed":
        console.print(Text(f"\nDownload: openfactory download {build.build_id}"), soft_wrap=True)


def _heading(build: BuildView, console: Console) -> None:
    text = Text("Build ", style="bold").append_text(plain(build.name, "bold"))
    text.append(f"  {build.build_id}  ", style="dim").append(build.status, style=STATUS_STYLE[build.status])
    total = _total_seconds(build)
    if total is not None:
        text.append(f"  {duration(total)}", style="dim")
    console.print(text, soft_wrap=True)
    if build.queue is not None:
        console.print(plain(f"Waits at {place_text(build.queue)}: {build.queue.reason}"), soft_wrap=True)
    if build.why is not None:
        console.print(plain(f"Why: {build.why}", "dim"), soft_wrap=True)
    if build.cancelled_because is not None:
        console.print(plain(f"Cancelled: {build.cancelled_because}"), soft_wrap=True)


def _total_seconds(build: BuildView) -> float | None:
    if build.progress is not None:
        return build.progress.elapsed_seconds
    if build.created_at is not None and build.updated_at is not None:
        return (build.updated_at - build.created_at).total_seconds()
    return None


def _verification(report: ReportView, console: Console) -> None:
    good = report.failed == 0
    line = Text("\n✓ " if good else "\n✗ ", style="bold green" if good else "bold red")
    line.append(f"{report.artifact}", style="bold")
    how = f"{report.firmware.upper()} ({report.accelerator})"
    line.append(f" booted under {how} in {duration(report.boot_seconds)}: ")
    line.append(f"{report.passed} passed", style="green")
    line.append(f", {report.failed} failed", style="red" if report.failed else "dim")
    if report.reused is not None:
        source = f"{report.reused.build_id} of {report.reused.verified_at.astimezone():%Y-%m-%d %H:%M}"
        line.append(f"\n    reused from build {source}: the same bytes, checked then by the same tests", style="dim")
    console.print(line, soft_wrap=True)
    for result in report.results:
        if not result.passed:
            console.print(_failed_assertion(result), soft_wrap=True)


def _failed_assertion(result: AssertionResult) -> Text:
    text = Text("    ✗ ", style="red")
    text.append_text(plain(f"{result.suite}: {result.description}", "bold")).append_text(plain(f" ({result.type})"))
    text.append("\n        expected: ").append_text(plain(result.expected))
    text.append("\n        found:    ").append_text(plain(result.found))
    if result.command:
        text.append("\n        asked by: ").append_text(plain(result.command, "dim"))
    return text


def _failure(failure: Failure, build_id: str, console: Console) -> None:
    whose = "what was asked for is wrong" if failure.kind == "verdict" else "the factory is wrong"
    console.print(Text(f"\nFailed at {step_title(failure.step)}: {whose}.", style="bold red"), soft_wrap=True)
    for problem in failure.problems:
        console.print(problem_text(problem), soft_wrap=True)
    if failure.retryable:
        until = f"{failure.retry_until:%Y-%m-%d %H:%M} UTC"
        advice = f"  It is parked until {until}. Go on from here: openfactory retry {build_id} --wait"
        console.print(Text(advice), soft_wrap=True)


def _artifacts(build: BuildView) -> Table:
    table = Table(title="Artifacts", title_justify="left", title_style="bold", box=None, padding=(0, 2, 0, 0))
    for name, justify in (("kind", "left"), ("name", "left"), ("size", "right"), ("sha256", "left")):
        table.add_column(name, justify="right" if justify == "right" else "left", no_wrap=True)
    table.add_column("verification", overflow="fold")
    for artifact in build.artifacts:
        method = f" ({artifact.method})" if artifact.method else ""
        table.add_row(
            artifact.kind,
            plain(artifact.name),
            size(artifact.blob.bytes),
            artifact.blob.digest[:_SHA_SHOWN],
            # Only images are booted; a document is neither verified nor not.
            plain(f"{artifact.verification}{method}", STATUS_STYLE[artifact.verification])
            if artifact.kind in {"qcow2", "iso"}
            else "",
        )
    return table


def _steps(build: BuildView) -> Table:
    table = Table(title="Steps", title_justify="left", title_style="bold", box=None, padding=(0, 2, 0, 0))
    table.add_column("step", no_wrap=True)
    table.add_column("state", no_wrap=True)
    table.add_column("time", justify="right", no_wrap=True)
    table.add_column("", overflow="fold")
    for step in build.steps:
        state = "cached" if step.cached and step.status == "completed" else step.status
        style = STATUS_STYLE[step.status]
        table.add_row(step_title(step.step), Text(state, style=style), duration(step.seconds), plain(step.summary))
    spent = sum(s.seconds or 0.0 for s in build.steps)
    table.add_row("sum of steps", "", duration(spent), "", style="dim")
    return table
