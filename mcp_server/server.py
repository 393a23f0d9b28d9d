"""The MCP server: its tools, and which of them a caller sees."""

from typing import Any

from mcp.server.caching import CacheHint
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.tools import Tool

from domain.errors import Verdict
from mcp_server.callers import CallerOf, caller_of_request
from mcp_server.denials import note_denial
from mcp_server.face import tools_of
from mcp_server.instructions import INSTRUCTIONS
from mcp_server.tools.builds import BuildTools
from mcp_server.tools.identity import IdentityTools
from mcp_server.tools.images import ImageTools
from mcp_server.tools.recipes import RecipeTools
from mcp_server.tools.suites import SuiteTools
from mcp_server.tools.tests import TestTools
from mcp_server.tools.vms import VmTools
from service.factory import Factory
from service.permissions import allowed

_LIST_MILLISECONDS = 60_000


def build_tools(factory: Factory, caller_of: CallerOf) -> list[Tool]:
    """Make every tool, in the order in which clients list them."""
    owners = (
        IdentityTools(factory, caller_of),
        RecipeTools(factory, caller_of),
        BuildTools(factory, caller_of),
        ImageTools(factory, caller_of),
        VmTools(factory, caller_of),
        TestTools(factory, caller_of),
        SuiteTools(factory, caller_of),
    )
    return [tool for owner in owners for tool in tools_of(owner)]


def build_server(factory: Factory, caller_of: CallerOf = caller_of_request) -> MCPServer[Any]:
    """Make the server. It opens nothing: the factory's parts are open already and stay so."""

    async def only_allowed(ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
        """Leave out of the list what the caller may not use; the service refuses the call itself, which is counted."""
        result = await call_next(ctx)
        if ctx.method == "tools/call":
            note_denial(factory, caller_of, ctx, result)
        if ctx.method != "tools/list" or not isinstance(result, dict):
            return result
        try:
            caller = caller_of(Context(request_context=ctx))
        except Verdict:
            return {**result, "tools": []}
        return {**result, "tools": [tool for tool in result["tools"] if allowed(caller, tool["name"])]}

    return MCPServer(
        "openfactory",
        title="OpenFactory",
        version=factory.version,
        instructions=INSTRUCTIONS,
        tools=build_tools(factory, caller_of),
        middleware=[only_allowed],
        cache_hints={"tools/list": CacheHint(_LIST_MILLISECONDS, "private")},
        subscriptions=False,
        log_level="WARNING",
    )
