"""What a caller sees of tools, prompts and resources. It is no enforcement: the service refuses the call itself."""

from typing import Any

from mcp.server.context import CallNext, HandlerResult, ServerMiddleware, ServerRequestContext
from mcp.server.mcpserver import Context

from domain.caller import Caller, Permission
from domain.errors import Verdict
from mcp_server.callers import CallerOf
from mcp_server.denials import note_denial
from mcp_server.problems import protocol_error
from mcp_server.prompts import offered, refuse_hidden
from mcp_server.resources import Resources
from service.factory import Factory
from service.permissions import allowed

Request = ServerRequestContext[Any, Any]
_TITLED = "2025-06-18"


def for_caller(factory: Factory, caller_of: CallerOf, resources: Resources) -> ServerMiddleware[Any]:
    """Make the middleware that leaves out what the caller may not use, and adds what is the caller's own."""

    async def seen(ctx: Request, call_next: CallNext) -> HandlerResult:
        if ctx.method == "prompts/get":
            try:
                refuse_hidden(_caller(caller_of, ctx), (ctx.params or {}).get("name"))
            except Verdict as refusal:
                raise protocol_error(refusal, ctx.protocol_version) from None
        result = await call_next(ctx)
        if ctx.method == "tools/call":
            note_denial(factory, caller_of, ctx, result)
        if not isinstance(result, dict):
            return result
        caller = _caller(caller_of, ctx)
        if ctx.method == "tools/list":
            shown = [tool for tool in result["tools"] if caller and allowed(caller, tool["name"])]
            return {**result, "tools": shown if ctx.protocol_version < _TITLED else [_once(tool) for tool in shown]}
        if ctx.method == "prompts/list":
            return {**result, "prompts": [p for p in result["prompts"] if caller and offered(caller, p["name"])]}
        reads = caller is not None and Permission.READ in caller.permissions
        if ctx.method == "resources/list" and reads:
            return {**result, "resources": await resources.listed(Context(request_context=ctx))}
        if ctx.method == "resources/templates/list" and not reads:
            return {**result, "resourceTemplates": []}
        return result

    return seen


def _once(tool: dict[str, Any]) -> dict[str, Any]:
    """Leave out the second title, which is for clients of before there was the first."""
    return {**tool, "annotations": {k: v for k, v in tool.get("annotations", {}).items() if k != "title"}}


def _caller(caller_of: CallerOf, ctx: Request) -> Caller | None:
    try:
        return caller_of(Context(request_context=ctx))
    except Verdict:
        return None
