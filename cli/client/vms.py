"""The vm commands: their names, arguments and help. What they do is in `vm_actions`."""

from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.client import vm_actions as actions
from cli.client.exits import EPILOG
from cli.client.output import run

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON on standard output, and nothing else there.")]
VmId = Annotated[str, typer.Argument(metavar="VM", help="A machine's id, its first digits, its name, or `latest`.")]
Snapshot = Annotated[
    str, typer.Argument(metavar="SNAPSHOT", help="A snapshot's id, its first digits, its name, or `latest`.")
]
Wait = Annotated[bool, typer.Option("--wait", help="Follow the machine until it rests; Ctrl-C changes nothing.")]
Grace = Annotated[float, typer.Option(min=0, max=600, help="Seconds the guest gets to shut down; 0 pulls the plug.")]
Histories = Annotated[
    Path | None,
    typer.Option(
        metavar="FOLDER", help="Save here what the workflow of a deleted machine did, for `openfactory replay`."
    ),
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]

vms = typer.Typer(no_args_is_help=True, help="Virtual machines made of finished images.")


@vms.command("list", epilog=EPILOG)
def list_(
    *,
    limit: Annotated[int, typer.Option(min=1, max=50, help="How many, newest first.")] = 20,
    status: Annotated[str | None, typer.Option(help="Only running, stopped, failed, … ones.")] = None,
    name: Annotated[str | None, typer.Option(help="Only machines of this name.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Deleted ones too.")] = False,
    cursor: Annotated[str | None, typer.Option(help="Where the page before this one ended.")] = None,
    as_json: AsJson = False,
) -> None:
    """List machines."""
    query = {"limit": limit, "status": status, "name": name, "deleted": everything or None, "cursor": cursor}
    run(partial(actions.list_vms, query=query), as_json=as_json)


@vms.command("create", epilog=EPILOG)
def create(  # noqa: PLR0913 - the command's options
    build: Annotated[
        str | None,
        typer.Argument(
            metavar="BUILD",
            help="A build's id, its first digits, `latest`, `latest-verified`, or either of one recipe: `latest:demo`.",
        ),
    ] = None,
    *,
    image: Annotated[str | None, typer.Option(help="Or the id of an uploaded image.")] = None,
    artifact: Annotated[str | None, typer.Option(help="qcow2 (the disk, the default) or iso.")] = None,
    name: Annotated[str | None, typer.Option(help="Its name; the image's by default.")] = None,
    memory: Annotated[int, typer.Option(min=128, help="MiB.")] = 1024,
    cpus: Annotated[int, typer.Option(min=1, help="Processors.")] = 1,
    disk: Annotated[int | None, typer.Option(min=1, help="Grow the disk to so many GiB; an ISO gets one.")] = None,
    ttl: Annotated[int | None, typer.Option(min=1, metavar="MINUTES", help="Delete it after so long.")] = None,
    persistent: Annotated[bool, typer.Option("--persistent", help="It stays until it is deleted.")] = False,
    firmware: Annotated[str | None, typer.Option(help="uefi or bios; by default as the image was tested.")] = None,
    egress: Annotated[bool | None, typer.Option(help="Whether the guest reaches out.")] = None,
    network: Annotated[list[str] | None, typer.Option(help="A private network; may be repeated.")] = None,
    forward: Annotated[list[int] | None, typer.Option(help="A guest port; may be repeated.")] = None,
    idle_stop: Annotated[
        int | None, typer.Option(min=1, metavar="MINUTES", help="Stop it when unused so long.")
    ] = None,
    request_key: Annotated[str | None, typer.Option(help="A name for this request: repeating it is harmless.")] = None,
    wait: Wait = False,
    as_json: AsJson = False,
) -> None:
    """Make and start a machine from a build or an uploaded image."""
    wish: dict[str, Any] = {
        "image_id": image,
        "artifact": artifact,
        "name": name,
        "memory": memory,
        "cpus": cpus,
        "disk_gb": disk,
        "ttl_minutes": ttl,
        "persistent": persistent or None,
        "firmware": firmware,
        "egress": egress,
        "networks": network or None,
        "forwards": forward or None,
        "idle_stop_minutes": idle_stop,
    }
    followed = actions.Followed()
    command = partial(actions.create_vm, build=build, wish=wish, request_key=request_key, wait=wait, followed=followed)
    run(command, as_json=as_json, on_interrupt=followed.farewell)


@vms.command("show", epilog=EPILOG)
def show(vm: VmId, *, histories: Histories = None, as_json: AsJson = False) -> None:
    """Show one machine: state, why it is in it, snapshots, commands, its end."""
    run(partial(actions.show_vm, given=vm, histories=histories), as_json=as_json)


@vms.command("start", epilog=EPILOG)
def start(vm: VmId, *, wait: Wait = False, as_json: AsJson = False) -> None:
    """Power on a machine that is stopped, failed or lost."""
    _command("start_vm", vm, {}, wait=wait, as_json=as_json)


@vms.command("stop", epilog=EPILOG)
def stop(vm: VmId, *, grace: Grace = 30, wait: Wait = False, as_json: AsJson = False) -> None:
    """Shut a machine down, by force if the guest does not do it in time."""
    _command("stop_vm", vm, {"grace_s": grace}, wait=wait, as_json=as_json)


@vms.command("restart", epilog=EPILOG)
def restart(vm: VmId, *, grace: Grace = 30, wait: Wait = False, as_json: AsJson = False) -> None:
    """Shut a machine down and power it on again."""
    _command("restart_vm", vm, {"grace_s": grace}, wait=wait, as_json=as_json)


@vms.command("extend", epilog=EPILOG)
def extend(
    vm: VmId,
    minutes: Annotated[int | None, typer.Argument(min=1, metavar="MINUTES", help="So long from now.")] = None,
    *,
    persistent: Annotated[bool, typer.Option("--persistent", help="It stays until it is deleted.")] = False,
    as_json: AsJson = False,
) -> None:
    """Move a machine's end."""
    _command("extend_vm", vm, {"minutes": minutes, "persistent": persistent or None}, wait=False, as_json=as_json)


@vms.command("delete", epilog=EPILOG)
def delete(vm: VmId, *, yes: Yes = False, wait: Wait = False, as_json: AsJson = False) -> None:
    """Delete a machine with its disk and snapshots."""
    followed = actions.Followed()
    command = partial(actions.delete_vm, given=vm, yes=yes, wait=wait, followed=followed)
    run(command, as_json=as_json, on_interrupt=followed.farewell)


@vms.command("console", epilog=EPILOG)
def console(
    vm: VmId,
    *,
    serial: Annotated[bool, typer.Option("--serial", help="The serial port instead of the screen.")] = False,
    view_only: Annotated[bool, typer.Option("--view-only", help="Without keyboard and pointer.")] = False,
    as_json: AsJson = False,
) -> None:
    """Print a link that opens a machine's console in a browser once, within 60 seconds."""
    run(partial(actions.console_link, given=vm, serial=serial, view_only=view_only), as_json=as_json)


@vms.command("snapshot", epilog=EPILOG)
def snapshot(
    vm: VmId,
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="Its name, for people.")] = None,
    *,
    wait: Wait = False,
    as_json: AsJson = False,
) -> None:
    """Keep a machine's disk and, while it runs, its memory."""
    _command("snapshot_vm", vm, {"name": name}, wait=wait, as_json=as_json)


@vms.command("restore", epilog=EPILOG)
def restore(vm: VmId, snapshot: Snapshot, *, yes: Yes = False, wait: Wait = False, as_json: AsJson = False) -> None:
    """Go back to a snapshot; what happened in the machine since is lost."""
    followed = actions.Followed()
    command = partial(actions.restore_vm, given=vm, snapshot=snapshot, yes=yes, wait=wait, followed=followed)
    run(command, as_json=as_json, on_interrupt=followed.farewell)


@vms.command("snapshots", epilog=EPILOG)
def snapshots(vm: VmId, *, as_json: AsJson = False) -> None:
    """List a machine's snapshots."""
    run(partial(actions.list_snapshots, given=vm), as_json=as_json)


@vms.command("drop-snapshot", epilog=EPILOG)
def drop_snapshot(vm: VmId, snapshot: Snapshot, *, wait: Wait = False, as_json: AsJson = False) -> None:
    """Remove a snapshot and free its space."""
    followed = actions.Followed()
    command = partial(actions.drop_snapshot, given=vm, snapshot=snapshot, wait=wait, followed=followed)
    run(command, as_json=as_json, on_interrupt=followed.farewell)


@vms.command("screenshot", epilog=EPILOG)
def screenshot(
    vm: VmId,
    *,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="The PNG file to write.")] = None,
    as_json: AsJson = False,
) -> None:
    """Save a picture of a machine's screen."""
    run(partial(actions.screenshot, given=vm, path=output), as_json=as_json)


@vms.command("run", epilog=EPILOG, context_settings={"allow_interspersed_args": False})
def run_(
    vm: VmId,
    words: Annotated[list[str], typer.Argument(metavar="PROGRAM [ARGUMENT]...", help="What to run, as root.")],
    *,
    timeout: Annotated[float, typer.Option(min=1, max=20, help="Seconds it may take.")] = 20,
    as_json: AsJson = False,
) -> None:
    """Run a program in a machine, print what it says, and end with its exit status."""
    run(partial(actions.run_program, given=vm, words=words, timeout=timeout), as_json=as_json)


def _command(tool: str, vm: str, arguments: dict[str, Any], *, wait: bool, as_json: bool) -> None:
    followed = actions.Followed()
    command = partial(actions.command_vm, tool=tool, given=vm, arguments=arguments, wait=wait, followed=followed)
    run(command, as_json=as_json, on_interrupt=followed.farewell)
