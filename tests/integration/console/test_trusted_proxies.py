"""The gateway behind a proxy: limits count the client that a trusted one names, and nobody else is believed."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from ipaddress import ip_network

import aiohttp
import pytest
from aiohttp import web

from console.app import build_app
from service.admission.guests import PER_NETWORK
from tests.fakes.factory import World
from tests.ports import free_ports

pytestmark = pytest.mark.integration

CLIENT, OTHER = "192.0.2.7", "192.0.2.8"
PROXY, STRANGER = "127.0.0.1", "127.7.7.7"


@dataclass
class Edge:
    """The gateway over a fake factory, and what reaches the MCP server behind it."""

    world: World
    url: str
    passed_on: list[str]

    async def asked(self, method: str, path: str, forwarded: str, *, peer: str = PROXY) -> int:
        """Send one request from an address of this machine and return its status."""
        connector = aiohttp.TCPConnector(local_addr=(peer, 0))
        headers = {"X-Forwarded-For": forwarded, "Authorization": "Bearer wrong"}
        async with (
            aiohttp.ClientSession(self.url, connector=connector) as http,
            http.request(method, path, headers=headers) as answer,
        ):
            return answer.status


@pytest.fixture
async def edge() -> AsyncGenerator[Edge]:
    world, passed_on = World(), list[str]()
    mcp_port, port = free_ports(2)

    async def note(request: web.Request) -> web.Response:
        passed_on.extend(request.headers.getall("X-Forwarded-For"))
        return web.Response()

    behind = web.Application()
    behind.router.add_route("*", "/mcp-stream/mcp", note)
    front = build_app(world.factory, f"http://127.0.0.1:{mcp_port}", (ip_network(PROXY),))
    runners = [web.AppRunner(app, access_log=None) for app in (behind, front)]
    for runner, place in zip(runners, (mcp_port, port), strict=True):
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", place).start()
    yield Edge(world, f"http://127.0.0.1:{port}", passed_on)
    for runner in reversed(runners):
        await runner.cleanup()


async def test_clients_behind_a_trusted_proxy_have_limits_of_their_own(edge: Edge) -> None:
    mints = [await edge.asked("POST", "/guest", f"{OTHER}, {CLIENT}") for _ in range(PER_NETWORK + 1)]
    assert mints == [*[200] * PER_NETWORK, 429]
    assert await edge.asked("POST", "/guest", OTHER) == 200
    assert await edge.asked("GET", "/jobs", CLIENT) == 401
    assert {denial.network for denial in edge.world.denials.counted} == {CLIENT}
    await edge.asked("POST", "/mcp-stream/mcp", f"{OTHER}, {CLIENT}:4711")
    assert edge.passed_on == [CLIENT]


async def test_nobody_else_can_ask_in_anothers_name(edge: Edge) -> None:
    for _ in range(PER_NETWORK):
        assert await edge.asked("POST", "/guest", CLIENT, peer=STRANGER) == 200
    assert await edge.asked("POST", "/guest", OTHER, peer=STRANGER) == 429
    assert {guest.network for guest in edge.world.guests.guests.values()} == {STRANGER}
    assert await edge.asked("GET", "/jobs", CLIENT, peer=STRANGER) == 401
    assert {denial.network for denial in edge.world.denials.counted} == {STRANGER}
    await edge.asked("POST", "/mcp-stream/mcp", CLIENT, peer=STRANGER)
    assert edge.passed_on == [STRANGER]
