"""An MCP client in memory, connected to a server over the fake factory."""

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest
from mcp import Client

from domain.caller import Caller
from domain.errors import Verdict
from mcp_server.server import build_server
from service.admission.credentials import OPERATOR
from tests.fakes.factory import World

Connect = Callable[..., AbstractAsyncContextManager[Client]]


@pytest.fixture
def world() -> World:
    """Return a factory in memory."""
    return World()


@pytest.fixture
def connect(world: World) -> Connect:
    """Return a function that connects as a caller (the operator unless told otherwise)."""

    @asynccontextmanager
    async def connected(caller: Caller | None = OPERATOR, mode: str = "2026-07-28") -> AsyncGenerator[Client]:
        def caller_of(_: object) -> Caller:
            if caller is None:
                raise Verdict.because("auth.required", "This call carries no identity.")
            return caller

        async with Client(build_server(world.factory, caller_of), mode=mode) as client:
            yield client

    return connected
