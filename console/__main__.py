"""Runs the edge on OPENFACTORY_BIND and OPENFACTORY_PORT: `python -m console`."""

import asyncio
import signal
import sys

from aiohttp import web

from console.app import build_app
from domain.errors import Verdict
from service.running import run_face
from service.wiring import Settings, open_factory

_DRAIN_SECONDS = 3.0


async def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT; running answers get three seconds to end.

    Raises:
        Verdict: `settings.invalid` without the MCP server's address, `port.taken` if the port is.

    """
    if settings.mcp_url is None:
        raise Verdict.because(
            "settings.invalid",
            "OPENFACTORY_MCP_URL is not set",
            path="OPENFACTORY_MCP_URL",
            next="Start the stack with ./openfactory up, which sets it.",
        )
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with open_factory(settings) as factory:
        runner = web.AppRunner(
            build_app(factory, settings.mcp_url.rstrip("/"), settings.trusted_proxies),
            access_log=None,  # paths hold download tokens
            handler_cancellation=True,
            shutdown_timeout=_DRAIN_SECONDS,
        )
        await runner.setup()
        try:
            await _listen(runner, settings)
            await stopped.wait()
        finally:
            await runner.cleanup()


async def _listen(runner: web.AppRunner, settings: Settings) -> None:
    try:
        await web.TCPSite(runner, settings.bind, settings.port).start()
    except OSError as error:
        raise Verdict.because(
            "port.taken",
            f"Cannot listen on {settings.bind}:{settings.port}: {error.strerror or error}",
            path="OPENFACTORY_PORT",
            next="Stop the program that uses the port, or set OPENFACTORY_PORT to another one.",
        ) from error


if __name__ == "__main__":
    sys.exit(run_face("gateway", serve))
