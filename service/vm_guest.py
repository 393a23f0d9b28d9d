"""Asking a running machine: its screen, and programs in its guest. What comes back is untrusted."""

from typing import NamedTuple

from domain.budget import VIEW_BYTES, clip_bytes
from domain.caller import Caller
from domain.errors import Fault
from domain.model import Value
from domain.text import clean_untrusted
from domain.vm import orders as o
from domain.vm.views import CommandView, ScreenshotView
from service.factory import Factory
from service.ids import derived_id
from service.links import link_to
from service.model_errors import problems_of
from service.permissions import require
from service.vm_lookup import visible_vm

LONGEST_COMMAND = 20
STREAM_BYTES = VIEW_BYTES // 2
_TEXT_CHARACTERS = 2_000
_LARGEST_PICTURE = 4 << 20


class Picture(NamedTuple):
    """A screenshot with its bytes (PNG)."""

    view: ScreenshotView
    png: bytes


class GuestCommand(Value):
    """A program to run; `limit` in seconds."""

    argv: tuple[str, ...]
    stdin: str = ""
    limit: float = float(LONGEST_COMMAND)


async def run_vm_command(
    factory: Factory,
    caller: Caller,
    vm_id: str,
    command: GuestCommand,
    *,
    request_key: str | None = None,
) -> CommandView:
    """Run a program in the guest as root and answer what it said.

    Raises:
        Verdict: `vm.not_found`, `vm.deleted`, `vm.wrong_state`, `vm.command_repeated`, or what the guest does wrong.

    """
    require(caller, "run_vm_command")
    await visible_vm(factory, caller, vm_id)
    command_id = factory.new_id() if request_key is None else derived_id(vm_id, "run_vm_command", request_key)
    with problems_of("vm.bad_command"):
        order = o.RunCommand(command_id=command_id, requested_by=caller.subject, **command.model_dump())
    done = await factory.vms.run_command(vm_id, order)
    out, err = clean_untrusted(done.stdout), clean_untrusted(done.stderr)
    return CommandView(
        vm_id=vm_id,
        status=done.status,
        stdout=clip_bytes(out, STREAM_BYTES),
        stderr=clip_bytes(err, STREAM_BYTES),
        truncated=done.truncated or max(len(out.encode()), len(err.encode())) > STREAM_BYTES,
        via=done.via,
        seconds=done.seconds,
    )


async def get_vm_screenshot(factory: Factory, caller: Caller, vm_id: str) -> Picture:
    """Photograph the machine's screen.

    Raises:
        Verdict: `vm.not_found`, `vm.deleted`, `vm.wrong_state`.
        Fault: `screenshot.too_large`.

    """
    require(caller, "get_vm_screenshot")
    await visible_vm(factory, caller, vm_id)
    taken = await factory.vms.screenshot(
        vm_id, o.TakeScreenshot(command_id=factory.new_id(), requested_by=caller.subject)
    )
    if taken.bytes > _LARGEST_PICTURE:
        raise Fault.because("screenshot.too_large", "The screenshot is too large to be answered.", next="get_vm")
    png = b"".join([chunk async for chunk in factory.objects.stream(taken.key)])
    view = ScreenshotView(
        vm_id=vm_id,
        key=taken.key,
        url=link_to(factory, taken.key, f"{vm_id}.png").url,
        width=taken.width,
        height=taken.height,
        bytes=taken.bytes,
        text=clean_untrusted(taken.text, _TEXT_CHARACTERS),
    )
    return Picture(view, png)
