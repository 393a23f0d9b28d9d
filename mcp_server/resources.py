"""Resources: recipes, builds with their log and files, test runs. Each is what the tool of the same name answers."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, TypeVar, cast, get_args

from mcp.server.mcpserver import Context, MCPServer
from pydantic import BaseModel

from domain.build.steps import STEPS, StepName
from domain.caller import Caller
from domain.errors import FactoryError, Verdict
from mcp_server.callers import CallerOf
from mcp_server.problems import protocol_error
from mcp_server.render import view_text
from service import build_log, build_queries, downloads, recipes, test_run_queries
from service.build_log import MOST_LINES, LogQuery
from service.build_queries import StatusQuery
from service.factory import Factory

_JSON = "application/json"
_TEXT = "text/plain"
_LISTED_BUILDS = 20
Ctx = Context[Any, Any]
_T = TypeVar("_T")
Listed = dict[str, str]


class Resources:
    """Reads what a URI names, for the caller of this very request."""

    def __init__(self, factory: Factory, caller_of: CallerOf) -> None:
        self._factory = factory
        self._caller_of = caller_of

    def add_to(self, server: MCPServer[Any]) -> None:
        """Register all templates."""
        for uri, kind, title, read in (
            ("recipe://{name}", _JSON, "A recipe", self.recipe),
            ("build://{build_id}", _JSON, "A build: status, progress, test results, artifacts", self.build),
            ("build://{build_id}/log", _TEXT, "The end of a build's log: untrusted data", self.log),
            ("build://{build_id}/log/{step}", _TEXT, "The end of one step's log: untrusted data", self.step_log),
            ("build://{build_id}/artifacts", _JSON, "A build's files with links, digests and verification", self.files),
            ("test-run://{run_id}", _JSON, "A test run: cases, evidence, report links", self.test_run),
        ):
            server.resource(uri, name=uri.replace("{", "").replace("}", ""), title=title, mime_type=kind)(read)

    async def listed(self, ctx: Ctx) -> list[Listed]:
        """Name the templates and the newest builds.

        Raises:
            MCPError: the caller may not read, or the factory cannot tell.

        """
        templates = await self._ask(ctx, lambda caller: recipes.list_recipes(self._factory, caller))
        newest = partial(build_queries.list_builds, limit=_LISTED_BUILDS)
        page = await self._ask(ctx, lambda caller: newest(self._factory, caller))
        return [
            *(_entry(f"recipe://{r.name}", r.name, r.title, r.description) for r in templates.recipes),
            *(
                _entry(f"build://{b.build_id}", b.name, f"Build {b.name}", f"{b.status}, {b.created_at:%Y-%m-%d %H:%M}")
                for b in page.builds
            ),
        ]

    async def recipe(self, name: str, ctx: Ctx) -> str:
        """Read one recipe, ready to be built or changed."""
        found = await self._ask(ctx, lambda caller: recipes.get_recipe(self._factory, caller, name))
        return found.model_dump_json(indent=2, exclude={"default_packages"})

    async def build(self, build_id: str, ctx: Ctx) -> str:
        """Read one build."""
        status = build_queries.get_build_status
        return _data(await self._ask(ctx, lambda caller: status(self._factory, caller, build_id, StatusQuery())))

    async def log(self, build_id: str, ctx: Ctx) -> str:
        """Read the end of a log."""
        return await self._log(ctx, build_id, LogQuery(tail=MOST_LINES))

    async def step_log(self, build_id: str, step: str, ctx: Ctx) -> str:
        """Read what one step wrote, from its beginning."""
        if step not in get_args(StepName):
            refusal = Verdict.because(
                "step.not_found",
                "Builds have no such step.",
                path="step",
                value=step[:64],
                suggestions=STEPS,
                next="Name one of the steps, or leave the step out for the whole log.",
            )
            raise protocol_error(refusal, ctx.protocol_version, resource=True)
        return await self._log(ctx, build_id, LogQuery(limit=MOST_LINES, step=cast("StepName", step)))

    async def files(self, build_id: str, ctx: Ctx) -> str:
        """Read what a build made, with links."""
        links = downloads.get_download_links
        return _data(await self._ask(ctx, lambda caller: links(self._factory, caller, build_id)))

    async def test_run(self, run_id: str, ctx: Ctx) -> str:
        """Read one test run."""
        run = test_run_queries.get_run
        return _data(await self._ask(ctx, lambda caller: run(self._factory, caller, run_id, StatusQuery())))

    async def _log(self, ctx: Ctx, build_id: str, query: LogQuery) -> str:
        log = build_log.get_build_log
        return view_text(await self._ask(ctx, lambda caller: log(self._factory, caller, build_id, query)))

    async def _ask(self, ctx: Ctx, question: Callable[[Caller], Awaitable[_T]]) -> _T:
        try:
            return await question(self._caller_of(ctx))
        except FactoryError as error:
            raise protocol_error(error, ctx.protocol_version, resource=True) from error


def _entry(uri: str, name: str, title: str, description: str) -> Listed:
    return {"uri": uri, "name": name, "title": title, "description": description, "mimeType": _JSON}


def _data(view: BaseModel) -> str:
    return view.model_dump_json(by_alias=True, exclude_none=True)
