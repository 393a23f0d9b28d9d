"""From `create_build` to a build that can be seen, against a workflow that does the least it can."""

import asyncio
import contextlib
import sys
import time
from collections.abc import AsyncGenerator, Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiohttp
import httpx2
import psycopg
from mcp import Client as McpClient
from mcp.client.streamable_http import streamable_http_client
from temporalio.client import Client
from temporalio.testing import WorkflowEnvironment

from benchmarks.builds import recipe
from benchmarks.measure import Line, median_ratio
from benchmarks.one_insert import QUEUE, OneInsert
from benchmarks.vm_pages import variable
from cli.client.session import FactorySession
from cli.client.target import Target
from tests.e2e.stack import ROOT, Stack, until_ended

_ROUNDS = 20
_READY_SECONDS = 60.0
_REST_SECONDS = 0.5
_TOOL = "create_build"
_PROTOCOL = "2026-07-28"


async def create_build(stack: Stack, session: FactorySession) -> list[Line]:
    """Measure rounds; each build is cancelled as soon as it was seen, and at its end before the next.

    All clients are connected before, and each begins after the same rest: whoever comes right after another finds the
    engine's and the database's code in the processors' caches. The reference runs on the factory's own engine, which
    reads its queues when there is something in them, and on one that runs as it comes.
    """
    url = variable(stack.home, "projector", "DATABASE_URL")
    with psycopg.connect(url, autocommit=True) as owner:
        owner.execute("CREATE TABLE IF NOT EXISTS event_log.bench (id text PRIMARY KEY)")
    state = stack.state()
    if state is None:
        raise RuntimeError("the factory does not run")
    async with (
        _as_it_comes(stack.home / "temporal" / "stock.db") as stock,
        _inserting(state.addresses.temporal, url) as tuned_client,
        _inserting(stock, url) as stock_client,
        aiohttp.ClientSession(headers=_headers(session.target)) as http,
        _library(session.target) as library,
    ):
        rounds = [
            (
                await _posted(http, session),
                await _called(library, session),
                await _reference(tuned_client),
                await _reference(stock_client),
            )
            for _ in range(_ROUNDS)
        ][2:]
    what = "create_build until visible, against a workflow with one insert, waited for"
    return [
        median_ratio(what, [(posted, tuned) for posted, _, tuned, _ in rounds], "≤ 1.2", "as one HTTP request"),
        median_ratio(what, [(called, tuned) for _, called, tuned, _ in rounds], "≤ 1.2", "by the MCP library's client"),
        median_ratio(what, [(called, stock) for _, called, _, stock in rounds], "", "its engine runs as it comes"),
    ]


@contextlib.asynccontextmanager
async def _as_it_comes(database: Path) -> AsyncGenerator[str]:
    """Run another engine, of the same program and with a database of the same kind, and answer its address."""
    async with await WorkflowEnvironment.start_local(
        dev_server_existing_path=str(Path(sys.executable).parent / "temporal"),
        dev_server_database_filename=str(database),
        dev_server_log_level="error",
    ) as environment:
        yield environment.client.service_client.config.target_host


@contextlib.asynccontextmanager
async def _inserting(address: str, url: str) -> AsyncGenerator[Client]:
    """Have a worker of the reference there, and answer a client when it has done something."""
    client = await Client.connect(address)
    worker = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.one_insert", address, url), cwd=ROOT
    )
    try:
        async with asyncio.timeout(_READY_SECONDS):
            await _reference(client)
        yield client
    finally:
        with contextlib.suppress(ProcessLookupError):
            worker.terminate()
        await worker.wait()


@contextlib.asynccontextmanager
async def _library(target: Target) -> AsyncGenerator[McpClient]:
    """Keep the MCP library's client for all calls, as assistants do."""
    async with (
        httpx2.AsyncClient(headers=_authorization(target), trust_env=False) as http,
        McpClient(streamable_http_client(target.mcp_url, http_client=http), mode=_PROTOCOL) as client,
    ):
        yield client


async def _called(client: McpClient, session: FactorySession) -> float:
    await asyncio.sleep(_REST_SECONDS)
    began = time.perf_counter()
    result = await client.call_tool(_TOOL, _arguments())
    seconds = time.perf_counter() - began
    await _cancelled(session, result.structured_content or {})
    return seconds


async def _posted(http: aiohttp.ClientSession, session: FactorySession) -> float:
    """Do the same with the bytes that the client's library would send."""
    body = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "tools/call",
        "params": {
            "name": _TOOL,
            "arguments": _arguments(),
            "_meta": {
                "io.modelcontextprotocol/protocolVersion": _PROTOCOL,
                "io.modelcontextprotocol/clientInfo": {"name": "benchmark", "version": "1"},
                "io.modelcontextprotocol/clientCapabilities": {},
            },
        },
    }
    await asyncio.sleep(_REST_SECONDS)
    began = time.perf_counter()
    async with http.post(session.target.mcp_url, json=body) as response:
        answer = await response.json()
    seconds = time.perf_counter() - began
    await _cancelled(session, answer["result"]["structuredContent"])
    return seconds


def _arguments() -> dict[str, Any]:
    return {"recipe": recipe("visible"), "request_key": str(uuid4())}


def _authorization(target: Target) -> dict[str, str]:
    return {"Authorization": f"Bearer {target.key.get_secret_value()}"}


def _headers(target: Target) -> dict[str, str]:
    return {
        **_authorization(target),
        "Accept": "application/json, text/event-stream",
        "MCP-Protocol-Version": _PROTOCOL,
        "MCP-Method": "tools/call",
        "MCP-Name": _TOOL,
    }


async def _cancelled(session: FactorySession, view: Mapping[str, Any]) -> None:
    if not view["visible"]:
        raise RuntimeError("it was accepted, but not seen")
    await session.call("cancel_build", {"build_id": view["build_id"]})
    await until_ended(session, view["build_id"], deadline=120)


async def _reference(client: Client) -> float:
    await asyncio.sleep(_REST_SECONDS)
    began = time.perf_counter()
    key = str(uuid4())
    await client.execute_workflow(OneInsert.run, key, id=f"bench-{key}", task_queue=QUEUE)
    return time.perf_counter() - began
