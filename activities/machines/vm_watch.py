"""The watcher: tells what VMs of this host did unasked, within seconds.

It looks every two seconds, and at once when libvirt has an event. An event only says when to look; what is
told is what was seen, so a lost event costs two seconds and an event too many costs nothing.
"""

import asyncio
import contextlib
import logging
from datetime import UTC, datetime

from activities.machines.vm_folder import VmFolder, VmRecord, folders
from activities.machines.vm_hypervisor import VmState
from activities.machines.vm_models import VmObserved, VmSeen
from activities.machines.vm_ports import Observer
from activities.machines.vm_power import read_power
from activities.machines.vm_premises import Premises
from activities.vm_ref import VmRef
from domain.errors import FactoryError
from infra.libvirt_events import LibvirtEvents

POLL_SECONDS = 2.0
_log = logging.getLogger(__name__)


class VmWatch:
    """Watches until cancelled. A VM is told about once for each state of each boot, and again if telling failed."""

    def __init__(self, premises: Premises, uri: str, observer: Observer) -> None:
        self._premises = premises
        self._uri = uri
        self._observer = observer
        self._told: dict[str, tuple[int, str]] = {}

    async def run(self) -> None:
        """Watch."""
        happened = asyncio.Event()

        def stir() -> None:
            happened.set()
            self._premises.stirring.happened()

        events = asyncio.create_task(LibvirtEvents(self._uri, stir).run())
        try:
            while True:
                happened.clear()
                await self._look_safely()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(POLL_SECONDS):
                        await happened.wait()
        finally:
            events.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await events

    async def look(self) -> None:
        """Look once and tell what is new.

        Raises:
            Fault: `hypervisor.…`.

        """
        states = {state.name: state for state in await self._premises.hypervisor.vms()}
        known = await asyncio.to_thread(folders, self._premises.paths)
        for name in self._told.keys() - {folder.name for folder in known}:
            del self._told[name]
        for folder in known:
            if self._news(folder, folder.record, states.get(folder.name)) is not None:
                await self._tell(folder)

    async def _look_safely(self) -> None:
        try:
            await self.look()
        except FactoryError as error:
            _log.warning("could not look at the VMs: %s", error)
        except Exception:  # noqa: BLE001 - whatever telling fails with, the watching goes on
            _log.exception("could not tell what VMs did")

    def _news(self, folder: VmFolder, record: VmRecord | None, state: VmState | None) -> VmSeen | None:
        """What has to be told of a VM, if anything: what it was not asked for, or that it is over."""
        if record is None or record.wanted != "running":
            self._told.pop(folder.name, None)
            return None
        seen = read_power(state, record)
        told = self._told.get(folder.name)
        if self._premises.is_busy(folder.name) or told == (record.boot, seen.power):
            return None
        if seen.power == "running" and (told is None or told[0] != record.boot):
            return None
        return seen

    async def _tell(self, folder: VmFolder) -> None:
        """Look again when nobody changes the VM, for what was seen may be what somebody was doing; then tell."""
        async with self._premises.turn(folder.name):
            record, lease = folder.record, folder.lease
            state = await self._premises.hypervisor.vm(folder.name)
            if read_power(state, record).power in {"stopped", "lost"}:
                await self._premises.close_forwards(folder.name)
        seen = self._news(folder, record, state)
        if seen is None or record is None or lease is None:
            return
        vm = VmRef(vm_id=record.vm_id, org_id=record.org_id, token=lease.token)
        seen = seen.model_copy(update={"seen_at": datetime.now(UTC)})
        _log.info("%s is %s: %s", folder.name, seen.power, seen.reason or "nobody asked for it")
        await self._observer(vm, VmObserved(token=lease.token, seen=seen, boot=record.boot))
        self._told[folder.name] = (record.boot, seen.power)
