"""Which parts of the factory answer. Tells nothing about any organization."""

import asyncio
from collections.abc import Awaitable

from domain.errors import FactoryError
from domain.views import FactoryHealth, PartHealth
from service.factory import Factory

_DEADLINE_SECONDS = 2.0
_PROBE = "blobs/0"


async def check_health(factory: Factory) -> FactoryHealth:
    """Ask every part at once, at most two seconds."""
    parts = await asyncio.gather(
        _ask("workflow engine", factory.workflows.ping()),
        _ask("database", factory.reads.ping()),
        _ask("object store", factory.objects.stat(_PROBE)),
    )
    return FactoryHealth(ok=all(part.ok for part in parts), version=factory.version, parts=tuple(parts))


async def _ask(name: str, question: Awaitable[object]) -> PartHealth:
    try:
        async with asyncio.timeout(_DEADLINE_SECONDS):
            await question
    except TimeoutError:
        return PartHealth(name=name, ok=False, note="does not answer in time")
    except FactoryError:
        # The error's own words may name addresses; this page is public.
        return PartHealth(name=name, ok=False, note="does not answer")
    return PartHealth(name=name, ok=True)
