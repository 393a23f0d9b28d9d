"""Answers as short text: what a client shows, and all that a client without structured results has."""

from collections.abc import Callable, Iterable
from typing import Any

from pydantic import BaseModel

from domain.views import (
    BuildPage,
    BuildView,
    DeletedBuild,
    DownloadLinks,
    LogLine,
    LogView,
    QueueView,
    ReportView,
    WhoAmI,
)
from mcp_server import render_evidence, render_images, render_rebuilds, render_recipes, render_tests, render_vms
from mcp_server.render_words import FENCE_BEGIN, FENCE_END, one_row, problem_lines


def view_text(view: BaseModel) -> str:
    """Return the view in words; a view without words of its own as JSON."""
    write = _WRITERS.get(type(view))
    return "\n".join(write(view)) if write is not None else view.model_dump_json(exclude_none=True)


def _whoami(view: WhoAmI) -> Iterable[str]:
    yield f"{view.subject} of organization {view.org_id}, plan {view.plan}."
    yield f"Permissions: {', '.join(view.permissions) or 'none'}. Factory version {view.factory_version}."
    if view.expires_at is not None:
        yield f"Valid until {view.expires_at:%Y-%m-%d %H:%M} UTC."
    for quota in view.quotas:
        back = f", more comes back at {quota.frees_at:%Y-%m-%d %H:%M} UTC" if quota.frees_at else ""
        yield f"  {quota.name}: {quota.left} of {quota.limit} left{back}"


def _page(view: BuildPage) -> Iterable[str]:
    if not view.builds:
        yield "No builds."
    for build in view.builds:
        took = f", {build.seconds:.0f} s" if build.seconds is not None else ""
        failure = f" — {build.failure}" if build.failure else ""
        step = f", {build.step}" if build.step and not build.failure else ""
        at = f"{build.created_at:%Y-%m-%d %H:%M} UTC"
        queue = f" — {_in_queue(build.queue)}" if build.queue else ""
        yield f"{build.build_id} {build.name} {build.status}{step}{took}, {at}{failure}{queue}"
    if view.next_cursor:
        yield f"More: call list_builds with cursor={view.next_cursor}"


def _build(view: BuildView) -> Iterable[str]:
    replayed = " (this request was made before; nothing new was started)" if view.replayed else ""
    yield f"Build {view.build_id} {view.name}: {view.status}, version {view.version}{replayed}."
    if not view.visible:
        yield "It was accepted and will show up in a moment."
    if view.queue is not None:
        yield f"It waits: {_in_queue(view.queue)}. {view.queue.reason[:1].upper()}{view.queue.reason[1:]}."
    if view.why is not None:
        yield f"Why it was started: {one_row(view.why)}"
    if view.cancelled_because is not None:
        yield f"Cancelled: {one_row(view.cancelled_because)}"
    yield from _progress(view)
    for step in view.steps:
        took = f" {step.seconds:.1f} s" if step.seconds is not None else ""
        cached = " (cached)" if step.cached else ""
        summary = f": {one_row(step.summary)}" if step.summary else ""
        yield f"  {step.step} {step.status}{took}{cached}{summary}"
    if view.failure is not None:
        kind = "the recipe, image or guest is wrong" if view.failure.kind == "verdict" else "the factory is wrong"
        until = f"{view.failure.retry_until:%Y-%m-%d %H:%M} UTC"
        retry = f", can be retried until {until}" if view.failure.retryable else ""
        yield f"Failed in {view.failure.step} ({kind}{retry}):"
        yield from (line for problem in view.failure.problems for line in problem_lines(problem))
    for report in view.reports:
        yield from _report(report)
    for artifact in view.artifacts:
        how = f" by {artifact.method}" if artifact.method else ""
        yield f"Artifact {artifact.name} ({artifact.kind}, {artifact.blob.bytes} bytes): {artifact.verification}{how}"
    yield from (line for line in (view.cut, view.next and f"Next: {view.next}") if line)


def _in_queue(queue: QueueView) -> str:
    start = f", expected start {queue.expected_start:%Y-%m-%d %H:%M} UTC" if queue.expected_start else ""
    return f"place {queue.position} in the queue{start}"


def _progress(view: BuildView) -> Iterable[str]:
    progress = view.progress
    if progress is None:
        return
    doing = f", {progress.step}" if progress.step else ""
    text = f" ({progress.text})" if progress.text else ""
    rest = f", about {progress.expected_seconds:.0f} s left" if progress.expected_seconds is not None else ""
    yield f"{progress.percent:.0f} %{doing}{text}, {progress.elapsed_seconds:.0f} s so far{rest}."


def _report(report: ReportView) -> Iterable[str]:
    total = report.passed + report.failed
    how = f"{report.firmware.upper()}, {report.accelerator}"
    held = f"{report.passed} of {total} assertions hold"
    if report.reused is not None:
        source = f"build {report.reused.build_id} of {report.reused.verified_at:%Y-%m-%d %H:%M} UTC"
        held += f", reused from {source}: the same bytes were checked then by the same tests"
    yield f"Tests of {report.artifact} ({how}): {held}."
    for result in report.results:
        if not result.passed:
            yield f"  FAILED {result.description}: expected {result.expected!r}, found (untrusted) {result.found!r}"


def _log(view: LogView) -> Iterable[str]:
    yield f"Log of build {view.build_id}, {len(view.lines)} lines."
    if view.lines:
        yield FENCE_BEGIN
        # Each row has its prefix, so that no text can pass for a row of ours.
        yield from (f"{_place(line)}[{line.step}] {row}" for line in view.lines for row in line.text.split("\n"))
        yield FENCE_END
    if view.end:
        yield "This is the end of the log."
    else:
        more = " More lines are there already." if view.truncated else ""
        yield f"Go on with cursor={view.next_cursor!r}.{more}"


def _place(line: LogLine) -> str:
    """Number a line; one that holds what was looked for is marked as grep does."""
    if line.line is None:
        return ""
    return f"{line.line}{':' if line.match else '-' if line.match is False else ''} "


def _links(view: DownloadLinks) -> Iterable[str]:
    if view.note:
        yield view.note
    for link in view.links:
        how = f" by {link.method}" if link.method else ""
        yield f"{link.name} ({link.kind}, {link.bytes} bytes, {link.verification}{how})"
        yield f"  {link.url}"
        yield f"  sha256 {link.sha256}, valid until {link.expires_at:%Y-%m-%d %H:%M:%S} UTC"


def _deleted(view: DeletedBuild) -> Iterable[str]:
    again = " before" if view.replayed else ""
    yield f"Build {view.name} ({view.build_id}) was deleted{again}: {view.files} files, {view.bytes / 1e6:.0f} MB."
    yield view.next


_WRITERS: dict[type[BaseModel], Callable[[Any], Iterable[str]]] = {
    WhoAmI: _whoami,
    BuildPage: _page,
    BuildView: _build,
    LogView: _log,
    DownloadLinks: _links,
    DeletedBuild: _deleted,
    **render_evidence.WRITERS,
    **render_images.WRITERS,
    **render_recipes.WRITERS,
    **render_rebuilds.WRITERS,
    **render_tests.WRITERS,
    **render_vms.WRITERS,
}
