"""How a face of the factory runs as a process."""

import asyncio
import logging
import sys
from collections.abc import Awaitable, Callable

from domain.errors import FactoryError
from infra.settings import Settings, load
from infra.telemetry import configure_logging


def run_face(name: str, serve: Callable[[Settings], Awaitable[None]]) -> int:
    """Serve until stopped and answer the exit status; a refusal is told in words on standard error."""
    configure_logging(name, level=logging.WARNING)

    async def main() -> None:
        await serve(load())

    try:
        asyncio.run(main())
    except FactoryError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0
