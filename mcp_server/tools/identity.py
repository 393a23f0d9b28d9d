"""Who is asking."""

from typing import Any

from mcp.server.mcpserver import Context

from domain.views import WhoAmI
from mcp_server.callers import CallerOf
from mcp_server.face import READ, face
from service import identity
from service.factory import Factory


class IdentityTools:
    """Tools about the caller."""

    def __init__(self, factory: Factory, caller_of: CallerOf) -> None:
        self._factory = factory
        self._caller_of = caller_of

    @face("Who am I", READ)
    async def whoami(self, ctx: Context[Any, Any]) -> WhoAmI:
        """Show who this key belongs to: organization, plan, permissions, and the factory's version."""
        return await identity.whoami(self._factory, self._caller_of(ctx))
