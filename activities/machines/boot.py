"""Booting one machine until its guest agent answers, and saying why when it does not."""

import asyncio
import time
from collections.abc import Callable

from activities.machines.domain_xml import MachineSpec, domain_xml
from activities.machines.guest import raise_unless_running
from activities.machines.hypervisor import Condition
from activities.machines.job_entry import JobEntry
from activities.machines.labels import MachineLabel
from activities.machines.serial_port import SerialPort
from activities.machines.workspace import Workspace
from activities.step_log import StepLog
from domain.errors import Fault, Verdict
from domain.model import Value
from domain.verification import BootReport

_POLL_SECONDS = 0.5
_DAEMON_SECONDS = 30.0
_LAST_WORDS_SECONDS = 3.0
_LOGGED_LINES = 5000


class BootLimits(Value):
    """How long a boot may stay at one milestone, in seconds; all of it may take three times as long.

    A busy host makes a boot slow, and a broken guest makes it stand still: only the second is judged.
    """

    kvm: float = 120.0
    tcg: float = 420.0


_WHOLE_BOOT = 3


class BootFailedError(Exception):
    """The machine did not come up and it was not the host's doing; the text says why."""


class Boot:
    """One machine's boot. `advance` is told the percentage and the milestone."""

    def __init__(
        self, entry: JobEntry, workspace: Workspace, spec: MachineSpec, advance: Callable[[float, str], None]
    ) -> None:
        self._entry = entry
        self._hypervisor = entry.hypervisor
        self._workspace = workspace
        self._spec = spec
        self._artifact: str = spec.label.artifact if isinstance(spec.label, MachineLabel) else "vm"
        self._advance = advance
        self.port = SerialPort(workspace.folder)

    async def run(self, limits: BootLimits, log: StepLog) -> BootReport:
        """Start the machine and wait for its agent.

        Raises:
            BootFailedError: the guest's fault.
            Fault: the host's (`hypervisor.…`, `machine.lost`, `host.disk`, `host.overloaded`).

        """
        name, artifact = self._spec.name, self._artifact
        await self._hypervisor.start_paused(domain_xml(self._spec))
        try:
            await self.port.open(self._workspace.sockets / "s")
        except OSError as error:
            raise Fault.because("hypervisor.failed", f"the serial port of {name} cannot be reached: {error}") from error
        self.port.follow(_limited(log, artifact))
        started = time.monotonic()
        try:
            await self._hypervisor.resume(name)
            await self._wait(started, getattr(limits, self._spec.accelerator))
        finally:
            self.port.follow(None)
        seconds = round(time.monotonic() - started, 2)
        self._advance(100, "guest agent answers")
        return BootReport(
            artifact="iso" if artifact == "iso" else "qcow2",
            firmware=self._spec.firmware,
            accelerator=self._spec.accelerator,
            booted=True,
            seconds=seconds,
        )

    async def _wait(self, started: float, limit: float) -> None:
        daemon_gone: float | None = None
        milestone, since = self.port.console.milestone, started
        while True:
            try:
                if await self._answers():
                    return
                daemon_gone = None
            except Fault as error:
                # A libvirtd that died is started again within seconds and finds its machines.
                if not error.code.startswith("hypervisor."):
                    raise
                daemon_gone = daemon_gone or time.monotonic()
                if time.monotonic() - daemon_gone > _DAEMON_SECONDS:
                    raise
            console = self.port.console
            self._advance(console.milestone.percent, console.milestone.text)
            if console.failure is not None:
                raise self._failure(console.failure)
            now = time.monotonic()
            if console.milestone != milestone:
                milestone, since = console.milestone, now
            if now - since > limit or now - started > limit * _WHOLE_BOOT:
                raise self._failure(self._too_late(now - started))
            await asyncio.sleep(_POLL_SECONDS)

    async def _answers(self) -> bool:
        name = self._spec.name
        condition = await self._hypervisor.condition(name)
        if condition is not Condition.RUNNING:
            await self._ended(condition)
        return await self._entry.answers(name)

    async def _ended(self, condition: Condition) -> None:
        """Say why the machine runs no more, with its last words."""
        await self.port.drained(_LAST_WORDS_SECONDS)
        if self.port.console.failure is not None and condition is not Condition.KILLED:
            raise self._failure(self.port.console.failure)
        try:
            raise_unless_running(self._spec.name, condition)
        except Verdict as error:
            last = self.port.console.last_line or "nothing"
            raise BootFailedError(f"{error.problems[0].message}; its last words: {last}") from error

    def _failure(self, reason: str) -> Exception:
        """Blame the guest, unless it is emulated by a host that had no time for it."""
        if self._spec.accelerator == "tcg" and self.port.console.starved:
            return Fault.because(
                "host.overloaded",
                f"this host is too busy to emulate {self._spec.name}, whose kernel saw its clock stand still: {reason}",
                next="Retry when the host has less to do.",
            )
        return BootFailedError(reason)

    def _too_late(self, waited: float) -> str:
        console = self.port.console
        if not console.last_line:
            return f"it said nothing on its serial port for {waited:.0f} s"
        return (
            f"its guest agent did not answer within {waited:.0f} s; it got as far as '{console.milestone.text}', "
            f"and its last words were: {console.last_line}"
        )


def _limited(log: StepLog, artifact: str) -> Callable[[str], None]:
    """Pass a guest's lines on to the step's log, but not those of one that floods it."""
    left = _LOGGED_LINES

    def line(text: str) -> None:
        nonlocal left
        left -= 1
        if left > 0:
            log.line(f"{artifact}| {text}")
        elif left == 0:
            log.line(f"{artifact}| [the console says too much; the rest is in the serial log only]")

    return line
