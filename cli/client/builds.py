"""The commands around builds."""

import uuid
from collections.abc import Mapping
from typing import Any

from pydantic import Field
from rich.table import Table
from rich.text import Text

from cli.client import exits
from cli.client.build_view import follow_build, parse_view, render_report
from cli.client.confirm import confirm
from cli.client.failures import Unreachable
from cli.client.output import Output
from cli.client.recipe_source import read_recipe
from cli.client.tools import Tools
from cli.client.words import STATUS_STYLE, duration, place_text, plain, size
from domain.build.inputs import VerifyPolicy
from domain.model import Value
from domain.views import BuildPage, BuildView, DeletedBuild

_ROOM_FOR_ALL = 130
_SHORT_ID = 8


class Followed:
    """Which build a command is following, for what is said after Ctrl-C."""

    build_id: str | None = None

    def farewell(self) -> str | None:
        """Say that the build goes on, and how to come back to it; nothing if none is followed."""
        if self.build_id is None:
            return None
        return (
            f"The build goes on without this command.\n"
            f"  follow:  openfactory logs {self.build_id} --follow\n"
            f"  look:    openfactory build-show {self.build_id}\n"
            f"  end it:  openfactory cancel {self.build_id}"
        )


class Asked(Value):
    """What was asked for beside the recipe; `wishes` are further arguments of create_build."""

    request_key: str | None = None
    verify: VerifyPolicy = "auto"
    wishes: dict[str, str] = Field(default_factory=dict)


async def start_build(
    session: Tools, output: Output, recipe: str, *, asked: Asked, wait: bool, followed: Followed
) -> int:
    """Start a build; with `wait` follow it to its end."""
    question = {"recipe": read_recipe(recipe)}
    return await _start(session, output, question, asked=asked, wait=wait, followed=followed)


async def rerun_build(
    session: Tools, output: Output, given: str, *, asked: Asked, wait: bool, followed: Followed
) -> int:
    """Build another build's recipe again; with `wait` follow it to its end."""
    return await _start(session, output, {"rerun_of": given}, asked=asked, wait=wait, followed=followed)


async def _start(
    session: Tools, output: Output, question: Mapping[str, str], *, asked: Asked, wait: bool, followed: Followed
) -> int:
    key = asked.request_key or str(uuid.uuid4())
    try:
        arguments = {**question, "request_key": key, "verify": asked.verify, **asked.wishes}
        answer = await session.call("create_build", arguments)
    except Unreachable as failure:
        # The request may have been heard: its key makes repeating it safe.
        raise Unreachable(
            *(p.model_copy(update={"next": f"{p.next} Repeat with --request-key {key}."}) for p in failure.problems)
        ) from failure
    view = parse_view(answer)
    followed.build_id = view.build_id
    if not wait:
        _show_accepted(answer, view, output)
        return exits.OK
    if view.replayed:
        output.progress.print(plain("This request key was used before: following the build it started."))
    return await _wait(session, output, view.build_id)


async def list_builds(session: Tools, output: Output, *, limit: int, status: str | None, cursor: str | None) -> int:
    """List builds, newest first."""
    answer = await session.call("list_builds", {"limit": limit, "status": status, "cursor": cursor})
    if output.as_json:
        output.json(answer)
        return exits.OK
    page = BuildPage.model_validate(answer, extra="ignore")
    if not page.builds:
        output.say("There are no builds. Start one: openfactory build demo --wait")
        return exits.OK
    output.out.print(_table(page, output.out.width))
    if page.next_cursor:
        output.say(f"More: openfactory builds --cursor {page.next_cursor}")
    return exits.OK


async def show_build(session: Tools, output: Output, given: str) -> int:
    """Show one build as it is now."""
    answer = await session.call("get_build_status", {"build_id": given, "detail": "full"})
    if output.as_json:
        output.json(answer)
    else:
        render_report(answer, output.out)
    return exits.OK


async def retry_build(session: Tools, output: Output, given: str, *, wait: bool, followed: Followed) -> int:
    """Go on with a failed build from the step that failed."""
    before = parse_view(await session.call("get_build_status", {"build_id": given}))
    build_id = before.build_id
    # The same for every try of this retry, so that repeating the command after a cut is one retry.
    key = f"cli-retry-{build_id}-{before.version}"
    answer = await session.call("retry_build", {"build_id": build_id, "request_key": key})
    followed.build_id = build_id
    if not wait:
        _show_accepted(answer, parse_view(answer), output)
        return exits.OK
    return await _wait(session, output, build_id, after_version=before.version)


async def cancel_build(session: Tools, output: Output, given: str, *, yes: bool) -> int:
    """End a build. Asks first, unless `yes`."""
    build_id = given
    if not yes:
        before = parse_view(await session.call("get_build_status", {"build_id": given}))
        build_id = before.build_id  # what was asked about is ended, whatever the name stands for a moment later
        confirm(f"End build {_named(before)}?", "Cancelling ends the build for good")
    # A request key belongs to its build: the same for every try of ending it.
    answer = await session.call("cancel_build", {"build_id": build_id, "request_key": "cli-cancel"})
    if output.as_json:
        output.json(answer)
    else:
        view = parse_view(answer)
        ending = "" if view.status == "cancelled" else ", ending"
        output.say(f"Build {view.build_id}: {view.status}{ending}.")
    return exits.OK


async def delete_build(session: Tools, output: Output, given: str, *, reason: str | None, yes: bool) -> int:
    """Delete a build with its files. Asks first, unless `yes`."""
    build_id = given
    if not yes:
        view = parse_view(await session.call("get_build_status", {"build_id": given}))
        build_id = view.build_id  # as above
        confirm(f"Delete build {_named(view)}?", "Deleting removes the build's images and files for good")
    asked = {"build_id": build_id, "request_key": "cli-delete"}
    answer = await session.call("delete_build", asked if reason is None else {**asked, "reason": reason})
    if output.as_json:
        output.json(answer)
    else:
        gone = DeletedBuild.model_validate(answer, extra="ignore")
        output.say(f"Build {gone.build_id} is deleted: {gone.files} files, {size(gone.bytes)}. {gone.next}")
    return exits.OK


def _named(view: BuildView) -> str:
    return f"{view.name} ({view.build_id}, {view.status})"


async def _wait(session: Tools, output: Output, build_id: str, *, after_version: int = 0) -> int:
    final = await follow_build(
        session, build_id, output.progress, json_mode=output.as_json, after_version=after_version
    )
    if output.as_json:
        output.json(final)
    else:
        render_report(final, output.out)
    return final_exit_code(parse_view(final))


def final_exit_code(view: BuildView) -> int:
    """Judge a build that rests: done, wrong for good, or failed for a reason that may pass."""
    if view.status == "completed":
        return exits.OK
    if view.failure is not None and view.failure.kind == "fault":
        return exits.TEMPORARY
    return exits.FAILED


def _show_accepted(answer: dict[str, Any], view: BuildView, output: Output) -> None:
    if output.as_json:
        output.json(answer)
        return
    again = ", already known" if view.replayed else ""
    place = f", {place_text(view.queue)}" if view.queue else ""
    output.say(f"Build {view.name} ({view.build_id}): {view.status}{place}{again}.")
    output.say(f"  follow: openfactory logs {view.build_id} --follow")
    output.say(f"  look:   openfactory build-show {view.build_id}")


def _table(page: BuildPage, width: int) -> Table:
    """List the builds. In a narrow terminal ids are cut to what every command accepts, and the base is left out."""
    table = Table(box=None, padding=(0, 2, 0, 0))
    wide = width >= _ROOM_FOR_ALL
    for name in ("id", "name", *(("base",) if wide else ()), "status", "created", "time", "why"):
        table.add_column(name, no_wrap=name != "why", justify="right" if name == "time" else "left")
    for build in page.builds:
        table.add_row(
            build.build_id if wide else build.build_id[:_SHORT_ID],
            plain(build.name),
            *((plain(build.base_image),) if wide else ()),
            Text(build.status, style=STATUS_STYLE[build.status]),
            f"{build.created_at.astimezone():%Y-%m-%d %H:%M}",
            duration(build.seconds),
            plain(place_text(build.queue)) if build.queue else plain(build.failure, "red"),
        )
    return table
