"""What is said of a VM that cannot be asked, and what is kept of it."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal, cast

import libvirt
import pytest

from activities.machines.vm_folder import VmRecord
from activities.machines.vm_guests import VmGuests
from activities.machines.vm_hypervisor import VmState
from activities.machines.vm_models import RunCommand, TakeScreenshot
from activities.machines.vm_premises import Premises
from activities.vm_ref import VmRef
from domain.errors import Fault, Verdict
from domain.vm.spec import ImageRef, VmSpec
from tests.fakes.objects import FakeObjectStore

VM = VmRef(vm_id="v", org_id="o", token=1)
IMAGE = ImageRef(digest="ab" * 32, bytes=1, format="qcow2", source="image", source_id="i")
OFF = libvirt.VIR_DOMAIN_SHUTOFF
KILLED = (OFF, libvirt.VIR_DOMAIN_SHUTOFF_CRASHED)
BY_ITSELF = (OFF, libvirt.VIR_DOMAIN_SHUTOFF_SHUTDOWN)
FULL = (libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_PAUSED_IOERROR)


class Hypervisor:
    def __init__(self, state: tuple[int, int]) -> None:
        self._state = state

    async def vm(self, name: str) -> VmState:
        return VmState(name=name, label=None, state=self._state[0], reason=self._state[1])


def guests(
    folder: Path, state: tuple[int, int], wanted: Literal["running", "stopped"] = "running", serial: bytes = b""
) -> tuple[VmGuests, FakeObjectStore]:
    (folder / "serial.head").write_bytes(serial)
    record = VmRecord(
        vm_id="v", org_id="o", spec=VmSpec(name="t", image=IMAGE), accelerator="tcg", wanted=wanted, boot=1
    )
    place = SimpleNamespace(name="vm-v", path=folder)
    premises: Any = SimpleNamespace(
        hypervisor=Hypervisor(state),
        admit=lambda vm: (place, record),  # pyright: ignore[reportUnknownLambdaType]
        serial=SimpleNamespace(find=lambda name: None),  # pyright: ignore[reportUnknownLambdaType]
        ssh=None,
    )
    objects = FakeObjectStore()
    return VmGuests(cast("Premises", premises), objects), objects


@pytest.mark.parametrize(
    ("state", "wanted", "serial", "kind", "code"),
    [
        (KILLED, "running", b"", Fault, "machine.lost"),
        (FULL, "running", b"", Fault, "host.disk"),
        ((libvirt.VIR_DOMAIN_CRASHED, 0), "running", b"", Verdict, "guest.panicked"),
        (BY_ITSELF, "running", b"", Verdict, "guest.off"),
        ((OFF, 0), "stopped", b"login:\n", Verdict, "vm.wrong_state"),
        ((OFF, 0), "stopped", b"Kernel panic - not syncing: no init\n", Verdict, "guest.panicked"),
    ],
)
async def test_who_ended_a_vm_decides_whether_it_is_the_guests_fault(
    tmp_path: Path,
    state: tuple[int, int],
    wanted: Literal["running", "stopped"],
    serial: bytes,
    kind: type[Exception],
    code: str,
) -> None:
    made, _ = guests(tmp_path, state, wanted, serial)
    with pytest.raises(kind, match=code.replace(".", r"\.")):
        await made.reach(VM)
    with pytest.raises(Verdict, match=r"vm\.wrong_state"):  # who wants to run something has to start it first
        await made.run(RunCommand(vm=VM, argv=("true",)))


@pytest.mark.parametrize("state", [KILLED, BY_ITSELF])
async def test_the_serial_log_is_kept_when_there_is_no_screen_any_more(tmp_path: Path, state: tuple[int, int]) -> None:
    made, objects = guests(tmp_path, state, serial=b"reboot: Power down\n")
    shot = await made.photograph(TakeScreenshot(vm=VM, serial=True))
    assert (shot.key, shot.width, "Power down" in shot.text) == ("", 0, True)
    assert shot.serial_key is not None
    assert objects.objects[shot.serial_key] == b"reboot: Power down\n"
    assert list(objects.objects) == [shot.serial_key]
    with pytest.raises(Verdict, match=r"vm\.wrong_state"):
        await made.photograph(TakeScreenshot(vm=VM))
