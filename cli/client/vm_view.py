"""A machine as a person sees it: in lists, by itself, and while something is being done with it."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from cli.client import exits
from cli.client.failures import ClientFailure, ToolFailed, Unreachable
from cli.client.tools import Tools
from cli.client.words import as_commands, duration, plain, problem_text, size
from domain.vm.state import RESTING
from domain.vm.views import SnapshotView, VmPage, VmView

STYLES: Final[Mapping[str, str]] = {
    "pending": "dim",
    "starting": "cyan",
    "running": "green",
    "stopping": "cyan",
    "stopped": "yellow",
    "deleting": "cyan",
    "deleted": "dim",
    "failed": "red",
    "lost": "red",
}
_WAIT: Final = 10  # seconds a call may wait for news
_PATIENCE: Final = 120.0  # seconds the factory may be away
_PAUSE: Final = 1.0
_ROOM_FOR_ALL: Final = 130
_SHORT_ID: Final = 8

Pause = Callable[[float], Awaitable[None]]


def parse_vm(answer: Mapping[str, Any]) -> VmView:
    """Read a tool's answer; fields of a newer factory are passed over."""
    return VmView.model_validate(answer, extra="ignore")


def rests(vm: VmView) -> bool:
    """Whether nothing more happens to it by itself: no command is open, and a guest that boots has answered or not."""
    if vm.status not in RESTING or any(c.status in {"waiting", "running"} for c in vm.commands):
        return False
    return vm.status != "running" or vm.ready or bool(vm.problems)


def exit_code(vm: VmView) -> int:
    """Judge a machine that rests: in order, wrong, or wrong for a reason that may pass."""
    if vm.status == "deleted":
        return exits.OK
    last = vm.commands[-1] if vm.commands else None
    problems = last.problems if last is not None and last.status == "failed" else vm.problems
    failed = bool(problems) or vm.status in {"failed", "lost"}
    if not failed:
        return exits.OK
    return exits.TEMPORARY if problems and all(p.retryable for p in problems) else exits.FAILED


async def follow_vm(
    session: Tools,
    vm_id: str,
    console: Console,
    *,
    live: bool = True,
    after_version: int = 0,
    pause: Pause = asyncio.sleep,
) -> dict[str, Any]:
    """Show what happens to a machine until it rests, and return its last view.

    Views below `after_version` are old news. On a terminal the picture is live; elsewhere, and without `live`, it
    is a line for each change. Stopping this coroutine changes nothing.

    Raises:
        ClientFailure: the factory says no, or was away for more than two minutes.

    """
    if not live or not console.is_terminal:
        lines = _Lines(console)
        return await _follow(session, vm_id, after_version, lines.show, pause)
    picture = _Picture()
    with Live(picture, console=console, refresh_per_second=4):
        return await _follow(session, vm_id, after_version, picture.show, pause)


async def _follow(
    session: Tools, vm_id: str, after_version: int, show: Callable[[VmView], None], pause: Pause
) -> dict[str, Any]:
    away_since: float | None = None
    seen = 0
    while True:
        asked = time.monotonic()
        try:
            answer = await session.call("get_vm", {"vm_id": vm_id, "wait_s": _WAIT, "since_version": seen})
        except (Unreachable, ToolFailed) as failure:
            away_since = asked if away_since is None else away_since
            if not _passes(failure) or asked - away_since > _PATIENCE:
                raise
            await pause(_PAUSE)
            continue
        away_since = None
        vm = parse_vm(answer)
        if vm.version >= after_version:
            show(vm)
            if rests(vm):
                return answer
        seen = max(seen, vm.version)
        # The tool holds its answer back until there is news; this bounds a factory that does not.
        await pause(max(0.0, min(_PAUSE, asked + _PAUSE - time.monotonic())))


def _passes(failure: ClientFailure) -> bool:
    return bool(failure.problems) and all(p.retryable for p in failure.problems)


class _Lines:
    """One line for each change."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._said = ""

    def show(self, vm: VmView) -> None:
        text = _headline(vm)
        if text.plain != self._said:
            self._said = text.plain
            self._console.print(text, soft_wrap=True, highlight=False)


class _Picture:
    """What happened so far with its times, and how long it has been going on."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._lines: list[tuple[float, Text]] = []

    def show(self, vm: VmView) -> None:
        """Take a newer view."""
        text = _headline(vm)
        if not self._lines or self._lines[-1][1].plain != text.plain:
            self._lines.append((time.monotonic() - self._began, text))

    def __rich__(self) -> RenderableType:
        """Draw it."""
        table = Table.grid(padding=(0, 2, 0, 0))
        for at, text in self._lines:
            table.add_row(Text(duration(at), style="dim"), text)
        return Group(table, Text(f"{duration(time.monotonic() - self._began)} …", style="dim"))


def _headline(vm: VmView) -> Text:
    text = Text(f"vm {vm.vm_id[:_SHORT_ID]} ", style="dim").append_text(plain(vm.name, "bold"))
    text.append(f"  {vm.status}", style=STYLES[vm.status])
    if vm.status == "running":
        text.append(
            ", the guest answers" if vm.ready else ", the guest does not answer" if vm.problems else ", booting"
        )
    if vm.waiting and vm.status in {"pending", "starting"}:
        place = f" (place {vm.queue_position})" if vm.queue_position else ""
        text.append_text(plain(f"  {vm.waiting}{place}", "dim"))
    doing = next((c.command for c in vm.commands if c.status == "running"), None)
    if doing and vm.status not in {"starting", "stopping"}:
        text.append(f"  {doing.replace('_', ' ')} …", style="dim")
    return text


def render_vm(vm: VmView, console: Console) -> None:
    """Print a machine as it is now."""
    console.print(_headline(vm).append(f"  {vm.vm_id}", style="dim"), soft_wrap=True)
    if vm.warning:
        console.print(plain(vm.warning, "yellow"), soft_wrap=True)
    for name, text in _facts(vm):
        console.print(Text(f"  {name:<10} ", style="dim").append_text(plain(text)), soft_wrap=True)
    if vm.reason:
        console.print(Text("  why        ", style="dim").append_text(plain(vm.reason)), soft_wrap=True)
    for problem in vm.problems:
        console.print(problem_text(problem), soft_wrap=True)
    last = vm.commands[-1] if vm.commands else None
    if last is not None and last.status == "failed":
        console.print(Text(f"The last command failed: {last.command}", style="red"), soft_wrap=True)
        for problem in last.problems:
            console.print(problem_text(problem), soft_wrap=True)
    if vm.snapshots:
        console.print(snapshot_table(vm.snapshots))
    _histories(vm, console)
    for line in (vm.note, vm.next):
        if line:
            console.print(plain(as_commands(line), "dim"), soft_wrap=True)


def _histories(vm: VmView, console: Console) -> None:
    if vm.histories:
        console.print(plain(f"histories: {', '.join(history.name for history in vm.histories)}"), soft_wrap=True)
        console.print(plain(f"  save them: openfactory vm show {vm.vm_id} --histories FOLDER", "dim"), soft_wrap=True)


def _facts(vm: VmView) -> list[tuple[str, str]]:
    facts: list[tuple[str, str]] = []
    if vm.image is not None:
        facts.append(("image", f"{vm.image.name}, {vm.image.format} of {vm.image.source}, {vm.image.verification}"))
        facts.append(("size", f"{vm.cpus} CPU, {vm.memory} MiB, {vm.firmware}"))
    if vm.host:
        facts.append(("host", f"{vm.host} ({vm.accelerator})" if vm.accelerator else vm.host))
    if vm.ready and vm.ready_seconds is not None:
        facts.append(("answered", f"{duration(vm.ready_seconds)} after power-on, by {vm.via}"))
    if vm.addresses:
        facts.append(("addresses", ", ".join(vm.addresses)))
    facts += [
        ("forward", f"127.0.0.1:{f.host_port} on its host → port {f.guest_port}")
        for f in vm.forwards
        if f.host_port is not None
    ]
    if vm.networks:
        facts.append(("networks", ", ".join(vm.networks)))
    if vm.status != "deleted" and vm.image is not None:
        until = f"{vm.expires_at.astimezone():%Y-%m-%d %H:%M}" if vm.expires_at else "stays until it is deleted"
        facts.append(("until", until))
    return facts


def vm_table(page: VmPage, width: int) -> Table:
    """List machines. In a narrow terminal ids are cut to what every command accepts."""
    wide = width >= _ROOM_FOR_ALL
    table = Table(box=None, padding=(0, 2, 0, 0))
    for name in ("id", "name", "status", "image", *(("size", "host", "until") if wide else ()), "trouble"):
        table.add_column(name, no_wrap=name != "trouble")
    for vm in page.vms:
        ready = " ✓" if vm.ready else ""
        until = f"{vm.expires_at.astimezone():%Y-%m-%d %H:%M}" if vm.expires_at else "-"
        more = (f"{vm.cpus} CPU, {vm.memory} MiB", plain(vm.host or "-"), until) if wide else ()
        table.add_row(
            vm.vm_id if wide else vm.vm_id[:_SHORT_ID],
            plain(vm.name),
            Text(f"{vm.status}{ready}", style=STYLES[vm.status]),
            plain(f"{vm.image} ({vm.verification})", "" if vm.verification == "verified" else "yellow"),
            *more,
            plain(vm.trouble, "red"),
        )
    return table


def snapshot_table(snapshots: tuple[SnapshotView, ...]) -> Table:
    """List snapshots, oldest first."""
    table = Table(box=None, padding=(0, 2, 0, 0))
    for name in ("snapshot", "name", "taken", "holds", "size"):
        table.add_column(name, no_wrap=True)
    for snapshot in snapshots:
        table.add_row(
            snapshot.snapshot_id,
            plain(snapshot.name),
            f"{snapshot.taken_at.astimezone():%Y-%m-%d %H:%M}",
            "disk and memory" if snapshot.memory else "disk",
            size(snapshot.bytes),
        )
    return table
