"""The host's own lease: as long as the fleet acknowledges it, this host's VMs may run.

The fleet runs `hold_host` here, which is completed asynchronously: this keeper sends its heartbeats, each of
which the server acknowledges. Without an acknowledgement for `LeaseTimes.fence` the host ends its VMs itself,
before the server's own limit passes and the fleet declares them lost. A worker that follows a killed one goes
on with the same lease, whose task token is in a file; the time of the last acknowledgement is there, too, so
that a worker that was dead for long ends the VMs before it does anything else.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Protocol

from pydantic import ValidationError
from temporalio import activity
from temporalio.client import AsyncActivityCancelledError, Client
from temporalio.service import RPCError, RPCStatusCode

from activities.machines.vm_models import HoldHost, HostLeft
from domain.errors import FactoryError
from domain.model import Value

_CALL_SECONDS = 8.0
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_log = logging.getLogger(__name__)


class FencedVms(Protocol):
    """What the lease is about."""

    async def obey(self, hold: HoldHost) -> int:
        """Remove VMs that were given up while the host did not answer; answers how many."""
        ...

    async def fence(self) -> int:
        """End all VMs; answers how many ran."""
        ...

    def hold_until(self, moment: float) -> None:
        """Start nothing after that moment (`time.monotonic`)."""
        ...


class LeaseTimes(Value):
    """How often the lease is to be acknowledged, and after how much silence the VMs are ended, in seconds.

    The fleet's own limit for a silent host is 45 s: beyond `fence` and the time it takes to end them.
    """

    beat: float = 5.0
    retry: float = 1.0
    fence: float = 30.0


class _Kept(Value):
    """What is written down. `acknowledged` is in `time.monotonic` of this `boot` of the host."""

    task_token: str
    acknowledged: float
    boot: str


class _LeaseGoneError(Exception):
    """The server knows the lease no more, or wants it no more."""


class HostLease:
    """Keeps the lease until cancelled. `announce` tells the fleet that this host is there; it may fail."""

    def __init__(
        self,
        file: Path,
        client: Client,
        vms: FencedVms,
        announce: Callable[[], Awaitable[None]],
        times: LeaseTimes | None = None,
    ) -> None:
        self._file = file
        self._client = client
        self._vms = vms
        self._announce = announce
        self._times = times or LeaseTimes()
        self._token = b""
        self._acknowledged = time.monotonic()
        self._fenced = False
        self._due: HoldHost | None = None
        self._wake = asyncio.Event()

    @activity.defn
    async def hold_host(self, request: HoldHost) -> HostLeft:
        """Take the lease over; the keeper goes on with it when this call is over."""
        self._token, self._due = activity.info().task_token, request
        self._note_acknowledged(time.monotonic())
        self._wake.set()
        activity.raise_complete_async()

    async def keep(self) -> None:
        """Keep the lease until cancelled."""
        self._take_up()
        obeying = asyncio.create_task(self._keep_obeying())
        try:
            while True:
                await self._pause(await self._turn())
        finally:
            obeying.cancel()
            await asyncio.wait((obeying,))

    async def leave(self, reason: str) -> None:
        """Give the lease back for good, after the VMs are ended.

        Raises:
            Fault: `hypervisor.…` when they cannot be ended.
            RPCError: the fleet cannot be told; it will find out by itself.

        """
        await self._vms.fence()
        token, self._token = self._token, b""
        self._file.unlink(missing_ok=True)
        if token:
            handle = self._client.get_async_activity_handle(task_token=token)
            await handle.complete(HostLeft(reason=reason))

    async def _turn(self) -> float:
        """Fence if it is time to, and have the lease acknowledged; answers how long to wait for the next turn."""
        if not await self._fence_if_due():
            return self._times.retry
        try:
            async with asyncio.timeout(_CALL_SECONDS):
                await self._beat()
        except _LeaseGoneError as error:
            _log.warning("the host's lease is gone: %s", error)
            self._token = b""
            self._write()
            return 0.0
        except (FactoryError, RPCError, OSError, RuntimeError) as error:
            _log.warning("the host's lease was not acknowledged: %s", error or "no answer")
            return self._times.retry
        return self._times.beat

    def _take_up(self) -> None:
        """Go on with the lease of an earlier worker, from when that was last acknowledged."""
        if not self._token:
            with contextlib.suppress(OSError, ValidationError, ValueError):
                kept = _Kept.model_validate_json(self._file.read_bytes())
                self._token = bytes.fromhex(kept.task_token)
                self._acknowledged = kept.acknowledged if kept.boot == _boot() else 0.0
        self._vms.hold_until(self._acknowledged + self._times.fence)

    async def _fence_if_due(self) -> bool:
        """End the VMs if nothing was acknowledged for too long; answers whether that is done or not due."""
        if self._fenced or time.monotonic() - self._acknowledged <= self._times.fence:
            return True
        try:
            ended = await self._vms.fence()
        except FactoryError as error:
            _log.warning("the host's lease has lapsed, and its VMs could not be ended: %s", error)
            return False
        _log.warning("the host's lease has lapsed: ended %d VMs", ended)
        self._fenced = True
        return True

    async def _keep_obeying(self) -> None:
        """Do what a new lease begins with; apart from the heartbeats, because it may take long."""
        while True:
            due = self._due
            if due is not None:
                try:
                    removed = await self._vms.obey(due)
                except FactoryError as error:
                    _log.warning("VMs that were given up could not be removed yet: %s", error)
                else:
                    _log.info("holding the host's lease; removed %d VMs that were given up", removed)
                    if self._due is due:
                        self._due = None
            await asyncio.sleep(self._times.retry)

    async def _beat(self) -> None:
        """Have the lease acknowledged, or ask for one."""
        token = self._token
        if not token:
            await self._announce()
            return
        sent = time.monotonic()
        handle = self._client.get_async_activity_handle(task_token=token)
        try:
            await handle.heartbeat()
        except AsyncActivityCancelledError:
            with contextlib.suppress(RPCError):
                await handle.report_cancellation()
            if self._token == token:
                raise _LeaseGoneError("the fleet wants it no more") from None
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise
            if self._token == token:
                raise _LeaseGoneError("the server does not know it") from error
        else:
            # Counted from the question: the answer may have been under way for long.
            self._note_acknowledged(sent)

    def _note_acknowledged(self, moment: float) -> None:
        """Note that the lease holds. On a full disk this worker's own memory is enough to go on holding it.

        A worker that follows then finds an older time, and ends the VMs sooner than it would have had to.
        """
        self._acknowledged = moment
        self._fenced = False
        try:
            self._vms.hold_until(moment + self._times.fence)
            self._write()
        except OSError as error:
            _log.warning("the host's lease could not be written down: %s", error)

    def _write(self) -> None:
        kept = _Kept(task_token=self._token.hex(), acknowledged=self._acknowledged, boot=_boot())
        self._file.parent.mkdir(parents=True, exist_ok=True)
        new = self._file.with_suffix(".new")
        new.write_text(kept.model_dump_json(), encoding="utf-8")
        new.replace(self._file)

    async def _pause(self, seconds: float) -> None:
        """Wait, but not if a new lease has come."""
        self._wake.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._wake.wait()


def _boot() -> str:
    return _BOOT_ID.read_text(encoding="ascii").strip()
