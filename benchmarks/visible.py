"""From `create_build` to a build that can be seen, against a workflow that does the least it can."""

import asyncio
import contextlib
import sys
import time
from uuid import uuid4

import psycopg
from temporalio.client import Client

from benchmarks.builds import recipe
from benchmarks.measure import Line, median_ratio
from benchmarks.one_insert import QUEUE, OneInsert
from benchmarks.vm_pages import variable
from cli.client.session import FactorySession
from tests.e2e.stack import ROOT, Stack, until_ended

_ROUNDS = 20
_READY_SECONDS = 60.0


async def create_build(stack: Stack, session: FactorySession) -> list[Line]:
    """Measure pairs; each build is cancelled as soon as it was seen, and at its end before the next."""
    url = variable(stack.home, "projector", "DATABASE_URL")
    with psycopg.connect(url, autocommit=True) as owner:
        owner.execute("CREATE TABLE IF NOT EXISTS event_log.bench (id text PRIMARY KEY)")
    state = stack.state()
    if state is None:
        raise RuntimeError("the factory does not run")
    client = await Client.connect(state.addresses.temporal)
    worker = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.one_insert", state.addresses.temporal, url), cwd=ROOT
    )
    try:
        async with asyncio.timeout(_READY_SECONDS):
            await _reference(client)
        pairs = [(await _ours(session), await _reference(client)) for _ in range(_ROUNDS)]
    finally:
        with contextlib.suppress(ProcessLookupError):
            worker.terminate()
        await worker.wait()
    what = "create_build until visible, against a workflow with one insert, waited for"
    return [median_ratio(what, pairs[2:], "≤ 1.2", "ours through gateway and MCP server")]


async def _ours(session: FactorySession) -> float:
    began = time.perf_counter()
    view = await session.call("create_build", {"recipe": recipe("visible"), "request_key": str(uuid4())})
    seconds = time.perf_counter() - began
    if not view["visible"]:
        raise RuntimeError("it was accepted, but not seen")
    await session.call("cancel_build", {"build_id": view["build_id"]})
    await until_ended(session, view["build_id"], deadline=120)
    return seconds


async def _reference(client: Client) -> float:
    began = time.perf_counter()
    key = str(uuid4())
    await client.execute_workflow(OneInsert.run, key, id=f"bench-{key}", task_queue=QUEUE)
    return time.perf_counter() - began
