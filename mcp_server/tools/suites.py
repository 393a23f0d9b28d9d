"""Tools about reusable test suites."""

from typing import Annotated, Any

from mcp.server.mcpserver import Context
from pydantic import Field

from domain.suite.views import SuitePage, SuiteView
from domain.test_run.views import RunPage, RunView
from mcp_server.callers import CallerOf
from mcp_server.face import READ, RESUME, START, face
from mcp_server.tools.arguments import RequestKey
from mcp_server.tools.tests import Cursor, Hold, Limit, Status
from service import suite_commands, suite_queries, test_run_queries, test_run_start
from service.build_view import Detail
from service.factory import Factory
from service.test_run_plans import SuiteRunAsk
from service.test_run_queries import RunQuery

SuiteId = Annotated[str, Field(description="The suite's id.")]
Suite = Annotated[
    dict[str, Any] | str,
    Field(
        description="A suite as an object or as YAML or JSON text, or the name of an example. Keys: name, slots "
        "(name, memory, cpus …), parameters (name, default), predefined (boot, login, packages, network, services, "
        "no-failed-units), setup, cases (name, slot, tags, steps), teardown. A step is an assertion {type, params} as "
        "in a recipe, or has action: wait, command, put_file or get_file; slot names its machine. ${slot:NAME} is "
        "another machine's host name, ${param:NAME} a parameter."
    ),
]
Changed = Annotated[dict[str, Any] | str, Field(description="The whole suite, as for create_test_suite.")]
Version = Annotated[
    int | None, Field(ge=1, description="Refuse if the suite is no longer at this version; default: its current one.")
]


class SuiteTools:
    """Tools about suites, the images bound to them, and their runs."""

    def __init__(self, factory: Factory, caller_of: CallerOf) -> None:
        self._factory = factory
        self._caller_of = caller_of

    @face("Write a test suite", START)
    async def create_test_suite(
        self, ctx: Context[Any, Any], suite: Suite, request_key: RequestKey = None
    ) -> SuiteView:
        """Keep a reusable test suite with named slots. No image needs to exist yet: bind them later."""
        return await suite_commands.create_suite(self._factory, self._caller_of(ctx), suite, request_key=request_key)

    @face("List test suites", READ)
    async def list_test_suites(
        self,
        ctx: Context[Any, Any],
        limit: Limit = 20,
        cursor: Cursor = None,
        name: Annotated[str | None, Field(description="Only suites of this name.", max_length=64)] = None,
    ) -> SuitePage:
        """List test suites, newest first, with how many slots are bound, and the built-in examples."""
        return await suite_queries.list_suites(
            self._factory, self._caller_of(ctx), limit=limit, cursor=cursor, name=name
        )

    @face("Show a test suite", READ)
    async def get_test_suite(
        self,
        ctx: Context[Any, Any],
        suite_id: SuiteId,
        detail: Annotated[Detail, Field(description="full: the document too if it is long.")] = "concise",
    ) -> SuiteView:
        """Show one suite: slots, cases, what it still needs, and its whole document, ready to be changed."""
        return await suite_queries.get_suite(self._factory, self._caller_of(ctx), suite_id, detail)

    @face("Change a test suite", RESUME)
    async def update_test_suite(
        self,
        ctx: Context[Any, Any],
        suite_id: SuiteId,
        suite: Changed,
        expected_version: Version = None,
        request_key: RequestKey = None,
    ) -> SuiteView:
        """Write a suite anew; images stay bound to the slots that are still there."""
        return await suite_commands.update_suite(
            self._factory,
            self._caller_of(ctx),
            suite_id,
            suite,
            expected_version=expected_version,
            request_key=request_key,
        )

    @face("Bind images to a suite's slots", RESUME)
    async def update_test_suite_targets(
        self,
        ctx: Context[Any, Any],
        suite_id: SuiteId,
        targets: Annotated[
            dict[str, str | None],
            Field(
                description="For each slot a build's id (its disk image), build:<id>:iso, image:<id> of an uploaded "
                "image, or null to take it away. Slots that are not named keep theirs."
            ),
        ],
        expected_version: Version = None,
        request_key: RequestKey = None,
    ) -> SuiteView:
        """Bind completed builds or uploaded images to slots, and see at once what a run would stumble over."""
        return await suite_commands.bind_targets(
            self._factory,
            self._caller_of(ctx),
            suite_id,
            targets,
            expected_version=expected_version,
            request_key=request_key,
        )

    @face("Run a test suite", START)
    async def run_test_suite(  # noqa: PLR0913, PLR0917 - the tool's arguments, called by name only
        self,
        ctx: Context[Any, Any],
        suite_id: SuiteId,
        cases: Annotated[list[str] | None, Field(description="Only these cases.", max_length=200)] = None,
        tags: Annotated[
            list[str] | None, Field(description="Only cases with one of these tags.", max_length=50)
        ] = None,
        parameters: Annotated[
            dict[str, str | bool | int] | None, Field(description="Values instead of the parameters' defaults.")
        ] = None,
        hold_minutes: Hold = 0,
        rerun_of: Annotated[str | None, Field(description="A run: only what did not pass there is run again.")] = None,
        request_key: RequestKey = None,
    ) -> RunView:
        """Boot all bound images together on a private network and run the cases; returns at once with run_id.

        Follow it with get_test_run and wait_s=25.
        """
        ask = SuiteRunAsk(
            cases=tuple(cases or ()),
            tags=tuple(tags or ()),
            parameters=parameters,
            hold_minutes=hold_minutes,
            rerun_of=rerun_of,
        )
        return await test_run_start.run_suite(
            self._factory, self._caller_of(ctx), suite_id, ask, request_key=request_key
        )

    @face("List a suite's runs", READ)
    async def list_test_suite_runs(
        self, ctx: Context[Any, Any], suite_id: SuiteId, limit: Limit = 20, cursor: Cursor = None, status: Status = None
    ) -> RunPage:
        """List the runs of one suite, newest first, with counts and what failed first."""
        query = RunQuery(limit=limit, cursor=cursor, status=status)
        return await test_run_queries.list_suite_runs(self._factory, self._caller_of(ctx), suite_id, query)

    @face("Show whether a suite is ready", READ)
    async def get_test_suite_status(self, ctx: Context[Any, Any], suite_id: SuiteId) -> SuiteView:
        """Show what a suite still needs (unbound or unknown slots, cases that cannot run) and its latest run."""
        return await suite_queries.suite_status(self._factory, self._caller_of(ctx), suite_id)
