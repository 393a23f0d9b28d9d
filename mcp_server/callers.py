"""From a tool call to its caller."""

from collections.abc import Callable
from typing import Any

from mcp.server.mcpserver import Context

from domain.caller import Caller
from domain.errors import Verdict

SCOPE_KEY = "openfactory.caller"
CallerOf = Callable[[Context[Any, Any]], Caller]


def caller_of_request(ctx: Context[Any, Any]) -> Caller:
    """Return the caller whom the HTTP middleware authenticated for this very request.

    Raises:
        Verdict: `auth.required`; the middleware lets no such request through, so this is a second lock.

    """
    request = ctx.request_context.request
    caller = request.scope.get(SCOPE_KEY) if request is not None else None
    if not isinstance(caller, Caller):
        raise Verdict.because("auth.required", "This call carries no identity.", next="Send an API key as Bearer.")
    return caller
