"""The host's own lease: when its VMs may run, and when they are ended."""

import asyncio
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
from temporalio.client import AsyncActivityCancelledError, AsyncActivityHandle, Client
from temporalio.service import RPCError, RPCStatusCode
from temporalio.testing import ActivityEnvironment

from activities.machines.host_lease import HostLease, LeaseTimes
from activities.machines.vm_models import HeldVm, HoldHost
from domain.errors import Fault

pytestmark = pytest.mark.integration
TIMES = LeaseTimes(beat=0.01, retry=0.01, fence=0.2)
HOLD = HoldHost(host="h", floor=7, vms=(HeldVm(vm_id="v", token=9),))


class Vms:
    """What the lease is about; fails as often as told."""

    def __init__(self) -> None:
        self.fenced = 0
        self.obeyed: list[HoldHost] = []
        self.until = 0.0
        self.failures = 0

    async def obey(self, hold: HoldHost) -> int:
        self._fail()
        self.obeyed.append(hold)
        return 0

    async def fence(self) -> int:
        self._fail()
        self.fenced += 1
        return 2

    def hold_until(self, moment: float) -> None:
        self.until = moment

    def _fail(self) -> None:
        if self.failures > 0:
            self.failures -= 1
            raise Fault.because("hypervisor.unavailable", "libvirt is away")


class Server:
    """The server's side of asynchronous activities. `answer` raises what the server would."""

    def __init__(self) -> None:
        self.beats: list[bytes] = []
        self.answer: Callable[[bytes], None] = lambda _token: None

    def get_async_activity_handle(self, *, task_token: bytes) -> AsyncActivityHandle:
        return cast("AsyncActivityHandle", _Handle(self, task_token))


class _Handle:
    def __init__(self, server: Server, token: bytes) -> None:
        self._server = server
        self._token = token

    async def heartbeat(self) -> None:
        self._server.answer(self._token)
        self._server.beats.append(self._token)

    async def report_cancellation(self) -> None:
        return


class Case:
    """A keeper, and what it said."""

    def __init__(self, folder: Path) -> None:
        self.vms = Vms()
        self.server = Server()
        self.announced = 0
        self.file = folder / "run" / "host-lease.json"
        self.lease = self.new()

    def new(self) -> HostLease:
        return HostLease(self.file, cast("Client", self.server), self.vms, self._announce, TIMES)

    async def _announce(self) -> None:
        self.announced += 1

    async def hold(self, hold: HoldHost = HOLD) -> None:
        """What the server's call of the activity does."""
        environment = ActivityEnvironment()
        await asyncio.gather(environment.run(self.lease.hold_host, hold), return_exceptions=True)

    async def until(self, true: Callable[[], Any]) -> None:
        async with asyncio.timeout(5):
            while not true():  # noqa: ASYNC110 - what is waited for has no event
                await asyncio.sleep(0.005)


def gone(_token: bytes) -> None:
    raise RPCError("no such activity", RPCStatusCode.NOT_FOUND, b"")


def away(_token: bytes) -> None:
    raise RPCError("no route", RPCStatusCode.UNAVAILABLE, b"")


def cancelled(_token: bytes) -> None:
    raise AsyncActivityCancelledError


async def test_a_host_without_a_lease_announces_itself_until_it_gets_one(tmp_path: Path) -> None:
    case = Case(tmp_path)
    keeper = asyncio.create_task(case.lease.keep())
    await case.until(lambda: case.announced >= 2)
    await case.hold()
    announced = case.announced
    await case.until(lambda: len(case.server.beats) >= 3)
    assert case.announced <= announced + 1
    assert case.vms.obeyed == [HOLD]
    assert case.vms.fenced == 0
    assert case.vms.until > time.monotonic()
    keeper.cancel()


async def test_the_vms_are_ended_when_nothing_is_acknowledged_and_may_run_when_it_is_again(tmp_path: Path) -> None:
    case = Case(tmp_path)
    await case.hold()
    case.server.answer = away
    keeper = asyncio.create_task(case.lease.keep())
    await case.until(lambda: case.vms.fenced)
    assert case.vms.until < time.monotonic()
    case.server.answer = lambda _token: None
    await case.until(lambda: case.vms.until > time.monotonic())
    assert case.vms.fenced == 1
    keeper.cancel()


async def test_ending_the_vms_is_tried_until_it_is_done(tmp_path: Path) -> None:
    case = Case(tmp_path)
    await case.hold()
    case.vms.failures = 3
    case.server.answer = away
    keeper = asyncio.create_task(case.lease.keep())
    await case.until(lambda: case.vms.fenced)
    keeper.cancel()


async def test_a_lease_that_the_server_does_not_know_is_asked_for_anew_before_anything_is_ended(
    tmp_path: Path,
) -> None:
    """The fleet begins a new run now and then, and its leases with it."""
    for answer in (gone, cancelled):
        case = Case(tmp_path / answer.__name__)
        await case.hold()
        case.server.answer = answer
        keeper = asyncio.create_task(case.lease.keep())
        await case.until(lambda case=case: case.announced)
        case.server.answer = lambda _token: None
        await case.hold()
        await case.until(lambda case=case: case.server.beats)
        assert case.vms.fenced == 0
        keeper.cancel()


async def test_a_worker_that_follows_a_killed_one_goes_on_with_its_lease(tmp_path: Path) -> None:
    case = Case(tmp_path)
    await case.hold()
    case.lease = case.new()
    keeper = asyncio.create_task(case.lease.keep())
    await case.until(lambda: case.server.beats)
    assert case.announced == 0
    assert case.vms.fenced == 0
    keeper.cancel()


async def test_a_worker_that_was_away_for_too_long_ends_the_vms_before_it_asks_anything(tmp_path: Path) -> None:
    case = Case(tmp_path)
    await case.hold()
    kept = json.loads(case.file.read_text(encoding="utf-8"))
    case.file.write_text(json.dumps({**kept, "acknowledged": 1.0}), encoding="utf-8")
    case.lease = case.new()
    seen: list[int] = []
    case.server.answer = lambda _token: seen.append(case.vms.fenced)
    keeper = asyncio.create_task(case.lease.keep())
    await case.until(lambda: seen)
    assert seen[0] == 1
    keeper.cancel()


async def test_what_a_lease_begins_with_is_tried_until_it_is_done_while_the_heart_beats(tmp_path: Path) -> None:
    case = Case(tmp_path)
    case.vms.failures = 3
    await case.hold()
    keeper = asyncio.create_task(case.lease.keep())
    await case.until(lambda: case.vms.obeyed)
    assert case.server.beats
    keeper.cancel()
