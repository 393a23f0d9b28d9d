"""Tasks as another face of the job: the same state, and the question that a parked build asks."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pytest

from domain.build import events as e
from domain.build.inputs import BuildRequest, QueueTerms
from domain.test_run.commands import FinishRun
from mcp_server.stream import STREAM_PATH
from mcp_server.tasks import EXTENSION
from tests.fakes.factory import NOW, World, failed, recipe_document
from tests.fakes.suites import asked_run, ended_case, plan_of_cases
from tests.unit.mcp_server.http import answered, key, modern, modern_headers, served

ID = "11111111-1111-4111-8111-111111111111"
RUN = "22222222-2222-4222-8222-222222222222"
TASK = f"build-{ID}.0"
PLAIN: dict[str, Any] = {"extensions": {EXTENSION: {}}}
ASKING: dict[str, Any] = {**PLAIN, "elicitation": {"form": {}}}


class TaskClient:
    """Sends requests as a client of 2026-07-28 would, with capabilities of its own."""

    def __init__(self, http: httpx2.AsyncClient) -> None:
        self._http = http

    async def send(
        self, method: str, name: str, capabilities: dict[str, Any], who: str, params: dict[str, Any]
    ) -> dict[str, Any]:
        body = modern(method, capabilities, **params)
        headers = {**key(who), **modern_headers(method, name)}
        return answered(await self._http.post(STREAM_PATH, json=body, headers=headers))

    async def call(self, tool: str, capabilities: dict[str, Any] = PLAIN, **arguments: Any) -> dict[str, Any]:
        params = {"name": tool, "arguments": arguments}
        return (await self.send("tools/call", tool, capabilities, "operator-key", params))["result"]

    async def task(
        self, verb: str, task: str, capabilities: dict[str, Any] = PLAIN, who: str = "operator-key", **more: Any
    ) -> dict[str, Any]:
        return await self.send(f"tasks/{verb}", task, capabilities, who, {"taskId": task, **more})

    async def get(self, task: str = TASK, capabilities: dict[str, Any] = PLAIN) -> dict[str, Any]:
        return (await self.task("get", task, capabilities))["result"]


@asynccontextmanager
async def task_client(world: World) -> AsyncGenerator[TaskClient]:
    async with served(world) as http:
        yield TaskClient(http)


def completed(world: World) -> None:
    world.reads.apply(e.BuildCompleted(build_id=ID, org_id="local", at=NOW, seconds=60.0))


async def test_a_started_job_is_a_task_only_for_those_who_know_tasks(world: World) -> None:
    async with task_client(world) as tasks:
        build = await tasks.call("create_build", {}, recipe=recipe_document(), request_key="k")
        assert build["resultType"] == "complete"
        task = await tasks.call("create_build", recipe=recipe_document(), request_key="k")
        assert (task["resultType"], task["status"], task["ttlMs"]) == ("task", "working", None)
        assert task["taskId"] == f"{build['structuredContent']['workflow_id']}.0"
        assert (await tasks.get(task["taskId"]))["status"] == "working"
        assert (await tasks.call("list_builds"))["resultType"] == "complete"
        missing = await tasks.task("get", task["taskId"], {})
        assert missing["error"]["code"] == -32021


async def test_a_job_that_was_started_and_cannot_be_looked_up_is_answered_as_the_tool_did(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = world.workflows.start_build

    async def start_and_lose_the_read_side(request: BuildRequest, terms: QueueTerms) -> bool:
        started = await start(request, terms)
        world.reads.away = True
        return started

    monkeypatch.setattr(world.workflows, "start_build", start_and_lose_the_read_side)
    async with task_client(world) as tasks:
        answer = await tasks.call("create_build", recipe=recipe_document())
    [started] = world.workflows.started
    assert (answer["resultType"], answer["isError"]) == ("complete", False)
    assert answer["structuredContent"]["build_id"] == started.build_id


async def test_a_request_for_a_build_that_was_deleted_is_answered_with_it_and_no_task(world: World) -> None:
    arguments = {"recipe": recipe_document(), "request_key": "k"}
    async with task_client(world) as tasks:
        build_id = (await tasks.call("create_build", {}, **arguments))["structuredContent"]["build_id"]
        gone = e.BuildCancelled(build_id=build_id, org_id="local", at=NOW, reason="x", requested_by="operator")
        world.reads.apply(gone)
        await tasks.call("delete_build", {}, build_id=build_id)
        plain, knowing = [await tasks.call("create_build", known, **arguments) for known in ({}, PLAIN)]
    assert plain == knowing
    shown = plain["structuredContent"]
    assert (shown["status"], shown["replayed"]) == ("deleted", True)
    assert [block["type"] for block in plain["content"]] == ["text"]  # no link, for it would open nothing


async def test_a_task_ends_with_what_the_tool_says(world: World) -> None:
    async with task_client(world) as tasks:
        world.build(build_id=ID)
        assert (await tasks.get())["status"] == "working"
        completed(world)
        task = await tasks.get()
        shown = await tasks.call("get_build_status", build_id=ID)
        assert (task["status"], task["result"]["isError"]) == ("completed", False)
        assert task["result"]["structuredContent"] == shown["structuredContent"]


async def test_a_parked_build_asks_and_does_as_it_is_told(world: World) -> None:
    async with task_client(world) as tasks:
        world.build(failed(ID), build_id=ID)
        task = await tasks.get(capabilities=ASKING)
        assert task["status"] == "input_required"
        [(name, question)] = task["inputRequests"].items()
        assert question["method"] == "elicitation/create"
        assert "the guest agent never answered" in question["params"]["message"]
        for answer in ({"action": "decline"}, {"action": "accept", "content": {"decision": "burn"}}, "yes", None):
            reply = await tasks.task("update", TASK, ASKING, inputResponses={name: answer, "other": {}})
            assert reply["result"]["resultType"] == "complete"
        assert world.workflows.retries == []
        accepted = {"action": "accept", "content": {"decision": "retry"}}
        await tasks.task("update", TASK, ASKING, inputResponses={name: accepted})
        await tasks.task("update", TASK, ASKING, inputResponses={name: accepted})
        assert len({command.command_id for _, command in world.workflows.retries}) == 1
        cancel = {"action": "accept", "content": {"decision": "cancel"}}
        await tasks.task("update", TASK, ASKING, inputResponses={name: cancel})
        assert len(world.workflows.cancels) == 1


async def test_for_who_cannot_be_asked_a_failure_is_the_end_and_a_retry_a_new_task(world: World) -> None:
    async with task_client(world) as tasks:
        world.build(failed(ID), build_id=ID)
        task = await tasks.get()
        assert (task["status"], task["result"]["isError"]) == ("completed", True)
        assert "boot.no_agent" in str(task["result"]["content"])
        retried = e.BuildRetried(
            build_id=ID, org_id="local", at=NOW, generation=1, from_step="boot", command_id="c", requested_by="operator"
        )
        world.reads.apply(retried)
        assert (await tasks.get())["status"] == "completed"
        assert (await tasks.get(f"build-{ID}.1"))["status"] == "working"
        assert (await tasks.get(capabilities=ASKING))["status"] == "working"


async def test_a_run_that_found_something_wrong_is_a_result_and_one_that_could_not_is_an_error(world: World) -> None:
    async with task_client(world) as tasks:
        asked_run(world.tests, RUN, plan_of_cases("web"))
        task = f"test-run-{RUN}.0"
        assert (await tasks.get(task))["status"] == "working"
        world.tests.tell(RUN, *ended_case("web", passed=False), FinishRun())
        ended = await tasks.get(task)
        assert (ended["status"], ended["result"]["isError"]) == ("completed", False)
        assert ended["result"]["structuredContent"]["status"] == "failed"


async def test_a_cancelled_task_is_acknowledged_also_when_it_has_ended(world: World) -> None:
    async with task_client(world) as tasks:
        world.build(build_id=ID)
        assert (await tasks.task("cancel", TASK))["result"]["resultType"] == "complete"
        assert len(world.workflows.cancels) == 1
        completed(world)
        assert (await tasks.task("cancel", TASK))["result"]["resultType"] == "complete"
        assert len(world.workflows.cancels) == 1


@pytest.mark.parametrize("verb", ["get", "update", "cancel"])
async def test_absent_and_foreign_tasks_look_the_same(world: World, verb: str) -> None:
    async with task_client(world) as tasks:
        world.build(build_id=ID)
        more: dict[str, Any] = {"inputResponses": {}} if verb == "update" else {}
        foreign = await tasks.task(verb, TASK, who="stranger-key", **more)
        assert foreign["error"]["code"] == -32602
        for absent in (f"build-{RUN}.0", "test-run-x.0", "nothing", f"vm-{ID}.0", "build-.99999999", ""):
            answer = await tasks.task(verb, absent, **more)
            assert answer["error"]["code"] == -32602, absent
        reader = await tasks.task("cancel", TASK, who="reader-key")
        assert reader["error"]["message"].startswith("permission.denied")


async def test_there_is_no_list_of_tasks_and_no_other_way_to_a_result(world: World) -> None:
    async with task_client(world) as tasks:
        for verb in ("list", "result"):
            assert (await tasks.task(verb, TASK))["error"]["code"] == -32601


@pytest.mark.parametrize("verb", ["get", "update", "cancel"])
@pytest.mark.parametrize(
    "task", ["build-latest", "build-latest.0", "build-latest-verified:demo", f"build-{ID[:8]}", f"build-build-{ID}"]
)
async def test_only_a_whole_id_names_a_task(world: World, verb: str, task: str) -> None:
    world.build(build_id=ID)
    more: dict[str, Any] = {"inputResponses": {}} if verb == "update" else {}
    async with task_client(world) as tasks:
        refused = await tasks.task(verb, task, **more)
        assert refused["error"]["message"].startswith("job.not_found")
    assert world.workflows.cancels == []
