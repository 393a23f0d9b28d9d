"""A build as a person sees it: followed while it runs, and reported when it rests."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console

from cli.client.session import Tools


async def follow_build(
    session: Tools, build_id: str, console: Console, *, json_mode: bool = False, after_version: int = 0
) -> dict[str, Any]:
    """Show a build's progress until it rests, and return its last view (`domain.views.BuildView`)."""
    raise NotImplementedError


def render_report(view: Mapping[str, Any], console: Console) -> None:
    """Print the report of a build that rests."""
    raise NotImplementedError
