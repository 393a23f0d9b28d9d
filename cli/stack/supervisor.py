"""Keeps the parts of the stack running: starts them in order, starts the dead again, stops them backwards."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from cli.stack.child import Child
from cli.stack.forked import socket_path
from cli.stack.lasting import Complaint
from cli.stack.logfile import RotatingLog, last_lines
from cli.stack.part import Part
from cli.stack.probes import wait_until_ready
from cli.stack.restarts import Deaths, RestartPolicy
from cli.stack.state import Condition, PartState
from domain.errors import Fault

_TOTAL_STOP_SECONDS = 16.0

OnChange = Callable[[PartState], None]


class _Unit:
    """A part and what has become of it."""

    def __init__(self, part: Part, log: Path, policy: RestartPolicy) -> None:
        self.part = part
        self.log = log
        self.child: Child | None = None
        self.ready = asyncio.Event()
        self.stopped = asyncio.Event()
        self.was_ready = False
        self.deaths = Deaths(policy, time.monotonic())
        self.keeper: asyncio.Task[None] | None = None


class Supervisor:
    """Runs `parts` until it is told to stop.

    `logs` is the folder of their logs, `run` that of the sockets on which they say that they are ready.
    `on_change` hears of each change of a part's condition, in the order in which they happen.
    """

    def __init__(
        self,
        parts: Sequence[Part],
        *,
        logs: Path,
        run: Path,
        on_change: OnChange,
        policy: RestartPolicy | None = None,
    ) -> None:
        self._run = run
        self._on_change = on_change
        self._units = {p.name: _Unit(p, logs / f"{p.name}.log", policy or RestartPolicy()) for p in parts}
        for part in parts:
            unknown = {*part.after, *part.uses} - set(self._units)
            if unknown:
                raise ValueError(f"{part.name} comes after parts that do not exist: {sorted(unknown)}")
        self.all_ready = asyncio.Event()

    async def run(self, stop: asyncio.Event) -> None:
        """Keep everything running until `stop` is set, then stop it.

        Raises:
            Fault: `stack.part_failed` when a part does not come up at all; the others are stopped by then.

        """
        for unit in self._units.values():
            self._tell(unit, "waiting")
        keepers = [asyncio.create_task(self._keep(unit), name=name) for name, unit in self._units.items()]
        for unit, keeper in zip(self._units.values(), keepers, strict=True):
            unit.keeper = keeper
        watcher = asyncio.create_task(self._watch_ready())
        stopping = asyncio.create_task(_wait(stop))
        pending = {*keepers, stopping}
        try:
            while stopping in pending and pending:
                done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
        finally:
            for task in (*keepers, watcher, stopping):
                task.cancel()
            await asyncio.gather(*keepers, watcher, stopping, return_exceptions=True)
            await self._stop_all()

    def kill(self) -> None:
        """End every part at once, for somebody who asks a second time."""
        for unit in self._units.values():
            if unit.child is not None:
                unit.child.kill()

    async def _watch_ready(self) -> None:
        for unit in self._units.values():
            await unit.ready.wait()
        self.all_ready.set()

    async def _keep(self, unit: _Unit) -> None:
        for name in unit.part.after:
            await self._units[name].ready.wait()
        note: str | None = None
        while True:
            self._tell(unit, "starting", note)
            complaint = Complaint(unit.part.lasting_error)
            child = await self._start(unit, complaint)
            problem = await self._until_ready(unit, child)
            if problem is None:
                unit.was_ready = True
                unit.ready.set()
                self._tell(unit, "done" if unit.part.once else "ready")
                if unit.part.once:
                    return
                problem = await _until_over(unit.part, child, complaint)
            unit.ready.clear()
            note = await self._mourn(unit, problem)

    async def _start(self, unit: _Unit, complaint: Complaint) -> Child:
        notify = self._run / f"{unit.part.name}.notify" if unit.part.notifies else None
        try:
            child = await Child.start(
                unit.part.argv,
                unit.part.env,
                RotatingLog(unit.log),
                notify,
                complaint,
                socket_path(self._run) if unit.part.forked else None,
            )
        except OSError as error:
            raise Fault.because(
                "stack.cannot_start", f"{unit.part.name} could not be started: {error}", next="Run: openfactory doctor"
            ) from error
        unit.child = child
        unit.deaths.started(time.monotonic())
        self._tell(unit, "starting")
        return child

    async def _until_ready(self, unit: _Unit, child: Child) -> str | None:
        """Wait until the part is ready, and return nothing, or what became of it instead."""
        ready = asyncio.create_task(wait_until_ready(unit.part.probes, child))
        ended = asyncio.create_task(child.wait())
        try:
            await asyncio.wait({ready, ended}, timeout=unit.part.ready_seconds, return_when=asyncio.FIRST_COMPLETED)
            if ended.done():
                return None if unit.part.once and ended.result() == 0 else _describe(ended.result())
            if ready.done():
                ready.result()
                return None
        finally:
            for task in (ready, ended):
                task.cancel()
            await asyncio.gather(ready, ended, return_exceptions=True)
        await child.stop(unit.part.stop_signal, unit.part.stop_seconds)
        return f"was not ready within {unit.part.ready_seconds:.0f} s"

    async def _mourn(self, unit: _Unit, problem: str) -> str:
        """Wait before the next start, or give the part up if it has never been ready."""
        now = time.monotonic()
        pause = unit.deaths.died(now)
        if not unit.was_ready and unit.deaths.hopeless(now):
            said = "; ".join(last_lines(unit.log, 3)) or "nothing"
            raise Fault.because(
                "stack.part_failed",
                f"{unit.part.name} does not come up: it {problem}, {unit.deaths.count} times. Its last words: {said}",
                next=f"Read {unit.log}, or run: openfactory doctor",
            )
        note = f"it {problem}; see {unit.log}"
        self._tell(unit, "restarting", note)
        await asyncio.sleep(pause)
        return note

    async def _stop_all(self) -> None:
        try:
            async with asyncio.timeout(_TOTAL_STOP_SECONDS), asyncio.TaskGroup() as group:
                for unit in self._units.values():
                    group.create_task(self._stop(unit))
        except TimeoutError:
            self.kill()
            for unit in self._units.values():
                if unit.child is not None:
                    await unit.child.wait()

    async def _stop(self, unit: _Unit) -> None:
        for other in self._units.values():
            if unit.part.name in (*other.part.after, *other.part.uses):
                await other.stopped.wait()
        if unit.child is not None and unit.child.running:
            self._tell(unit, "stopping")
            by_itself = await unit.child.stop(unit.part.stop_signal, unit.part.stop_seconds)
            self._tell(unit, "stopped", None if by_itself else "killed, it did not stop in time")
        elif unit.child is not None:
            await unit.child.wait()
            self._tell(unit, "stopped")
        for path in unit.part.leaves:
            path.unlink(missing_ok=True)
        unit.stopped.set()

    def _tell(self, unit: _Unit, condition: Condition, note: str | None = None) -> None:
        running = unit.child is not None and unit.child.running and condition not in {"stopped", "waiting"}
        state = PartState(
            name=unit.part.name,
            condition=condition,
            pid=unit.child.pid if unit.child is not None and running else None,
            restarts=unit.deaths.count,
            since=datetime.now(UTC),
            log=str(unit.log),
            note=note,
        )
        # A full disk must not take the stack down with it.
        with contextlib.suppress(OSError):
            self._on_change(state)


async def _until_over(part: Part, child: Child, complaint: Complaint) -> str:
    """Wait for the end of a part that was ready, or end it when it is stuck; say why it is over."""
    ended = asyncio.create_task(child.wait())
    stuck = asyncio.create_task(complaint.outlasts_its_cause())
    try:
        await asyncio.wait({ended, stuck}, return_when=asyncio.FIRST_COMPLETED)
        if ended.done():
            return _describe(ended.result())
        stuck.result()
    finally:
        for task in (ended, stuck):
            task.cancel()
        await asyncio.gather(ended, stuck, return_exceptions=True)
    await child.stop(part.stop_signal, part.stop_seconds)
    return "was started anew, its disk having been full and having room again"


async def _wait(event: asyncio.Event) -> None:
    await event.wait()


def _describe(status: int) -> str:
    return f"was ended by signal {-status}" if status < 0 else f"ended with status {status}"
