"""Serves an ASGI application on the loopback for as long as a test needs it."""

import asyncio
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import uvicorn


@asynccontextmanager
async def serving(app: Any) -> AsyncGenerator[str]:
    """Serve `app`; yields its address."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        runner = uvicorn.Server(uvicorn.Config(app, log_level="critical", ws="none"))
        task = asyncio.create_task(runner.serve(sockets=[listening]))
        async with asyncio.timeout(10):
            while not runner.started:  # noqa: ASYNC110 - the server has a flag to look at, and no event
                await asyncio.sleep(0.01)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        runner.should_exit = True
        await task
