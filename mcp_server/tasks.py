"""MCP tasks (extension io.modelcontextprotocol/tasks, SEP-2663) as a face of the jobs that run anyway.

A task is the build's or run's workflow; its id is the workflow's. Nothing is kept here. A client that declares the
extension gets a task where a tool starts a job. A parked build asks whether to go on, if the client can put the
question to somebody; for any other client its task is completed with what went wrong, and `retry_build` makes a new
one: the id ends with the try at which its task was made.
"""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, Final, TypeVar, cast

from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.extension import Extension, MethodBinding
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.server import require_client_extension
from mcp.types import CallToolRequestParams, CallToolResult, RequestParams

from domain.caller import Caller
from domain.errors import FactoryError
from domain.job import job_of
from domain.test_run.views import RunView
from domain.views import BuildView
from mcp_server.callers import CallerOf
from mcp_server.face import success
from mcp_server.problems import protocol_error
from service import jobs
from service.factory import Factory
from service.jobs import Decision

EXTENSION: Final = "io.modelcontextprotocol/tasks"
_STARTERS: Final = frozenset({"create_build", "retry_build", "run_verification", "run_test_suite"})
_VERSIONS: Final = frozenset({"2026-07-28"})
_POLL_MILLISECONDS: Final = 2_000
_TRY: Final = "."
_MOST_DIGITS: Final = 6
Request = ServerRequestContext[Any, Any]
Task = dict[str, Any]
_T = TypeVar("_T")


class TaskParams(RequestParams):
    """Names a task."""

    task_id: str


class UpdateParams(TaskParams):
    """Answers what a task asked."""

    input_responses: dict[str, Any]


class Tasks(Extension):
    """Gives tasks for jobs, and looks them up as jobs."""

    identifier = EXTENSION

    def __init__(self, factory: Factory, caller_of: CallerOf) -> None:
        self._factory = factory
        self._caller_of = caller_of

    def methods(self) -> Sequence[MethodBinding]:
        """Serve what the extension adds; there is no list and no other way to a result."""
        return (
            MethodBinding("tasks/get", TaskParams, self._get, _VERSIONS),
            MethodBinding("tasks/update", UpdateParams, self._update, _VERSIONS),
            MethodBinding("tasks/cancel", TaskParams, self._cancel, _VERSIONS),
        )

    async def intercept_tool_call(
        self, params: CallToolRequestParams, ctx: Request, call_next: CallNext
    ) -> HandlerResult:
        """Answer with a task where a job was started, for clients that can follow one."""
        result = await call_next(ctx)
        if params.name not in _STARTERS or not _declared(ctx) or not isinstance(result, CallToolResult):
            return result
        if result.is_error or result.structured_content is None:
            return result
        job_id = result.structured_content["workflow_id"]
        try:
            view = await jobs.get_job(self._factory, self._caller_of(Context(request_context=ctx)), job_id)
        except FactoryError:
            return result  # the tool was heard, and its own answer names the job
        if job_of(view).rests:
            return result
        return {"resultType": "task", **self._task(view, f"{view.workflow_id}{_TRY}{_tries(view)}")}

    async def _get(self, ctx: Request, params: TaskParams) -> HandlerResult:
        require_client_extension(ctx, EXTENSION)
        job_id, number = _parts(params.task_id)
        view = await self._look(ctx, job_id)
        status = _status(view, number, can_ask=_can_ask(ctx))
        task = {"resultType": "complete", **self._task(view, params.task_id), "status": status}
        if status == "input_required":
            return {**task, "inputRequests": {_question_key(view): _question(view)}}
        return {**task, "result": _result(view)} if status == "completed" else task

    async def _update(self, ctx: Request, params: UpdateParams) -> HandlerResult:
        require_client_extension(ctx, EXTENSION)
        job_id, _ = _parts(params.task_id)
        view = await self._look(ctx, job_id)
        key = _question_key(view)
        answer = params.input_responses.get(key)
        # An answer to what is not asked, or no longer, is passed over, as the extension says.
        decision = _decision(answer) if _parked(view) else None
        if decision is not None:
            decide = partial(jobs.decide_job, job_id=job_id, decision=decision, request_key=f"task-{key}")
            await self._ask(ctx, lambda caller: decide(self._factory, caller))
        return {"resultType": "complete"}

    async def _cancel(self, ctx: Request, params: TaskParams) -> HandlerResult:
        require_client_extension(ctx, EXTENSION)
        job_id, _ = _parts(params.task_id)
        await self._ask(ctx, lambda caller: jobs.cancel_job(self._factory, caller, job_id))
        return {"resultType": "complete"}

    async def _look(self, ctx: Request, job_id: str) -> BuildView | RunView:
        return await self._ask(ctx, lambda caller: jobs.get_job(self._factory, caller, job_id))

    async def _ask(self, ctx: Request, question: Callable[[Caller], Awaitable[_T]]) -> _T:
        try:
            return await question(self._caller_of(Context(request_context=ctx)))
        except FactoryError as error:
            raise protocol_error(error, ctx.protocol_version) from error

    def _task(self, view: BuildView | RunView, task_id: str) -> Task:
        job = job_of(view)
        now = self._factory.now()
        return {
            "taskId": task_id,
            "status": "working",
            "statusMessage": job.words,
            "createdAt": (job.created_at or now).isoformat(),
            "lastUpdatedAt": (job.updated_at or now).isoformat(),
            "ttlMs": None,
            "pollIntervalMs": _POLL_MILLISECONDS,
        }


def _declared(ctx: Request) -> bool:
    capabilities = ctx.session.client_capabilities
    return capabilities is not None and EXTENSION in (capabilities.extensions or {})


def _can_ask(ctx: Request) -> bool:
    capabilities = ctx.session.client_capabilities
    return capabilities is not None and capabilities.elicitation is not None


def _parts(task_id: str) -> tuple[str, int]:
    job_id, _, number = task_id.rpartition(_TRY)
    return (job_id, int(number)) if number.isdecimal() and len(number) < _MOST_DIGITS else (task_id, 0)


def _tries(view: BuildView | RunView) -> int:
    return view.retries if isinstance(view, BuildView) else 0


def _status(view: BuildView | RunView, number: int, *, can_ask: bool) -> str:
    """Tell the task's state; one that has ended never goes on, so for a client that cannot ask a failure is the end."""
    failed = isinstance(view, BuildView) and view.failure is not None
    if not can_ask and (failed or _tries(view) > number):
        return "completed"
    if not job_of(view).rests:
        return "working"
    if _parked(view):
        return "input_required"
    return "cancelled" if view.status == "cancelled" else "completed"


def _parked(view: BuildView | RunView) -> bool:
    return (
        isinstance(view, BuildView) and view.status == "failed" and view.failure is not None and view.failure.retryable
    )


def _question_key(view: BuildView | RunView) -> str:
    """Name the question of this try; a key is never used for another one."""
    return f"try-{_tries(view)}"


def _question(view: BuildView | RunView) -> Task:
    failure = view.failure if isinstance(view, BuildView) else None
    why = f"{failure.step}: {failure.problems[0].message}" if failure is not None else ""
    schema = {
        "type": "object",
        "properties": {"decision": {"type": "string", "enum": ["retry", "cancel"], "title": "What now?"}},
        "required": ["decision"],
    }
    message = f"The build {view.name} failed in {why}. Finished steps are kept. Go on from the failed one, or end it?"
    return {
        "method": "elicitation/create",
        "params": {"mode": "form", "message": message, "requestedSchema": schema},
    }


def _decision(answer: object) -> Decision | None:
    """Read an ElicitResult; who declines leaves the build parked."""
    fields = cast("Task", answer) if isinstance(answer, dict) else {}
    content = fields.get("content")
    decision = cast("Task", content).get("decision") if isinstance(content, dict) else None
    if fields.get("action") != "accept" or decision not in {"retry", "cancel"}:
        return None
    return cast("Decision", decision)


def _result(view: BuildView | RunView) -> Task:
    """Answer as the tool would that shows the job; it is an error if the job is none that one can use."""
    shown = success(view).model_dump(mode="json", by_alias=True, exclude_none=True)
    useless = view.status in ({"error"} if isinstance(view, RunView) else {"failed", "cancelled"})
    return {**shown, "isError": useless or not job_of(view).rests}
