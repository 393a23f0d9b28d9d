"""Waiting until a VM's guest answers, and saying why it does not. The VM runs on either way."""

import asyncio
import ipaddress
import json
import time
from contextlib import suppress
from typing import Any

from activities.machines.boot import BootLimits
from activities.machines.console import Console
from activities.machines.guest import LibvirtGuest
from activities.machines.hypervisor import AgentError
from activities.machines.ports import Guest
from activities.machines.vm_folder import VmFolder, VmRecord
from activities.machines.vm_models import AgentReady, AwaitAgent
from activities.machines.vm_neighbours import VmNeighbours
from activities.machines.vm_ports import Via
from activities.machines.vm_power import read_power
from activities.machines.vm_premises import Premises
from domain.errors import Fault, Verdict

# Each look costs processor time, which an emulated guest needs itself; libvirt tells of an agent anyway.
_POLL_SECONDS = {"kvm": 0.3, "tcg": 1.5}
_SSH_EVERY = 3.0
_DAEMON_SECONDS = 30.0
_AGENT_SECONDS = 5
_MOST_ADDRESSES = 16
_WHOLE_BOOT = 3


class VmReady:
    """Waits. `limits` say how long a boot may stand still, in seconds."""

    def __init__(self, premises: Premises, limits: BootLimits) -> None:
        self._premises = premises
        self._hypervisor = premises.hypervisor
        self._neighbours = VmNeighbours(premises)
        self._limits = limits

    async def wait(self, request: AwaitAgent) -> AgentReady:
        """Wait until agent or SSH server answers; raises as `VmHost.await_agent` says."""
        folder, record = self._premises.admit(request.vm)
        watch = _StandsStill(getattr(self._limits, record.accelerator))
        unreachable: float | None = None
        while True:
            stirred = self._premises.stirring.next
            try:
                ready = await self._answers(folder, record, watch)
                if ready is not None:
                    return ready
                unreachable = None
            except Fault as error:
                # A libvirtd that died is started again within seconds and finds its machines.
                unreachable = unreachable or time.monotonic()
                waited = time.monotonic() - unreachable
                if not error.code.startswith("hypervisor.") or waited > _DAEMON_SECONDS:
                    raise
            port = self._premises.serial.find(folder.name)
            watch.judge(port.console if port else None, record)
            with suppress(TimeoutError):
                async with asyncio.timeout(_POLL_SECONDS[record.accelerator]):
                    await stirred.wait()

    async def _answers(self, folder: VmFolder, record: VmRecord, watch: "_StandsStill") -> AgentReady | None:
        seen = read_power(await self._hypervisor.vm(folder.name), record)
        if seen.power != "running" and not self._premises.is_busy(folder.name):
            raise _ended(folder, seen.power, seen.reason)
        if seen.power != "running":
            return None
        if await self._hypervisor.agent_listens(folder.name):
            guest = LibvirtGuest(self._hypervisor, folder.name)
            try:
                await guest.ping()
            except Verdict as error:
                if error.code != "guest.agent_silent":
                    raise
                return None  # it is only just starting, or was brought back in the middle of an answer
            return await self._up(folder, record, guest, "agent")
        ssh = self._premises.ssh
        if ssh is None or not watch.time_for_ssh():
            return None
        reached = await ssh.reach(folder.name, folder.path, record.spec)
        return await self._up(folder, record, reached, "ssh") if reached is not None else None

    async def _up(self, folder: VmFolder, record: VmRecord, guest: Guest, via: Via) -> AgentReady:
        """Say that the guest is up, when it and its neighbours know each other."""
        seconds = _since(record)
        if self._premises.networks is not None and record.spec.networks:
            await self._premises.networks.introduce(folder.name, guest)
            await self._neighbours.tell(record)
        addresses = await self._addresses(folder.name) if via == "agent" else ()
        return AgentReady(seconds=seconds, via=via, addresses=addresses)

    async def _addresses(self, name: str) -> tuple[str, ...]:
        """What the guest says its addresses are; nothing if its agent does not know the question."""
        try:
            text = await self._hypervisor.agent(
                name, json.dumps({"execute": "guest-network-get-interfaces"}), _AGENT_SECONDS
            )
            cards: list[dict[str, Any]] = json.loads(text)["return"]
            told = [a["ip-address"] for card in cards for a in card.get("ip-addresses", ())]
            found = [ipaddress.ip_address(text) for text in told]
        except (AgentError, ValueError, KeyError, TypeError, AttributeError):
            return ()
        useful = [address for address in found if not (address.is_loopback or address.is_link_local)]
        return tuple(map(str, useful[:_MOST_ADDRESSES]))


class _StandsStill:
    """Judges a boot by what its console shows: not by being slow, but by standing still."""

    def __init__(self, limit: float) -> None:
        self._limit = limit
        self._began = self._since = time.monotonic()
        self._percent = 0.0
        self._asked = 0.0

    def time_for_ssh(self) -> bool:
        """Whether it is time to look for an SSH server again: each look makes a connection."""
        now = time.monotonic()
        if now - self._asked < _SSH_EVERY:
            return False
        self._asked = now
        return True

    def judge(self, console: Console | None, record: VmRecord) -> None:
        """Say that the guest will not answer any more.

        Raises:
            Verdict: `guest.not_ready`.
            Fault: `host.overloaded` if it is emulated by a host that had no time for it.

        """
        if console is not None and console.failure is not None:
            raise _not_ready(console.failure, console, record)
        now = time.monotonic()
        if console is not None and console.milestone.percent > self._percent:
            self._percent, self._since = console.milestone.percent, now
        if now - self._since > self._limit or now - self._began > _WHOLE_BOOT * self._limit:
            last = console.last_line if console is not None else ""
            said = f"its last words were: {last}" if last else "it said nothing on its serial port"
            raise _not_ready(
                f"neither its agent nor an SSH server answered within {now - self._began:.0f} s; {said}",
                console,
                record,
            )


def _not_ready(reason: str, console: Console | None, record: VmRecord) -> Verdict | Fault:
    if record.accelerator == "tcg" and console is not None and console.starved:
        return Fault.because(
            "host.overloaded",
            f"this host is too busy to emulate the VM, whose kernel saw its clock stand still: {reason}",
            next="Try again when the host has less to do.",
        )
    return Verdict.because(
        "guest.not_ready",
        f"the guest cannot be reached: {reason}",
        next="Look at the VM's console; commands and assertions need the guest agent or SSH.",
    )


def _ended(folder: VmFolder, power: str, reason: str | None) -> Verdict | Fault:
    what = reason or f"the VM is {power}"
    match power:
        case "panicked":
            return Verdict.because("guest.panicked", what, next="Look at the console for the panic.")
        case "stopped":
            return Verdict.because("guest.off", what, next="Look at the console for what shut the system down.")
        case "paused":
            return Fault.because("host.disk", what, next="Free disk space on the host, then start the VM again.")
        case _:
            return Fault.because("machine.lost", f"{folder.name}: {what}", next="Start the VM again.")


def _since(record: VmRecord) -> float:
    return round(max(0.0, time.time() - record.started), 3)
