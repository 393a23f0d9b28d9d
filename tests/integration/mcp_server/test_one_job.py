"""One build on its way, as every view tells it: tool, list, resource, task, command line, front page, Temporal."""

import asyncio
import json
import os
import re
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

import httpx2
import pytest
from temporalio.api.sdk.v1.workflow_metadata_pb2 import WorkflowMetadata
from temporalio.client import Client
from temporalio.common import WorkflowIDConflictPolicy
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker import Worker

from activities.evidence import EvidenceActivities
from activities.failures import TypedFailures
from activities.record import RecordActivities
from activities.usual import UsualActivities
from domain.build.progress import estimate
from domain.build.steps import STEPS, StepName, log_label
from domain.errors import Verdict
from event_store.evidence import EvidenceIndex
from event_store.log import EventLog
from event_store.usual import UsualDurations
from infra.log_stream import JobLog
from infra.objects import S3ObjectStore
from mcp_server.tasks import EXTENSION
from tests.fakes.host import QUEUE, FakeHost
from tests.integration.event_store.builders import append, whole_build
from tests.integration.front_stack import FrontStack
from tests.sandbox import strict_runner
from tests.unit.mcp_server.http import answered, modern, modern_headers
from workflows import policies
from workflows.catalog import WORKFLOWS
from workflows.fleet import FleetWorkflow
from workflows.fleet_models import FLEET_ID, FleetInput
from workflows.signals import SturdySignals

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

ROOT = Path(__file__).resolve().parents[3]
NAME = "told-by-all"
RECIPE = {"name": NAME, "baseImage": "debian-bookworm"}
# What each step of an earlier build took, in seconds; five of them are done when this one boots.
USUAL: dict[StepName, float] = {
    "resolve": 50.0,
    "base_layer": 100.0,
    "package_layer": 100.0,
    "configuration_layer": 50.0,
    "assemble": 100.0,
    "boot": 200.0,
    "verify": 100.0,
    "publish": 50.0,
}
DONE: dict[StepName, float] = dict.fromkeys(STEPS[:5], 1.0)
_WORDS = re.compile(
    r"(?P<state>\w+)(, (?P<step>[a-z_]+))?(, (?P<percent>\d+) %)?(, expected to end at (?P<end>[\d:]+) UTC)?"
)


class Told(NamedTuple):
    """What one view says; nothing where it does not say it."""

    state: str
    step: str | None = None
    percent: int | None = None
    end: str | None = None


class Views:
    """Asks every view of one build."""

    def __init__(self, stack: FrontStack, http: httpx2.AsyncClient, temporal: Client) -> None:
        self._stack = stack
        self._http = http
        self.engine = temporal
        self.build_id = ""

    async def call(self, tool: str, **arguments: Any) -> dict[str, Any]:
        answer = await self._send("tools/call", tool, {"name": tool, "arguments": arguments})
        assert answer.get("isError") is not True, answer
        return answer["structuredContent"]

    async def all(self) -> dict[str, Told]:
        """Ask all of them."""
        return {
            "tool": _of_view(await self.call("get_build_status", build_id=self.build_id)),
            "resource": await self._resource(),
            "task": await self._task(),
            "command line": await self._command_line(),
            "front page": await self._front_page(),
        }

    async def row(self) -> Told:
        """Read the build's line of the list, which tells state and step."""
        rows = (await self.call("list_builds", name=NAME))["builds"]
        [row] = [row for row in rows if row["build_id"] == self.build_id]
        return Told(row["status"], row.get("step"))

    async def temporal(self) -> tuple[str, Told]:
        """Read the search attribute, and the page of the Temporal UI."""
        handle = self.engine.get_workflow_handle(f"build-{self.build_id}")
        described = await handle.describe()
        state = described.typed_search_attributes.get(policies.JOB_STATE)
        page: WorkflowMetadata = await handle.query("__temporal_workflow_metadata", result_type=WorkflowMetadata)
        [words] = re.findall(r"^\*\*(.*?)\*\*( — as of|$)", page.current_details, re.MULTILINE)[:1]
        return str(state), _of_words(words[0])

    async def _resource(self) -> Told:
        uri = f"build://{self.build_id}"
        answer = await self._send("resources/read", uri, {"uri": uri})
        return _of_view(json.loads(answer["contents"][0]["text"]))

    async def _task(self) -> Told:
        task = f"build-{self.build_id}.0"
        return _of_words((await self._send("tasks/get", task, {"taskId": task}))["statusMessage"])

    async def _command_line(self) -> Told:
        environ = {
            "PATH": os.environ["PATH"],
            "OPENFACTORY_URL": self._stack.url,
            "OPENFACTORY_API_KEY": self._stack.secrets.operator_key(),
        }
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "cli", "build-show", self.build_id, "--json"),
            cwd=ROOT, env=environ, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        out, err = await process.communicate()
        return _of_view(json.loads(out or err))

    async def _front_page(self) -> Told:
        key = {"Authorization": f"Bearer {self._stack.secrets.operator_key()}"}
        listed = (await self._http.get(f"{self._stack.url}/jobs", headers=key)).json()["jobs"]
        [job] = [job for job in listed if job["job_id"] == f"build-{self.build_id}"]
        told = _of_words(job["words"])
        assert told.state == job["state"]
        return told

    async def _send(self, method: str, name: str, params: dict[str, Any]) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {self._stack.secrets.operator_key()}", **modern_headers(method, name)}
        # A client that knows tasks would be answered with one where it starts a build.
        capabilities: dict[str, Any] = {"extensions": {EXTENSION: {}}} if method.startswith("tasks/") else {}
        body = modern(method, capabilities, **params)
        answer = answered(await self._http.post(f"{self._stack.url}/mcp-stream/mcp", json=body, headers=headers))
        assert "result" in answer, answer
        return answer["result"]


def _of_view(view: dict[str, Any]) -> Told:
    progress: dict[str, Any] = view.get("progress") or {}
    end = progress.get("expected_end")
    percent = progress.get("percent")
    rests = view["status"] in {"completed", "failed", "cancelled"}
    return Told(
        view["status"],
        progress.get("step"),
        None if percent is None or rests else int(f"{percent:.0f}"),
        None if end is None else end[11:19],
    )


def _of_words(words: str) -> Told:
    found = _WORDS.fullmatch(words)
    assert found is not None, words
    percent = found["percent"]
    return Told(found["state"], found["step"], None if percent is None else int(percent), found["end"])


@asynccontextmanager
async def worked(stack: FrontStack, temporal: Client, host: FakeHost) -> AsyncGenerator[None]:
    """Run a core that writes to the real log, and a host of fakes."""
    with EventLog(stack.database.owner_url) as log:
        core = Worker(
            temporal,
            task_queue=policies.CORE_QUEUE,
            workflows=list(WORKFLOWS),
            activities=[
                *RecordActivities(log).all(),
                EvidenceActivities(EvidenceIndex(stack.database.owner_url)).find_evidence,
                UsualActivities(UsualDurations(stack.database.owner_url)).find_usual_durations,
            ],
            interceptors=[TypedFailures(), SturdySignals()],
            workflow_runner=strict_runner(),
        )
        own = Worker(
            temporal,
            task_queue=QUEUE,
            activities=host.steps(),
            interceptors=[TypedFailures()],
            max_heartbeat_throttle_interval=policies.HEARTBEAT_THROTTLE,
        )
        async with core, own:
            fleet = await temporal.start_workflow(
                FleetWorkflow.run,
                FleetInput(),
                id=FLEET_ID,
                task_queue=policies.CORE_QUEUE,
                id_conflict_policy=WorkflowIDConflictPolicy.TERMINATE_EXISTING,
            )
            await fleet.signal(FleetWorkflow.host_up, host.capacity(1))
            yield
            await fleet.terminate()


@pytest.fixture
async def views(front_stack: FrontStack) -> AsyncGenerator[Views]:
    temporal = await Client.connect(front_stack.temporal, data_converter=pydantic_data_converter)
    async with httpx2.AsyncClient(timeout=40, trust_env=False) as http:
        yield Views(front_stack, http, temporal)


async def until(views: Views, so: Callable[[dict[str, Any]], bool]) -> None:
    """Wait until the tool's answer is so; each try waits for something new."""
    version = 0
    async with asyncio.timeout(60):
        while True:
            view = await views.call("get_build_status", build_id=views.build_id, wait_s=5, since_version=version)
            if so(view):
                return
            version = view["version"]


def same(told: dict[str, Told]) -> Told:
    """Return what all say."""
    assert len(set(told.values())) == 1, told
    return told["tool"]


async def test_every_view_tells_the_same_of_a_build_at_each_of_its_states(
    views: Views, front_stack: FrontStack
) -> None:
    before = uuid4()
    with EventLog(front_stack.database.owner_url) as log:
        events = tuple(whole_build(before, org="local", name=NAME, took=USUAL))
        append(log, *events)
    await front_stack.shown(before, len(events))
    host = FakeHost(hold="boot_artifacts")
    views.build_id = (await views.call("create_build", recipe=RECIPE))["build_id"]
    assert (await views.call("get_build_status", build_id=views.build_id))["status"] == "pending"
    async with worked(front_stack, views.engine, host):
        await asyncio.wait_for(host.held.wait(), 60)
        await until(views, lambda view: view["status"] == "testing")
        await _running(views, front_stack)
        host.failures["boot_artifacts"] = [Verdict.because("boot.no_agent", "the guest agent never answered")]
        host.let_go.set()
        await until(views, lambda view: view["status"] == "failed")
        await _resting(views, Told("failed", "boot"))
        await views.call("retry_build", build_id=views.build_id)
        await until(views, lambda view: view["status"] == "completed")
        await _resting(views, Told("completed"))


async def test_every_view_tells_that_a_build_was_cancelled(views: Views, front_stack: FrontStack) -> None:
    host = FakeHost(hold="assemble_artifacts")
    views.build_id = (await views.call("create_build", recipe=RECIPE))["build_id"]
    async with worked(front_stack, views.engine, host):
        await asyncio.wait_for(host.held.wait(), 60)
        await views.call("cancel_build", build_id=views.build_id)
        await until(views, lambda view: view["status"] == "cancelled")
        await _resting(views, Told("cancelled", "assemble"))


async def _running(views: Views, stack: FrontStack) -> None:
    """Compare while a step is at work: first with nothing said by it, then in the middle of it."""
    state, page = await views.temporal()
    begun = estimate(DONE, USUAL)
    assert (state, page[:3]) == ("testing", ("testing", "boot", int(f"{begun.percent:.0f}")))
    told = await views.all()
    assert {(t.state, t.step, t.end) for t in told.values()} == {("testing", "boot", page.end)}

    store = S3ObjectStore(stack.s3)
    await store.ensure_bucket()
    async with JobLog.open(store, views.build_id, log_label(0, "boot"), 1) as log:
        log.progress(50.0, "half way")
    await store.aclose()
    said = same(await views.all())
    half = estimate({**DONE, "boot": 0.5}, USUAL)
    assert (said.state, said.step, said.percent) == ("testing", "boot", int(f"{half.percent:.0f}"))
    assert said.end is not None
    assert await views.row() == Told("testing", "boot")


async def _resting(views: Views, expected: Told) -> None:
    async with asyncio.timeout(30):  # the log is told first, and the page a moment later
        while (await views.temporal())[0] != expected.state:  # noqa: ASYNC110 - the server has no event for it
            await asyncio.sleep(0.05)
    assert (await views.temporal())[1] == expected
    assert same(await views.all()) == expected
    assert await views.row() == expected
