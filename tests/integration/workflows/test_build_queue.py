"""Builds that wait for their turn, on a real Temporal server, with a host of fakes."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from domain.errors import Fault
from tests.integration.workflows.conftest import Build, Factory
from workflows.build import BuildWorkflow
from workflows.client import FactoryClient
from workflows.commands import CancelCommand
from workflows.connect import connected
from workflows.slot_models import QueuePlace

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="session")]

_PATIENCE = 60
REPLACING = {"concurrency_key": "main", "on_conflict": "cancel_running"}


async def places(factory: Factory, org_id: str = "org") -> tuple[QueuePlace, ...]:
    try:
        return await FactoryClient(connected(factory.client)).build_queue(org_id)
    except Fault:  # it has not begun, or not again
        return ()


async def until_waiting(factory: Factory, *build_ids: str, org_id: str = "org") -> tuple[QueuePlace, ...]:
    """Return once exactly these builds of an organization wait, in this order."""
    async with asyncio.timeout(_PATIENCE):
        while True:
            found = await places(factory, org_id)
            if [place.build_id for place in found] == list(build_ids):
                return found
            await asyncio.sleep(0.05)


async def started(factory: Factory, *build_ids: str) -> None:
    for build_id in build_ids:
        await asyncio.wait_for(factory.recording.reached(build_id, "building"), _PATIENCE)


async def status(handle: Build) -> str:
    return (await asyncio.wait_for(handle.result(), _PATIENCE)).status


async def test_builds_over_the_limit_wait_in_order_and_all_complete(factory: Factory) -> None:
    factory.host.hold = "resolve_recipe"
    async with factory.running(slots=1):
        handles = [await factory.start("order-0")]
        await started(factory, "order-0")
        for n in (1, 2):
            handles.append(await factory.start(f"order-{n}"))
            await until_waiting(factory, *(f"order-{k}" for k in range(1, n + 1)))
        waiting = await places(factory)
        assert [place.position for place in waiting] == [1, 2]
        assert all(place.starts_at is not None for place in waiting)
        assert factory.recording.state("order-2").status == "pending"
        factory.host.hold = ""
        assert [await status(handle) for handle in handles] == ["completed"] * 3
        assert await places(factory) == ()


async def test_cancelling_a_queued_build_needs_nobody_else(factory: Factory) -> None:
    factory.host.hold = "resolve_recipe"
    async with factory.running(slots=1):
        await factory.start("busy")
        await started(factory, "busy")
        queued = await factory.start("queued")
        await until_waiting(factory, "queued")
        await queued.signal(BuildWorkflow.cancel, CancelCommand(requested_by="me", reason="changed my mind"))
        assert await status(queued) == "cancelled"
        assert await places(factory) == ()
        assert factory.recording.names("queued") == ["build.requested.v1", "build.cancelled.v1"]


async def test_a_newer_build_supersedes_the_one_of_its_key_that_runs(factory: Factory) -> None:
    factory.host.hold = "resolve_recipe"
    async with factory.running():
        old = await factory.start("old", wishes=REPLACING)
        await started(factory, "old")
        newer = await factory.start("new", wishes=REPLACING)
        assert await status(old) == "cancelled"
        factory.host.hold = ""
        assert await status(newer) == "completed"
    assert factory.recording.state("old").cancel_reason == "superseded by build new"


async def test_workers_that_die_cost_nobody_the_place_in_the_queue(factory: Factory) -> None:
    factory.host.hold = "resolve_recipe"
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(AsyncExitStack())
        await first.enter_async_context(factory.workers())
        await factory.begin_fleet()
        stack.push_async_callback(factory.end)
        await factory.host_up(1)
        handles = [await factory.start("kept-0")]
        await started(factory, "kept-0")
        for n in (1, 2, 3):
            handles.append(await factory.start(f"kept-{n}"))
            await until_waiting(factory, *(f"kept-{k}" for k in range(1, n + 1)))
        await first.aclose()
        factory.host.hold = ""
        await stack.enter_async_context(factory.workers())
        await factory.host_up(1)
        assert [await status(handle) for handle in handles] == ["completed"] * 4
    began = [factory.recording.streams[f"kept-{n}"][1].at for n in range(4)]
    assert began == sorted(began)


async def test_the_slot_of_a_build_that_was_terminated_goes_to_the_next(factory: Factory) -> None:
    factory.host.hold = "resolve_recipe"
    async with factory.running(slots=1):
        gone = await factory.start("gone")
        await started(factory, "gone")
        await gone.terminate("by hand")
        factory.host.hold = ""
        assert await status(await factory.start("next")) == "completed"


async def test_a_flood_of_one_organization_does_not_starve_another(factory: Factory) -> None:
    factory.host.hold = "resolve_recipe"
    async with factory.running(slots=1):
        handles = [await factory.start("flood-0", org_id="a")]
        await started(factory, "flood-0")
        for n in range(1, 4):
            handles.append(await factory.start(f"flood-{n}", org_id="a"))
            await until_waiting(factory, *(f"flood-{k}" for k in range(1, n + 1)), org_id="a")
        other = await factory.start("other", org_id="b")
        (place,) = await until_waiting(factory, "other", org_id="b")
        assert place.position == 1
        factory.host.hold = ""
        assert await status(other) == "completed"
        ended = [n for n in range(4) if factory.recording.state(f"flood-{n}").status == "completed"]
        assert len(ended) < len(handles)
