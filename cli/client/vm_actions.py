"""What the vm commands do."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cli.client import exits
from cli.client.confirm import confirm
from cli.client.failures import TransferFailed, Unreachable, UsageFailure
from cli.client.output import Output
from cli.client.tools import Tools
from cli.client.transfer import fetch, open_client
from cli.client.vm_ids import ALL_SNAPSHOTS, resolve_snapshot, resolve_vm
from cli.client.vm_view import exit_code, follow_vm, parse_vm, render_vm, snapshot_table, vm_table
from cli.client.words import plain
from domain.console import ConsoleLink
from domain.errors import Problem
from domain.vm.views import CommandView, ScreenshotView, SnapshotList, VmPage, VmView

_FOR_GOOD = "This cannot be undone"


@dataclass
class Followed:
    """Which machine a command is following, for what is said after Ctrl-C."""

    vm_id: str | None = None

    def farewell(self) -> str | None:
        """Say that the machine goes on; nothing if none is followed."""
        if self.vm_id is None:
            return None
        return (
            "The machine goes on without this command.\n"
            f"  look:    openfactory vm show {self.vm_id}\n"
            f"  end it:  openfactory vm delete {self.vm_id}"
        )


async def list_vms(session: Tools, output: Output, *, query: Mapping[str, Any]) -> int:
    """List machines, newest first."""
    answer = await session.call("list_vms", query)
    if output.as_json:
        output.json(answer)
        return exits.OK
    page = VmPage.model_validate(answer, extra="ignore")
    if not page.vms:
        output.say("There are no machines. Start one: openfactory vm create latest --wait")
        return exits.OK
    output.out.print(vm_table(page, output.out.width))
    if page.next_cursor:
        output.say(f"More: openfactory vm list --cursor {page.next_cursor}")
    return exits.OK


async def create_vm(  # noqa: PLR0913 - the command's options
    session: Tools,
    output: Output,
    *,
    build: str | None,
    wish: Mapping[str, Any],
    request_key: str | None,
    wait: bool,
    followed: Followed,
) -> int:
    """Make and start a machine; with `wait` until its guest answers."""
    if (build is None) == (wish.get("image_id") is None):
        raise UsageFailure(
            Problem(code="client.what", message="Give a build, or --image with an image.", next="Name one of the two.")
        )
    key = request_key or str(uuid.uuid4())
    try:
        answer = await session.call("create_vm", {**wish, "build_id": build, "request_key": key})
    except Unreachable as failure:
        # The request may have been heard: its key makes repeating it safe.
        raise Unreachable(
            *(p.model_copy(update={"next": f"{p.next} Repeat with --request-key {key}."}) for p in failure.problems)
        ) from failure
    return await _done(session, output, answer, wait=wait, followed=followed)


async def show_vm(session: Tools, output: Output, *, given: str, histories: Path | None = None) -> int:
    """Show one machine as it is now, and save what is kept of its workflow in the folder `histories`."""
    answer = await session.call("get_vm", {"vm_id": await resolve_vm(session, given)})
    view = parse_vm(answer)
    if output.as_json:
        output.json(answer)
    else:
        render_vm(view, output.out)
    if histories is not None:
        await _save_histories(view, histories, output)
    return exits.OK


async def _save_histories(view: VmView, folder: Path, output: Output) -> None:
    if not view.histories:
        raise TransferFailed(
            Problem(
                code="vm.no_history",
                message=f"Nothing is kept (yet) of what the machine's workflow did; it is {view.status}.",
                retryable=True,
                next="Ask some minutes after the machine was deleted.",
            )
        )
    async with open_client() as client:
        for link in view.histories:
            path = await fetch(client, link, folder, lambda _: None)
            output.notes.print(plain(f"saved {path}"), soft_wrap=True)


async def command_vm(  # noqa: PLR0913 - what every command has
    session: Tools,
    output: Output,
    *,
    tool: str,
    given: str,
    arguments: Mapping[str, Any],
    wait: bool,
    followed: Followed,
) -> int:
    """Give a machine a command; with `wait` follow it until that is done."""
    vm_id = await resolve_vm(session, given)
    answer = await session.call(tool, {**arguments, "vm_id": vm_id, "request_key": str(uuid.uuid4())})
    return await _done(session, output, answer, wait=wait, followed=followed)


async def delete_vm(session: Tools, output: Output, *, given: str, yes: bool, wait: bool, followed: Followed) -> int:
    """Delete a machine. Asks first, unless `yes`."""
    vm_id = await resolve_vm(session, given)
    if not yes:
        confirm(f"Delete machine {vm_id} with its disk and snapshots?", _FOR_GOOD)
    answer = await session.call("delete_vm", {"vm_id": vm_id, "request_key": f"cli-delete-{vm_id}"})
    return await _done(session, output, answer, wait=wait, followed=followed)


async def restore_vm(  # noqa: PLR0913 - the command's options
    session: Tools, output: Output, *, given: str, snapshot: str, yes: bool, wait: bool, followed: Followed
) -> int:
    """Go back to a snapshot. Asks first, unless `yes`."""
    vm_id = await resolve_vm(session, given)
    snapshot_id = await resolve_snapshot(session, vm_id, snapshot)
    if not yes:
        confirm(f"Bring machine {vm_id} back to snapshot {snapshot_id}? What happened since is lost.", _FOR_GOOD)
    arguments = {"vm_id": vm_id, "snapshot_id": snapshot_id, "request_key": str(uuid.uuid4())}
    return await _done(session, output, await session.call("restore_vm", arguments), wait=wait, followed=followed)


async def drop_snapshot(
    session: Tools, output: Output, *, given: str, snapshot: str, wait: bool, followed: Followed
) -> int:
    """Remove a snapshot."""
    vm_id = await resolve_vm(session, given)
    snapshot_id = await resolve_snapshot(session, vm_id, snapshot)
    arguments = {"vm_id": vm_id, "snapshot_id": snapshot_id, "request_key": str(uuid.uuid4())}
    answer = await session.call("delete_snapshot", arguments)
    return await _done(session, output, answer, wait=wait, followed=followed)


async def list_snapshots(session: Tools, output: Output, *, given: str) -> int:
    """List a machine's snapshots."""
    asked = {"vm_id": await resolve_vm(session, given), "limit": ALL_SNAPSHOTS}
    answer = await session.call("list_snapshots", asked)
    if output.as_json:
        output.json(answer)
        return exits.OK
    snapshots = SnapshotList.model_validate(answer, extra="ignore").snapshots
    if snapshots:
        output.out.print(snapshot_table(snapshots))
    else:
        output.say(f"There are no snapshots. Take one: openfactory vm snapshot {given}")
    return exits.OK


async def console_link(session: Tools, output: Output, *, given: str, serial: bool, view_only: bool) -> int:
    """Print a link to a machine's console."""
    channel = "serial" if serial else "vnc"
    arguments = {"vm_id": await resolve_vm(session, given), "channel": channel, "view_only": view_only}
    answer = await session.call("get_console_link", arguments)
    if output.as_json:
        output.json(answer)
        return exits.OK
    link = ConsoleLink.model_validate(answer, extra="ignore")
    output.say(link.url)
    output.notes.print(plain("Open it in a browser within 60 seconds. It works once.", "dim"), soft_wrap=True)
    return exits.OK


async def screenshot(session: Tools, output: Output, *, given: str, path: Path | None) -> int:
    """Save a picture of a machine's screen."""
    vm_id = await resolve_vm(session, given)
    answer = await session.call("get_vm_screenshot", {"vm_id": vm_id})
    view = ScreenshotView.model_validate(answer, extra="ignore")
    target = path or Path(f"vm-{vm_id[:8]}.png")
    async with open_client() as client:
        response = await client.get(view.url)
    if not response.is_success:
        raise TransferFailed(
            Problem(
                code="download.cut", message=f"The picture: the factory answers {response.status_code}.", retryable=True
            )
        )
    try:
        target.write_bytes(response.content)
    except OSError as error:
        raise UsageFailure(Problem(code="download.bad_folder", message=f"{target}: {error.strerror}")) from error
    if output.as_json:
        output.json({**answer, "path": str(target.absolute())})
    else:
        output.say(f"{target}  {view.width}x{view.height}")
    return exits.OK


async def run_program(session: Tools, output: Output, *, given: str, words: Sequence[str], timeout: float) -> int:  # noqa: ASYNC109 - the guest's time limit
    """Run a program in a machine and end with its exit status."""
    vm_id = await resolve_vm(session, given)
    arguments = {"vm_id": vm_id, "command": list(words), "timeout_s": timeout, "request_key": str(uuid.uuid4())}
    answer = await session.call("run_vm_command", arguments)
    view = CommandView.model_validate(answer, extra="ignore")
    if output.as_json:
        output.json(answer)
    else:
        if view.stdout:
            output.out.print(plain(view.stdout), soft_wrap=True, end="" if view.stdout.endswith("\n") else "\n")
        if view.stderr:
            output.notes.print(plain(view.stderr), soft_wrap=True, end="" if view.stderr.endswith("\n") else "\n")
        if view.truncated:
            output.notes.print(plain("Some of the output was cut.", "yellow"), soft_wrap=True)
    return view.status & 0xFF


async def _done(session: Tools, output: Output, answer: dict[str, Any], *, wait: bool, followed: Followed) -> int:
    """Say that a command was accepted, or follow the machine until it rests."""
    vm = parse_vm(answer)
    if not wait:
        if output.as_json:
            output.json(answer)
        else:
            render_vm(vm, output.out)
        return exits.OK
    followed.vm_id = vm.vm_id
    final = await follow_vm(
        session, vm.vm_id, output.progress, live=not output.as_json, after_version=max(vm.version, 1)
    )
    if output.as_json:
        output.json(final)
    else:
        render_vm(parse_vm(final), output.out)
    return exit_code(parse_vm(final))
