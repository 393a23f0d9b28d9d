"""Completions of what people type into prompts and resource templates."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from mcp.server.context import ServerRequestContext
from mcp.server.mcpserver import Context
from mcp.types import CompleteRequestParams, CompleteResult, Completion, PromptReference

from domain.caller import Caller
from domain.errors import FactoryError, Verdict
from mcp_server.callers import CallerOf
from mcp_server.problems import protocol_error
from mcp_server.prompts import refuse_hidden
from service.completions import Completed, complete
from service.factory import Factory

# Where a `name` is a recipe's: a template, and a prompt.
_RECIPE_NAMES = frozenset({"recipe://{name}", "console_of_latest_build"})
# What an argument is a name of, whatever prompt or template it belongs to.
_MEANINGS: Mapping[str, Completed] = MappingProxyType(
    {
        "recipe": "recipe",
        "base_image": "base_image",
        "build_id": "build",
        "step": "step",
        "run_id": "test_run",
    }
)


class Completer:
    """Answers `completion/complete` for the caller of the request."""

    def __init__(self, factory: Factory, caller_of: CallerOf, is_template: Callable[[str], bool]) -> None:
        self._factory = factory
        self._caller_of = caller_of
        self._is_template = is_template

    async def __call__(self, ctx: ServerRequestContext[Any, Any], params: CompleteRequestParams) -> CompleteResult:
        """Answer one request; an argument without a known meaning has no completions.

        Raises:
            MCPError: there is no such prompt for this caller or no such template, or what the service refuses.

        """
        meant = _meant(params)
        try:
            caller = self._caller_of(Context(request_context=ctx))
            self._refuse_unknown(caller, params)
            if meant is None:
                return CompleteResult(completion=Completion(values=[]))
            found = await complete(self._factory, caller, meant, params.argument.value)
        except FactoryError as error:
            raise protocol_error(error, ctx.protocol_version) from error
        values = list(found.values)
        total = None if found.more else len(values)
        return CompleteResult(completion=Completion(values=values, total=total, has_more=found.more))

    def _refuse_unknown(self, caller: Caller, params: CompleteRequestParams) -> None:
        ref = params.ref
        if isinstance(ref, PromptReference):
            refuse_hidden(caller, ref.name)
        elif not self._is_template(ref.uri):
            raise Verdict.because(
                "resource.not_found",
                "There is no resource template of this form.",
                path="ref.uri",
                value=ref.uri[:64],
                next="Call resources/templates/list for the forms that there are.",
            )


def _meant(params: CompleteRequestParams) -> Completed | None:
    ref = params.ref
    named = ref.name if isinstance(ref, PromptReference) else ref.uri
    if named in _RECIPE_NAMES and params.argument.name == "name":
        return "recipe"
    return _MEANINGS.get(params.argument.name)
