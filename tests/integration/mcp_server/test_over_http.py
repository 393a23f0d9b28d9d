"""The MCP tools over HTTP, through the gateway, on a real database and a real workflow engine."""

import asyncio
import json
import signal
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any
from uuid import uuid4

import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from domain.build.events import BuildFailed, StepStarted
from domain.errors import Problem
from event_store.log import EventLog
from tests.integration.event_store.builders import START, append, requested
from tests.integration.front_stack import FrontStack

pytestmark = pytest.mark.integration

MODES = ("2026-07-28", "legacy")
Connect = Callable[..., AbstractAsyncContextManager[Client]]


@pytest.fixture
def connect(front_stack: FrontStack) -> Connect:
    @asynccontextmanager
    async def connected(mode: str = "2026-07-28") -> AsyncGenerator[Client]:
        headers = {"Authorization": f"Bearer {front_stack.secrets.operator_key()}"}
        timeout = httpx2.Timeout(40)
        async with httpx2.AsyncClient(headers=headers, timeout=timeout, trust_env=False) as http:
            transport = streamable_http_client(f"{front_stack.url}/mcp-stream/mcp", http_client=http)
            async with Client(transport, mode=mode) as client:
                yield client

    return connected


async def call(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    result = await client.call_tool(tool, arguments)
    assert result.is_error is not True, result
    assert result.structured_content is not None
    return result.structured_content


@pytest.mark.parametrize("mode", MODES)
async def test_a_build_is_accepted_once_and_never_unknown(connect: Connect, mode: str) -> None:
    key = str(uuid4())
    async with connect(mode) as client:
        assert (await call(client, "whoami"))["subject"] == "operator"
        first = await call(client, "create_build", recipe="minimal-bookworm", request_key=key)
        again = await call(client, "create_build", recipe="minimal-bookworm", request_key=key)
        assert (first["build_id"], first["replayed"]) == (again["build_id"], False)
        assert again["replayed"] is True
        # No worker runs, so nothing can be seen yet; the id is known all the same.
        status = await call(client, "get_build_status", build_id=first["build_id"])
        assert (status["visible"], status["status"]) == (False, "pending")
        other = await client.call_tool("create_build", {"recipe": "minimal-trixie", "request_key": key})
    assert other.is_error is True
    assert other.structured_content is not None
    assert other.structured_content["code"] == "request_key.reused"


@pytest.mark.parametrize("mode", MODES)
async def test_who_waits_is_woken_by_the_event_and_told_progress(
    connect: Connect, front_stack: FrontStack, mode: str
) -> None:
    build = uuid4()
    told: list[str | None] = []
    waiting = asyncio.Event()

    async def note(progress: float, total: float | None, message: str | None) -> None:
        told.append(message)
        waiting.set()

    with EventLog(front_stack.database.owner_url) as log:
        append(log, requested(build, org="local"))
        async with connect(mode) as client:
            await front_stack.shown(build, 1)
            arguments = {"build_id": str(build), "wait_s": 25}
            waiter = asyncio.create_task(client.call_tool("get_build_status", arguments, progress_callback=note))
            await waiting.wait()
            event = StepStarted(build_id=str(build), org_id="local", at=START, step="resolve", generation=0)
            await asyncio.to_thread(append, log, event)
            result = await waiter
    assert result.structured_content is not None
    assert (result.structured_content["version"], result.structured_content["status"]) == (2, "building")


async def test_a_failure_is_shown_listed_and_foreign_to_others(connect: Connect, front_stack: FrontStack) -> None:
    ours, theirs = uuid4(), uuid4()
    problem = Problem(code="boot.no_agent", message="the guest agent never answered")
    with EventLog(front_stack.database.owner_url) as log:
        for build, org in ((ours, "local"), (theirs, "other")):
            failure = BuildFailed(
                build_id=str(build),
                org_id=org,
                at=START,
                step="boot",
                generation=0,
                kind="verdict",
                problems=(problem,),
                retry_until=START,
            )
            append(log, requested(build, org=org, name="listed"), failure)
    await front_stack.shown(ours, 2)
    async with connect() as client:
        status = await call(client, "get_build_status", build_id=str(ours))
        assert status["failure"]["problems"][0]["code"] == "boot.no_agent"
        listed = await call(client, "list_builds", name="listed")
        assert [b["build_id"] for b in listed["builds"]] == [str(ours)]
        foreign = await client.call_tool("get_build_status", {"build_id": str(theirs)})
        assert foreign.structured_content is not None
        assert foreign.structured_content["code"] == "build.not_found"


@pytest.mark.parametrize("header", [None, "Bearer", "Bearer wrong", "Basic b3A6eA==", "bearer x"])
async def test_without_the_key_nothing_answers(front_stack: FrontStack, header: str | None) -> None:
    headers = {} if header is None else {"Authorization": header}
    async with httpx2.AsyncClient(trust_env=False) as http:
        answer = await http.post(f"{front_stack.url}/mcp-stream/mcp", headers=headers, json={})
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith('Bearer realm="openfactory"')
    assert answer.json()["next"]


@pytest.mark.parametrize(
    ("name", "value", "status"),
    [("Host", "evil.example", 421), ("Origin", "https://evil.example", 403), ("Origin", "null", 403)],
)
@pytest.mark.parametrize("port", ["gateway_port", "mcp_port"])
async def test_foreign_names_and_pages_are_refused_at_both_doors(
    front_stack: FrontStack, port: str, name: str, value: str, status: int
) -> None:
    assert await pinged(front_stack, port, {name: value}) == status


@pytest.mark.parametrize(("name", "value"), [("Host", "LocalHost:8080"), ("Origin", "HTTP://LocalHost:8080")])
@pytest.mark.parametrize("port", ["gateway_port", "mcp_port"])
async def test_both_doors_know_the_same_names(front_stack: FrontStack, port: str, name: str, value: str) -> None:
    assert await pinged(front_stack, port, {name: value}) == 200


async def pinged(stack: FrontStack, port: str, names: dict[str, str]) -> int:
    """Ping one door with these headers; answers the HTTP status."""
    headers = {
        "Authorization": f"Bearer {stack.secrets.operator_key()}",
        "Accept": "application/json, text/event-stream",
        **names,
    }
    body = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
    async with httpx2.AsyncClient(trust_env=False) as http:
        address = f"http://127.0.0.1:{getattr(stack, port)}/mcp-stream/mcp"
        answer = await http.post(address, headers=headers, json=body)
    return answer.status_code


async def test_while_the_server_is_down_the_answer_is_503_and_then_all_goes_on(
    connect: Connect, front_stack: FrontStack
) -> None:
    async with connect("legacy") as client:
        await call(client, "whoami")
        front_stack.stop("mcp_server", signal.SIGKILL)
        async with httpx2.AsyncClient(trust_env=False) as http:
            answer = await http.post(f"{front_stack.url}/mcp-stream/mcp", json={})
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
        assert answer.json()["retryable"] is True
        front_stack.start("mcp_server")
        assert (await call(client, "whoami"))["subject"] == "operator"


async def test_the_server_stops_when_told_to(front_stack: FrontStack) -> None:
    assert front_stack.stop("mcp_server") == 0
    front_stack.start("mcp_server")


def test_the_key_is_in_no_log(front_stack: FrontStack) -> None:
    key = front_stack.secrets.operator_key()
    for path in front_stack.home.glob("*.log"):
        assert key not in path.read_text(), path
        assert json.dumps(key) not in path.read_text()
