"""A tool as clients see it: strict arguments, structured answers, and errors one can act on."""

import base64
import logging
import uuid
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from functools import cache
from typing import Any, TypeVar, cast

from mcp.server.mcpserver import Context
from mcp.server.mcpserver.tools import Tool
from mcp.types import CallToolResult, ContentBlock, ImageContent, TextContent, ToolAnnotations
from pydantic import BaseModel, SerializeAsAny, ValidationError

from domain.budget import REPLY_BYTES, size_of, that_fit
from domain.errors import FactoryError, Problem, Verdict
from domain.model import Value
from mcp_server.arguments import strange
from mcp_server.budget import cut_text, reply_bytes
from mcp_server.json_schema import always_there, plain_schema
from mcp_server.links import OLDEST_WITH_LINKS, links_of
from mcp_server.progress import telling
from mcp_server.render import view_text
from mcp_server.render_words import problems_text

_log = logging.getLogger(__name__)
_Method = TypeVar("_Method", bound=Callable[..., Any])
_FACE = "__openfactory_face__"
_MOST_PROBLEMS, _PROBLEM_BYTES = 20, 5_000  # told twice, and the first of them once more
_WITH_DATA = "2025-06-18"  # the first version whose clients know structured answers

# What destroys and what may be repeated is asked only of tools that change something.
READ = ToolAnnotations(read_only_hint=True, open_world_hint=False)
# A create that is repeated with its request_key changes nothing; without one it is a new build, which is the default.
START = ToolAnnotations(read_only_hint=False, destructive_hint=False, open_world_hint=False)
RESUME = ToolAnnotations(read_only_hint=False, destructive_hint=False, idempotent_hint=True, open_world_hint=False)
END = ToolAnnotations(read_only_hint=False, destructive_hint=True, idempotent_hint=True, open_world_hint=False)


class Pictured(Value):
    """An answer with a picture (PNG) beside it. Clients see the view as data and the picture as content."""

    view: SerializeAsAny[Value]
    png: bytes


def face(
    title: str, annotations: ToolAnnotations, *, answer: type[BaseModel] | None = None
) -> Callable[[_Method], _Method]:
    """Mark a method as a tool. Its name, signature and docstring are the tool's; `answer` is what `Pictured` shows."""

    def mark(method: _Method) -> _Method:
        setattr(method, _FACE, (title, annotations.model_copy(update={"title": title}), answer))
        return method

    return mark


def tools_of(owner: object) -> list[Tool]:
    """Make a tool of each marked method of `owner`, in the order in which they are written."""
    return [tool.model_copy(update={"fn": getattr(owner, tool.name)}) for tool in _faces_of(type(owner))]


@cache
def _faces_of(owners: type[object]) -> tuple[Tool, ...]:
    """Describe each marked method once: reading its signature and making its schemas is slow, and always the same."""
    blank = object.__new__(owners)  # only signatures are read of it
    found: list[Tool] = []
    for name, member in vars(owners).items():
        marked = getattr(member, _FACE, None)
        if marked is None:
            continue
        title, annotations, answer = marked
        tool = FactoryTool.from_function(
            getattr(blank, name),
            name=name,
            title=title,
            description=_paragraphs(member.__doc__ or ""),
            annotations=annotations,
            structured_output=True,
        )
        tool.parameters = {**plain_schema(tool.parameters), "additionalProperties": False}
        answered = answer.model_json_schema(mode="serialization") if answer else tool.fn_metadata.output_schema
        tool.fn_metadata.output_schema = always_there(answered or {})
        found.append(tool)
    return tuple(found)


class FactoryTool(Tool):
    """Refuses what the SDK ignores, and answers an error as problems instead of as a sentence."""

    async def run(self, arguments: dict[str, Any], context: Context[Any, Any], convert_result: bool = False) -> Any:  # noqa: ANN401, ARG002, FBT001, FBT002 - the SDK's signature
        """Call the tool; every outcome is a `CallToolResult`, nothing is raised but cancellation."""
        given = {name: value for name, value in arguments.items() if value is not None}
        try:
            validated = self._validated(given)
            async with telling(context, self.title or self.name) as ctx:
                view = cast("Value", await self.fn(**validated, **{self.context_kwarg or "ctx": ctx}))
            answer = _answer(view, reply_bytes(given), context.protocol_version or "")
        except FactoryError as error:
            return failure(error.problems)
        except Exception:  # noqa: BLE001 - the last frame that can say it to the caller; it is logged whole
            incident = uuid.uuid4().hex[:12]
            _log.exception("tool %s failed, incident %s", self.name, incident)
            return failure((_incident(self.name, incident),))
        return answer

    def _validated(self, given: dict[str, Any]) -> dict[str, Any]:
        """Turn what was given into what the method takes.

        Raises:
            Verdict: `argument.unknown`, `argument.missing` or `argument.invalid`.

        """
        problems = self._unknown(given) or strange(self.name, given)
        if problems:
            raise Verdict(*problems)
        try:
            # Not the SDK's `validate_arguments`: it decodes text that looks like JSON, but a recipe's
            # text is for our own reader, which also sees keys that come twice.
            validated = self.fn_metadata.arg_model.model_validate(given).model_dump_one_level()
        except ValidationError as error:
            raise Verdict(*_argument_problems(self.name, error)) from None
        problems = strange(self.name, validated)  # text may have become a number that is none
        if problems:
            raise Verdict(*problems)
        return validated

    def _unknown(self, arguments: Mapping[str, object]) -> tuple[Problem, ...]:
        known: list[str] = list(self.parameters.get("properties", {}))
        return tuple(
            Problem(
                code="argument.unknown",
                message=f"{self.name} has no argument of this name.",
                path=name[:64] or '""',
                suggestions=tuple(get_close_matches(name[:64], known, n=2) or known),
                next=f"Call {self.name} again with its own arguments only.",
            )
            for name in list(arguments)[:10]
            if name not in known
        )


def _answer(view: Value, most_bytes: int, version: str) -> CallToolResult:
    answer = success(view, most_bytes, with_data=version >= _WITH_DATA)
    links = links_of(view) if version >= OLDEST_WITH_LINKS else []
    return answer.model_copy(update={"content": [*answer.content, *links]})


def success(answer: BaseModel, most_bytes: int = REPLY_BYTES, *, with_data: bool = True) -> CallToolResult:
    """Answer with the view, as data and as text that can stand alone, and with the picture if there is one.

    Together they have at most so many bytes, if the data leaves some; a client that knows no data is told more.
    """
    view = answer.view if isinstance(answer, Pictured) else answer
    left = most_bytes - size_of(view) if with_data else most_bytes
    content: list[ContentBlock] = [TextContent(type="text", text=cut_text(view_text(view), left))]
    if isinstance(answer, Pictured):
        picture = base64.b64encode(answer.png).decode()
        content.append(ImageContent(type="image", data=picture, mime_type="image/png"))
    data = view.model_dump(mode="json", by_alias=True, exclude_none=True)
    return CallToolResult(content=content, structured_content=data)


def failure(problems: tuple[Problem, ...]) -> CallToolResult:
    """Answer with what is wrong; the first problem's fields stand at the top for simple clients."""
    shown = that_fit(problems[:_MOST_PROBLEMS], _PROBLEM_BYTES)
    rest = len(problems) - len(shown)
    more = f"\n… and {rest} more problems; mend these first." if rest else ""
    listed = [problem.model_dump(mode="json", exclude_none=True) for problem in shown]
    return CallToolResult(
        content=[TextContent(type="text", text=cut_text(problems_text(shown), _PROBLEM_BYTES) + more)],
        structured_content={**listed[0], "problems": listed},
        is_error=True,
    )


def _argument_problems(tool: str, error: ValidationError) -> tuple[Problem, ...]:
    """Say each wrong argument once: a value of several possible types is not wrong once for each of them."""
    found = [_argument_problem(tool, detail) for detail in error.errors(include_url=False)]
    return tuple({(problem.code, problem.path): problem for problem in reversed(found)}.values())


def _argument_problem(tool: str, detail: Any) -> Problem:  # noqa: ANN401 - pydantic's error details, a typed dict of its core
    place = ".".join(str(part) for part in detail["loc"][:1])
    missing = detail["type"] == "missing"
    return Problem(
        code="argument.missing" if missing else "argument.invalid",
        message=f"{tool} needs the argument {place}." if missing else f"{place}: {detail['msg']}.",
        path=place,
        value=None if missing else repr(detail.get("input"))[:80],
        next=f"Look at the input schema of {tool} and call it again.",
    )


def _incident(tool: str, incident: str) -> Problem:
    return Problem(
        code="factory.internal",
        message=f"{tool} failed because of a fault in the factory (incident {incident}).",
        retryable=True,
        next="Try again once; if it stays, give the incident number to whoever runs this factory.",
    )


def _paragraphs(docstring: str) -> str:
    """Unfold a docstring's lines: clients wrap text themselves."""
    paragraphs = "\n".join(line.strip() for line in docstring.strip().splitlines()).split("\n\n")
    return "\n\n".join(paragraph.replace("\n", " ") for paragraph in paragraphs)
