"""Runs a part of the factory as the laboratory wants it: `python -m tests.faults.quick.launch MODULE`.

The module is the product's own. What differs is done to it from here: what its orders say (`orders.py`), limits
that are shorter than a real factory's, and on the host the fast work of `imaging.py` and `processes.py`.
"""

import os
import runpy
import sys
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from tests.faults.quick.environment import REAL
from tests.faults.quick.orders import Doom, Orders, read_orders

_FAKETIME = "libfaketime.so.1"
HEARTBEAT = timedelta(seconds=5)


def main(module: str) -> None:
    """Run the module."""
    home, part = Path(os.environ["OPENFACTORY_HOME"]), os.environ["OPENFACTORY_PART"]
    orders = read_orders(home, part)
    _set_clock(orders)
    if orders.point or orders.note:
        _instrument(module, Doom(home, part, orders))
    if module in {"workflows.core_worker", "workflows.host_worker"} and orders.twice:
        _do_twice()
    if orders.keeping_ahead:
        _keep_ahead(timedelta(seconds=orders.keeping_ahead))
    if REAL not in os.environ and module in {"workflows.core_worker", "workflows.host_worker"}:
        _hurry()
    if REAL not in os.environ and module == "workflows.host_worker":
        _make_quick(home)
    sys.argv = [module]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def _instrument(module: str, doom: Doom) -> None:
    from tests.faults.crash_points import instrument  # noqa: PLC0415 - nothing of the product is loaded before

    hooks = instrument(doom.reached)
    del module
    import builtins  # noqa: PLC0415 - the module that runs as __main__ finds its hooks there

    builtins.__dict__["__crash_points__"] = hooks


def faketime() -> Path:
    """Find the library that gives one process a clock that is off."""
    libraries = sorted(Path("/usr/lib").glob(f"*/faketime/{_FAKETIME}"))
    if not libraries:
        raise SystemExit("the laboratory needs the package libfaketime")
    return libraries[0]


def _set_clock(orders: Orders) -> None:
    """Start again with a clock that is off, if that is ordered (faketime(1)); this process alone has it."""
    if orders.clock and "LD_PRELOAD" not in os.environ:
        clock = {
            "LD_PRELOAD": str(faketime()),
            "FAKETIME": f"{orders.clock:+d}s",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "FAKETIME_NO_CACHE": "1",
        }
        os.execve(  # noqa: S606 - this program again
            sys.executable, [sys.executable, "-m", "tests.faults.quick.launch", *sys.argv[1:]], os.environ | clock
        )


def _hurry() -> None:
    """Notice dead workers and try again sooner than a real factory does; nothing else is different."""
    from activities import session  # noqa: PLC0415 - after the instrumentation
    from workflows import policies  # noqa: PLC0415

    session.HEARTBEAT_SECONDS = 1.0
    policies.HEARTBEAT = HEARTBEAT
    policies.HEARTBEAT_THROTTLE = timedelta(seconds=0.5)
    policies.FAULTS.initial_interval = timedelta(seconds=0.5)


def _do_twice() -> None:
    """Have each activity run, and run again as if its answer had been lost."""
    from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput  # noqa: PLC0415

    from activities import failures  # noqa: PLC0415

    inner = failures.TypedFailures.intercept_activity

    class Twice(ActivityInboundInterceptor):
        async def execute_activity(self, input: ExecuteActivityInput) -> object:  # noqa: A002 - the SDK's name
            await self.next.execute_activity(input)
            return await self.next.execute_activity(input)

    def intercept(self: failures.TypedFailures, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:  # noqa: A002 - the SDK's name
        return inner(self, Twice(next))

    failures.TypedFailures.intercept_activity = intercept  # type: ignore[method-assign] # of this process alone


def _keep_ahead(by: timedelta) -> None:
    from activities import core_wiring  # noqa: PLC0415 - after the instrumentation

    made = core_wiring.CollectionActivities
    core_wiring.CollectionActivities = partial(made, now=lambda: datetime.now(UTC) + by)  # type: ignore[misc, assignment] # the same, later


def _make_quick(home: Path) -> None:
    from activities import host_wiring  # noqa: PLC0415 - after the instrumentation
    from activities.imaging import assemble, disk_space, layers  # noqa: PLC0415
    from activities.machines import host_capacity, host_limits  # noqa: PLC0415
    from tests.faults.quick import imaging, processes  # noqa: PLC0415

    mebibyte = 1 << 20
    disk_space._RESERVE_BYTES = 4 * mebibyte  # type: ignore[attr-defined] # the laboratory's disks are small
    layers._EXTRA_BYTES = mebibyte  # type: ignore[attr-defined] # as above
    host_limits.SPARE_DISK = 4
    host_capacity.available_disk = _roomy
    layers.run_stage = assemble.run_stage = imaging.quick_stage
    layers.image_sources = imaging.quick_sources
    host_wiring.AptResolver = imaging.QuickResolver  # type: ignore[misc, assignment] # the same ports
    host_wiring.GuestVerifier = imaging.QuickVerifier  # type: ignore[misc, assignment]
    host_wiring.GuestNetworks = imaging.QuickNetworks  # type: ignore[misc, assignment]
    processes.install(home)


def _roomy(_folder: Path) -> int:
    """Tell the fleet of a disk of a terabyte: machines of a few kilobytes ask for gigabytes."""
    return 1 << 20


if __name__ == "__main__":
    main(sys.argv[1])
