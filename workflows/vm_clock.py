"""A machine's times: its end with a warning before, and its rest when nobody uses it."""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from temporalio import workflow

from workflows.vm_self import VmSelf

with workflow.unsafe.imports_passed_through():
    from domain.vm.commands import RecordExpiring
    from domain.vm.orders import DeleteVm, StopVm

_FACTORY: Final = "factory"
_LONGEST_WARNING: Final = timedelta(minutes=10)
_WARNING_SHARE: Final = 10
"""The warning comes ten minutes before the end, or when a tenth of a short life is left."""


class VmClock:
    """Tells what the time asks for."""

    def __init__(self, vm: VmSelf) -> None:
        self._vm = vm

    def begin(self) -> None:
        """Set the end that was asked for."""
        ttl = self._vm.request.spec.ttl
        if ttl is not None:
            self._vm.change(expires_at=self._vm.life.requested_at + timedelta(seconds=ttl))

    @property
    def over(self) -> bool:
        """Whether its time has come."""
        return _reached(self._vm.life.expires_at)

    @property
    def warning_due(self) -> bool:
        """Whether its end is near and nobody was told."""
        return _reached(self._warning_at)

    @property
    def idle(self) -> bool:
        """Whether it runs and was not used for as long as it was said to be kept so."""
        return _reached(self._idle_at)

    async def warn(self) -> None:
        """Tell that the end is near."""
        expires_at = self._vm.life.expires_at
        if expires_at is not None:
            news = f"will be deleted at {expires_at:%H:%M:%S} UTC"
            await self._vm.record(RecordExpiring(expires_at=expires_at), news, warned=True)

    def end_order(self) -> DeleteVm:
        """The order that its end is."""
        expires_at = self._vm.life.expires_at
        until = f" ({expires_at:%Y-%m-%d %H:%M} UTC)" if expires_at else ""
        return DeleteVm(command_id="ttl", requested_by=_FACTORY, reason=f"its time was over{until}")

    def idle_order(self) -> StopVm:
        """The order that its rest is."""
        life = self._vm.life
        minutes = (self._vm.request.spec.idle_stop or 0) / 60
        command_id = f"idle-{self._vm.token}-{life.boot}-{int(life.used_at.timestamp())}"
        reason = f"nobody used it for {minutes:.0f} minutes"
        return StopVm(command_id=command_id, requested_by=_FACTORY, reason=reason)

    async def bounded(self, work: asyncio.Task[None]) -> None:
        """Wait for work until it is done or the machine's time has come, whichever is first.

        Its end may be moved meanwhile: the time is over only if it is by what holds then.
        """
        try:
            while True:
                await workflow.wait([work], timeout=self._left())
                if work.done() or self.over or not workflow.patched("end-moved-during-work"):
                    return
        except asyncio.CancelledError:
            work.cancel()
            raise

    async def wait(self, due: Callable[[], bool]) -> None:
        """Wait until something else is due, or one of these times comes."""
        times = [at for at in (self._vm.life.expires_at, self._warning_at, self._idle_at) if at is not None]
        left = min(times) - workflow.now() if times else None
        known = self._vm.life
        try:
            await workflow.wait_condition(
                lambda: due() or self._vm.life != known, timeout=left, timeout_summary="Until its next time"
            )
        except TimeoutError:
            return

    def _left(self) -> float | None:
        expires_at = self._vm.life.expires_at
        return None if expires_at is None else max(0.0, (expires_at - workflow.now()).total_seconds())

    @property
    def _warning_at(self) -> datetime | None:
        life = self._vm.life
        if life.expires_at is None or life.warned:
            return None
        return life.expires_at - min(_LONGEST_WARNING, (life.expires_at - life.requested_at) / _WARNING_SHARE)

    @property
    def _idle_at(self) -> datetime | None:
        life, idle_stop = self._vm.life, self._vm.request.spec.idle_stop
        if idle_stop is None or life.status != "running":
            return None
        return life.used_at + timedelta(seconds=idle_stop)


def _reached(at: datetime | None) -> bool:
    return at is not None and workflow.now() >= at
