"""Runs the MCP server on the loopback address of OPENFACTORY_MCP_URL: `python -m mcp_server`."""

import asyncio
import signal
import sys
from collections.abc import Generator
from contextlib import contextmanager
from urllib.parse import urlsplit

import uvicorn

from domain.errors import Verdict
from mcp_server.app import build_app
from service.running import run_face
from service.wiring import Settings, open_factory

_DRAIN_SECONDS = 3


class _Server(uvicorn.Server):
    """Ends by itself at a signal; the library's own way raises it again, before the factory is closed."""

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        """Drain and stop at SIGTERM and SIGINT, for as long as the server runs."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        yield


async def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT; running calls get three seconds to end.

    Raises:
        Verdict: `settings.invalid` without a usable address.

    """
    host, port = _address(settings.mcp_url)
    async with open_factory(settings) as factory:
        config = uvicorn.Config(
            build_app(factory),
            host=host,
            port=port,
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            ws="none",
            timeout_graceful_shutdown=_DRAIN_SECONDS,
        )
        await _Server(config).serve()


def _address(url: str | None) -> tuple[str, int]:
    parts = urlsplit(url or "")
    if parts.scheme != "http" or not parts.hostname or not parts.port:
        raise Verdict.because(
            "settings.invalid",
            "OPENFACTORY_MCP_URL must look like http://127.0.0.1:<port>",
            path="OPENFACTORY_MCP_URL",
            value=url,
            next="Start the stack with ./openfactory up, which sets it.",
        )
    return parts.hostname, parts.port


if __name__ == "__main__":
    sys.exit(run_face("mcp-server", serve))
