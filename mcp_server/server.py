"""The MCP server: its tools, resources, prompts, completions and tasks."""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any, Final

from mcp.server.caching import CacheHint
from mcp.server.lowlevel.helper_types import ReadResourceContents
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ResourceNotFoundError
from mcp.server.mcpserver.tools import Tool
from mcp.types import CallToolResult, CompleteRequestParams, InputRequiredResult
from pydantic import AnyUrl

from domain.errors import Problem, Verdict
from mcp_server.callers import CallerOf, caller_of_request
from mcp_server.completions import Completer
from mcp_server.face import failure, tools_of
from mcp_server.instructions import INSTRUCTIONS
from mcp_server.listing import for_caller
from mcp_server.problems import protocol_error
from mcp_server.prompts import add_prompts
from mcp_server.resources import Resources
from mcp_server.tasks import Tasks
from mcp_server.tools.builds import BuildTools
from mcp_server.tools.identity import IdentityTools
from mcp_server.tools.images import ImageTools
from mcp_server.tools.rebuilds import RebuildTools
from mcp_server.tools.recipes import RecipeTools
from mcp_server.tools.suites import SuiteTools
from mcp_server.tools.tests import TestTools
from mcp_server.tools.vms import VmTools
from service.factory import Factory

_LIST_MILLISECONDS = 60_000
_CACHED: Final = ("tools/list", "prompts/list", "resources/templates/list")


def build_tools(factory: Factory, caller_of: CallerOf) -> list[Tool]:
    """Make every tool, in the order in which clients list them."""
    owners = (
        IdentityTools(factory, caller_of),
        RecipeTools(factory, caller_of),
        BuildTools(factory, caller_of),
        RebuildTools(factory, caller_of),
        ImageTools(factory, caller_of),
        VmTools(factory, caller_of),
        TestTools(factory, caller_of),
        SuiteTools(factory, caller_of),
    )
    return [tool for owner in owners for tool in tools_of(owner)]


def build_server(factory: Factory, caller_of: CallerOf = caller_of_request) -> MCPServer[Any]:
    """Make the server. It opens nothing: the factory's parts are open already and stay so."""
    resources = Resources(factory, caller_of)
    server = FactoryServer(
        "openfactory",
        title="OpenFactory",
        version=factory.version,
        instructions=INSTRUCTIONS,
        tools=build_tools(factory, caller_of),
        extensions=[Tasks(factory, caller_of)],
        middleware=[for_caller(factory, caller_of, resources)],
        cache_hints={method: CacheHint(_LIST_MILLISECONDS, "private") for method in _CACHED},
        subscriptions=False,
        log_level="WARNING",
    )
    resources.add_to(server)
    add_prompts(server)
    server.answer_completions(Completer(factory, caller_of, server.is_template))
    return server


class FactoryServer(MCPServer[Any]):
    """The SDK's server with completions that know who asks, and a way out for who names what is not there."""

    def answer_completions(self, handler: Completer) -> None:
        """Have `completion/complete` answered."""
        self._lowlevel_server.add_request_handler("completion/complete", CompleteRequestParams, handler)

    def is_template(self, uri: str) -> bool:
        """Tell whether this is one of our resource templates, or a URI of its form."""
        templates = self._resource_manager.list_templates()
        return any(template.parsed_template.match(uri) is not None for template in templates)

    async def call_tool(
        self, name: str, arguments: dict[str, Any], context: Context[Any, Any] | None = None
    ) -> CallToolResult | InputRequiredResult:
        """Call a tool; a name that is none is answered as a tool answers what it refuses."""
        known = [tool.name for tool in self._tool_manager.list_tools()]
        if name in known:
            return await super().call_tool(name, arguments, context)
        unknown = Problem(
            code="tool.not_found",
            message="There is no tool of this name.",
            path="name",
            value=name[:64],
            suggestions=tuple(get_close_matches(name[:64], known, n=3)),
            next="Call tools/list for the tools that there are.",
        )
        return failure((unknown,))

    async def read_resource(
        self, uri: AnyUrl | str, context: Context[Any, Any] | None = None
    ) -> Iterable[ReadResourceContents] | InputRequiredResult:
        """Read a resource.

        Raises:
            MCPError: `resource.not_found` for a URI that is none of ours, and what its reader refuses.

        """
        try:
            return await super().read_resource(uri, context)
        except ResourceNotFoundError:
            refusal = Verdict.because(
                "resource.not_found",
                "There is no resource of this form.",
                path="uri",
                value=str(uri)[:64],
                next="Call resources/templates/list for the forms that there are.",
            )
            raise protocol_error(refusal, context and context.protocol_version, resource=True) from None
