"""What all consoles have in common: they end with the first of their two directions, or when their time is up."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from domain.console import ConsoleEnd


async def until_first(*directions: Coroutine[Any, Any, ConsoleEnd | None], limit: float) -> ConsoleEnd | None:
    """Run the directions until one ends, at most `limit` seconds, and end the others.

    Answers why, or nothing if the browser went away.
    """
    tasks = [asyncio.create_task(each) for each in directions]
    try:
        done, _ = await asyncio.wait(tasks, timeout=max(limit, 0.0), return_when=asyncio.FIRST_COMPLETED)
        return next((task.result() for task in tasks if task in done), ConsoleEnd.TIME_UP)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
