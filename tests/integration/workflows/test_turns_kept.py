"""Whatever dies, no build keeps a turn that it does not need, and none in the queue is forgotten. Real clocks."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import timedelta

import pytest
import pytest_asyncio
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.testing import WorkflowEnvironment

from domain.errors import Verdict
from tests.integration.workflows.conftest import Build, Factory
from tests.integration.workflows.test_build_queue import places, started, status, until_waiting
from workflows import policies, slot_rules
from workflows.build import BuildWorkflow
from workflows.commands import CancelCommand, RetryCommand
from workflows.fleet import FleetWorkflow
from workflows.fleet_reading import read_fleet
from workflows.slot_models import SlotRequest

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="session")]

_PATIENCE = 60
_STEP = "resolve_recipe"


@pytest.fixture(autouse=True)
def _short_limits(monkeypatch: pytest.MonkeyPatch) -> None:  # pyright: ignore[reportUnusedFunction] - autouse
    """Lose a host after two seconds of silence, and reach for who has a turn as often."""
    monkeypatch.setattr(slot_rules, "CHECK_SECONDS", 2.0)
    monkeypatch.setattr(policies, "HOST_SILENCE", timedelta(seconds=2))
    monkeypatch.setattr(policies, "HEARTBEAT", timedelta(seconds=2))
    monkeypatch.setattr(policies, "SLOT_PICKUP", timedelta(seconds=3))
    monkeypatch.setattr(policies, "HOST_PICKUP", timedelta(seconds=3))


@pytest_asyncio.fixture(loop_scope="session")
async def queue(environment: WorkflowEnvironment) -> Factory:
    """A factory whose builds stay in their first step for as long as `hold` names it."""
    address = environment.client.service_client.config.target_host
    factory = Factory(await Client.connect(address, data_converter=pydantic_data_converter))
    factory.host.hold = _STEP
    return factory


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(_PATIENCE):
        while not await holds():  # noqa: ASYNC110 - what is waited for is in another process
            await asyncio.sleep(0.05)


async def nobody_has_a_turn(factory: Factory) -> None:
    async def free() -> bool:
        view = await read_fleet(factory.client, timedelta(seconds=5))
        return sum(host.builds for host in view.hosts) == 0 and not await places(factory)

    await until(free)


async def line(factory: Factory, count: int) -> list[Build]:
    """Start `b0`, which works, and more that wait behind it."""
    handles = [await factory.start("b0")]
    await started(factory, "b0")
    for n in range(1, count):
        handles.append(await factory.start(f"b{n}"))
        await until_waiting(factory, *(f"b{k}" for k in range(1, n + 1)))
    return handles


def order(factory: Factory, *build_ids: str) -> list[str]:
    """Tell in which order builds began their first step."""
    began = {
        b: next(e.at for e in factory.recording.streams[b] if e.NAME == "build.step_started.v1") for b in build_ids
    }
    return sorted(began, key=lambda build_id: began[build_id])


async def test_a_build_that_is_terminated_while_it_waits_leaves_the_queue(queue: Factory) -> None:
    async with queue.running(slots=1):
        handles = await line(queue, 3)
        await handles[1].terminate("by hand")
        queue.host.hold = ""
        assert [await status(handles[n]) for n in (0, 2)] == ["completed"] * 2
        await nobody_has_a_turn(queue)


async def test_a_build_that_is_terminated_at_work_gives_its_turn_to_who_waits(queue: Factory) -> None:
    async with queue.running(slots=1):
        handles = await line(queue, 2)
        await handles[0].terminate("by hand")
        queue.host.hold = ""
        later = await queue.start("b2")
        assert [await status(handle) for handle in (handles[1], later)] == ["completed"] * 2
        await nobody_has_a_turn(queue)


async def test_the_fleet_continues_as_new_and_keeps_turns_and_places(
    queue: Factory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(policies, "LONGEST_HISTORY", 30)
    async with queue.running(slots=1):
        handles = await line(queue, 5)
        first = (await queue.fleet.describe()).run_id
        for _ in range(30):
            await queue.host_up(1)

        async def anew() -> bool:
            return (await queue.fleet.describe()).run_id != first

        await until(anew)
        await until_waiting(queue, "b1", "b2", "b3", "b4")
        queue.host.hold = ""
        assert [await status(handle) for handle in handles] == ["completed"] * 5
        assert order(queue, *(f"b{n}" for n in range(5))) == [f"b{n}" for n in range(5)]
        await nobody_has_a_turn(queue)


async def test_a_fleet_that_was_ended_and_begun_anew_gives_every_place_back(
    queue: Factory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(policies, "FLEET_PATIENCE", timedelta(seconds=2))
    async with queue.running(slots=1):
        handles = await line(queue, 4)
        await queue.fleet.terminate("by hand")
        queue.host.hold = ""
        assert await status(handles[0]) == "completed"
        await queue.begin_fleet()
        await until_waiting(queue, "b1", "b2", "b3")
        await queue.host_up(1)
        assert [await status(handle) for handle in handles] == ["completed"] * 4
        assert order(queue, "b1", "b2", "b3") == ["b1", "b2", "b3"]
        await nobody_has_a_turn(queue)


async def test_a_host_that_goes_away_keeps_nobodys_turn(queue: Factory) -> None:
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(queue.core())
        await queue.begin_fleet()
        stack.push_async_callback(queue.end)
        host = await stack.enter_async_context(AsyncExitStack())
        await host.enter_async_context(queue.own())
        await queue.host_up(1)
        handles = await line(queue, 3)
        await host.aclose()

        async def without_host() -> bool:
            return {place.reason for place in await places(queue)} == {"no host is up"}

        await until(without_host)
        # The step at work is lost with its host: the build gives its turn back and parks.
        await asyncio.wait_for(queue.recording.reached("b0", "failed"), _PATIENCE)
        await until_waiting(queue, "b1", "b2")
        queue.host.hold = ""
        await stack.enter_async_context(queue.own())
        await queue.host_up(1)
        assert [await status(handle) for handle in handles[1:]] == ["completed"] * 2
        await handles[0].signal(BuildWorkflow.retry, RetryCommand())
        assert await status(handles[0]) == "completed"
        await nobody_has_a_turn(queue)


async def test_a_failed_build_waits_for_its_retry_without_a_turn(queue: Factory) -> None:
    queue.host.hold = ""
    queue.host.failures["assemble_artifacts"] = [Verdict.because("recipe.wrong", "no such package")]
    async with queue.running(slots=1):
        parked = await queue.start("b0")
        await asyncio.wait_for(queue.recording.reached("b0", "failed"), _PATIENCE)
        await nobody_has_a_turn(queue)
        assert await status(await queue.start("b1")) == "completed"
        await parked.signal(BuildWorkflow.retry, RetryCommand())
        assert await status(parked) == "completed"
        await nobody_has_a_turn(queue)


async def test_a_turn_that_comes_unasked_is_given_back(queue: Factory) -> None:
    queue.host.hold = ""
    queue.host.failures["assemble_artifacts"] = [Verdict.because("recipe.wrong", "no such package")]
    async with queue.running(slots=1):
        parked = await queue.start("b0")
        await asyncio.wait_for(queue.recording.reached("b0", "failed"), _PATIENCE)
        late = SlotRequest(build_id="b0", org_id="org", most=4, asked_at=queue.recording.state("b0").requested_at)
        await queue.fleet.signal(FleetWorkflow.reserve_build, late)
        assert await status(await queue.start("b1")) == "completed"
        await nobody_has_a_turn(queue)
        await parked.signal(BuildWorkflow.cancel, CancelCommand())
        assert await status(parked) == "cancelled"


async def test_builds_that_are_cancelled_at_any_moment_keep_nothing(queue: Factory) -> None:
    async with queue.running(slots=1):
        handles = [await queue.start(f"b{n}") for n in range(6)]
        for handle in reversed(handles):
            await handle.signal(BuildWorkflow.cancel, CancelCommand())
        assert [await status(handle) for handle in handles] == ["cancelled"] * 6
        await nobody_has_a_turn(queue)
