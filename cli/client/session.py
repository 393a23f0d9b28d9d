"""The MCP client behind every command."""

import json
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Any, Final, Self, cast

import httpx2
from mcp import Client, MCPError
from mcp.client.streamable_http import streamable_http_client
from mcp.types import CallToolRequest, CallToolRequestParams, CallToolResult, Implementation, TextContent
from pydantic import TypeAdapter, ValidationError

from cli.client.failures import ClientFailure, KeyRefused, ToolFailed, Unreachable
from cli.client.target import Target, read_target
from domain.errors import Problem

_PROTOCOL: Final = "2026-07-28"  # stateless: a call is one request, so a restarted factory loses nothing
_CONNECT_SECONDS: Final = 10.0
_ANSWER_SECONDS: Final = 60.0  # tools wait at most 25 s, and a validation may load a package index
_PROBLEMS: Final = TypeAdapter(tuple[Problem, ...])


class FactorySession:
    """Calls the tools of one factory over Streamable HTTP.

    Each call stands alone on a shared pool of connections, so a session outlives restarts of the
    factory: the call during one fails with `Unreachable`, the next one works.
    """

    def __init__(self, target: Target) -> None:
        self.target: Final = target
        self._stack = AsyncExitStack()
        self._http: httpx2.AsyncClient | None = None

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None) -> Self:
        """Make a session for the factory that the environment names; see `read_target`."""
        return cls(read_target(environ))

    async def __aenter__(self) -> Self:
        """Open the pool; connects to nothing yet."""
        client = httpx2.AsyncClient(
            headers={"Authorization": f"Bearer {self.target.key.get_secret_value()}"},
            timeout=httpx2.Timeout(_ANSWER_SECONDS, connect=_CONNECT_SECONDS),
            event_hooks={"response": [self._check_status]},
            trust_env=False,  # a proxy of the environment must not see the key of a local factory
        )
        self._http = await self._stack.enter_async_context(client)
        return self

    async def __aexit__(self, *exc: object) -> None:
        """Close the pool."""
        self._http = None
        await self._stack.aclose()

    async def call(self, tool: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Call `tool` and return its structured answer. Arguments that are None are left out.

        Raises:
            ToolFailed: the factory says why it did not do it.
            Unreachable: nothing answers (exit 69).
            KeyRefused: the key is not accepted (exit 77).

        """
        given = {name: value for name, value in arguments.items() if value is not None}
        try:
            result = await self._send(tool, given)
        except ClientFailure:
            raise
        except MCPError as error:
            raise ToolFailed((_protocol_problem(tool, str(error)),)) from error
        except (httpx2.HTTPError, OSError) as error:
            raise self._unreachable(str(error) or type(error).__name__) from error
        except BaseExceptionGroup as group:
            raise self._translated(tool, group) from group
        if result.is_error:
            raise ToolFailed(_problems_of(tool, result))
        return result.structured_content or {}

    async def _send(self, tool: str, arguments: dict[str, Any]) -> CallToolResult:
        if self._http is None:
            raise RuntimeError("a FactorySession is used inside `async with`")
        transport = streamable_http_client(self.target.mcp_url, http_client=self._http)
        info = Implementation(name="openfactory-cli", version="1")
        async with Client(transport, mode=_PROTOCOL, cache=None, client_info=info) as client:
            # Not `call_tool`: that lists all tools for each new client to check a schema that the
            # views of this program check anyway.
            request = CallToolRequest(params=CallToolRequestParams(name=tool, arguments=arguments))
            return await client.session.send_request(request, CallToolResult, _ANSWER_SECONDS)

    async def _check_status(self, response: httpx2.Response) -> None:
        if response.status_code in {401, 403}:
            raise KeyRefused(
                Problem(
                    code="auth.key_refused",
                    message=f"The factory at {self.target.url} does not accept this API key.",
                    path="OPENFACTORY_API_KEY",
                    next="Set OPENFACTORY_API_KEY to a valid key, or unset it to use the key of the local stack.",
                )
            )
        if response.status_code in {502, 503, 504}:
            raise self._unreachable(f"it answers {response.status_code}, a part of it is starting or down")
        if response.status_code == 404:  # noqa: PLR2004 - RFC 9110, 15.5.5
            raise self._unreachable("something else answers there (404)")
        if response.is_error and (
            problems := _parse_problems(_json((await response.aread()).decode(errors="replace")))
        ):
            # The door's own words: too many requests, or a name that the factory is not known by.
            raise Unreachable(*problems) if problems[0].retryable else ToolFailed(problems)

    def _unreachable(self, reason: str) -> Unreachable:
        return Unreachable(
            Problem(
                code="factory.unreachable",
                message=f"The factory at {self.target.url} does not answer: {reason}.",
                retryable=True,
                next="Start it with ./openfactory up, or set OPENFACTORY_URL to one that runs.",
            )
        )

    def _translated(self, tool: str, group: BaseExceptionGroup[BaseException]) -> BaseException:
        """Choose what to tell of a failed call: the SDK reports transport faults as groups."""
        leaves = _leaves(group)
        for kind in (ClientFailure, KeyboardInterrupt, SystemExit):
            found = next((e for e in leaves if isinstance(e, kind)), None)
            if found is not None:
                return found
        refusal = next((e for e in leaves if isinstance(e, MCPError)), None)
        if refusal is not None:
            return ToolFailed((_protocol_problem(tool, str(refusal)),))
        network = next((e for e in leaves if isinstance(e, httpx2.HTTPError | OSError)), None)
        return group if network is None else self._unreachable(str(network) or type(network).__name__)


def _leaves(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    found: list[BaseException] = []
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            found += _leaves(cast("BaseExceptionGroup[BaseException]", error))
        else:
            found.append(error)
    return found


def _problems_of(tool: str, result: CallToolResult) -> Sequence[Problem]:
    """Read the problems from the structured content, else from text that is JSON, else as plain text."""
    text = "\n".join(c.text for c in result.content if isinstance(c, TextContent))
    for candidate in (result.structured_content, _json(text)):
        problems = _parse_problems(candidate)
        if problems:
            return problems
    return (Problem(code="tool.failed", message=text or f"{tool} failed without saying why."),)


def _json(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return None


def _parse_problems(content: object) -> tuple[Problem, ...]:
    if not isinstance(content, dict):
        return ()
    content = cast("dict[str, Any]", content)
    listed = content.get("problems", [content])
    try:
        return _PROBLEMS.validate_python(listed, extra="ignore")
    except ValidationError:
        return ()


def _protocol_problem(tool: str, message: str) -> Problem:
    return Problem(
        code="tool.refused",
        message=f"The factory refused the call of {tool}: {message}",
        next="Check that this command line and the factory are of the same version: openfactory whoami.",
    )
