"""From a request to its caller."""

from collections.abc import Callable
from typing import Any

from mcp.server.mcpserver import Context
from starlette.types import Scope

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
    return caller_of_scope(request.scope if request is not None else {})


def caller_of_scope(scope: Scope) -> Caller:
    """Return the caller of an HTTP request; as `caller_of_request`."""
    caller = scope.get(SCOPE_KEY)
    if not isinstance(caller, Caller):
        raise Verdict.because("auth.required", "This call carries no identity.", next="Send an API key as Bearer.")
    return caller
