"""Counts what callers were refused: what they may not do, and what they have spent."""

from typing import Any, Final, cast

from mcp.server.context import HandlerResult, ServerRequestContext
from mcp.server.mcpserver import Context

from domain.errors import Verdict
from mcp_server.callers import CallerOf
from service.admission.denials import Denial
from service.factory import Factory

_CODES: Final = frozenset(
    {"permission.denied", "rate.limited", "build.quota", "recipe.quota", "vm.quota", "vm.over_plan", "snapshot.quota"}
)
_LONGEST_NAME: Final = 64


def note_denial(
    factory: Factory, caller_of: CallerOf, ctx: ServerRequestContext[Any, Any], result: HandlerResult
) -> None:
    """Count the answer of a tool if it is a denial."""
    if not isinstance(result, dict) or not result.get("isError"):
        return
    code = cast("dict[str, Any]", result.get("structuredContent") or {}).get("code")
    if code not in _CODES:
        return
    try:
        caller = caller_of(Context(request_context=ctx))
    except Verdict:
        return
    tool = str((ctx.params or {}).get("name"))[:_LONGEST_NAME]
    factory.denials.note(Denial(str(code), tool, caller.org_id, caller.subject))
