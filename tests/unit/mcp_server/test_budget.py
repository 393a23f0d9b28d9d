"""What the server costs a conversation: the list of tools, and the largest reply of every tool."""

import json
from typing import Any

from mcp.types import CallToolResult, ImageContent

from domain.artifacts import Artifact
from domain.build import events as e
from domain.errors import Problem
from domain.test_run.commands import FinishCase, FinishRun, StartCase
from domain.test_run.results import StepResult
from domain.verification import AssertionResult, VerificationReport
from mcp_server.server import build_tools
from service.admission.credentials import OPERATOR
from tests.fakes.factory import NOW, World, failed
from tests.fakes.suites import SUITE, asked_run, kept_suite, plan_of_cases
from tests.machines import request
from tests.tokens import tokens
from tests.unit.mcp_server.conftest import Connect
from tests.unit.mcp_server.test_access import BUILT, ID, ROWS

MOST_TOKENS = 6_000
MOST_LIST_TOKENS = 12_000
LONG = "Zażółć gęślą jaźń 1234567890abcdef " * 60  # longer than any reply shows of one text
MANY = 120


async def test_the_list_of_tools_costs_less_than_12000_tokens(connect: Connect) -> None:
    async with connect() as client:
        listed = (await client.list_tools()).model_dump(mode="json", by_alias=True, exclude_none=True)
    assert tokens(json.dumps(listed, separators=(",", ":"))) < MOST_LIST_TOKENS


async def test_no_reply_costs_more_than_6000_tokens_however_much_there_is(connect: Connect, world: World) -> None:
    fill(world)
    costs: dict[str, int] = {}
    async with connect() as client:
        for tool in build_tools(world.factory, lambda _: OPERATOR):
            for arguments in largest(tool.name, tool.parameters["properties"]):
                cost = tokens(seen(await client.call_tool(tool.name, arguments)))
                costs[tool.name] = max(cost, costs.get(tool.name, 0))
    assert {name: cost for name, cost in costs.items() if cost > MOST_TOKENS} == {}


async def test_no_refusal_costs_more_than_6000_tokens_however_much_is_wrong(connect: Connect, world: World) -> None:
    async with connect() as client:
        for tool in build_tools(world.factory, lambda _: OPERATOR):
            wrong = {f"{LONG}{number}": LONG for number in range(MANY)}
            assert tokens(seen(await client.call_tool(tool.name, wrong))) < MOST_TOKENS, tool.name


def seen(result: CallToolResult) -> str:
    """Return all that a client may show a model of it: the text and the data, without pictures."""
    blocks = [block for block in result.content if not isinstance(block, ImageContent)]
    shown = result.model_copy(update={"content": blocks})
    return json.dumps(shown.model_dump(mode="json", by_alias=True, exclude_none=True), ensure_ascii=False)


def largest(tool: str, properties: dict[str, Any]) -> list[dict[str, Any]]:
    """Ask for as much as the tool gives; of what it was asked to wait for, nothing comes."""
    most: dict[str, Any] = {}
    for name, schema in properties.items():
        if name in {"limit", "tail"} and "maximum" in schema:
            most[name] = schema["maximum"]
        if name == "detail":
            most[name] = schema["enum"][-1]
    arguments = ROWS[tool][0]
    return [arguments, {**arguments, **most}, {**arguments, **{n: v for n, v in most.items() if n != "tail"}}]


def fill(world: World) -> None:
    """Have far more of everything than fits."""
    for number in range(MANY):
        other = f"44444444-4444-4444-8444-{number:012d}"
        world.build(failed(other, Problem(code="boot.no_agent", message=LONG)), build_id=other)
        kept_suite(world.tests, other, {**SUITE, "name": f"smoke-{number}", "description": LONG[:256]})
        asked_run(world.tests, other, plan_of_cases("web", target=ID))
        world.vms.have(request(other, org_id="local"))
    huge_build(world, BUILT, e.BuildCompleted(build_id=BUILT, org_id="local", at=NOW, seconds=1.0))
    problems = tuple(Problem(code=f"p.{n}", message=LONG, path=LONG, value=LONG, next=LONG[:300]) for n in range(MANY))
    huge_build(world, ID, failed(ID, *problems))
    world.logs.write(ID, *(LONG for _ in range(MANY)), *("x" for _ in range(5_000)), *(LONG for _ in range(MANY)))
    cases = [{"name": f"case-{n}", "description": LONG[:200], "steps": SUITE["cases"][0]["steps"]} for n in range(90)]
    kept_suite(world.tests, ID, {**SUITE, "cases": cases})
    huge_run(world)
    world.vms.have(request(ID, org_id="local"))


def huge_build(world: World, build_id: str, *ends: e.BuildEvent) -> None:
    result = AssertionResult(
        suite=LONG, description=LONG, type="x", passed=False, expected=LONG, found=LONG, command=LONG
    )
    reports = tuple(
        VerificationReport(
            artifact=kind, firmware="uefi", accelerator="tcg", boot_seconds=1.0, results=(result,) * MANY
        )
        for kind in ("qcow2", "iso")
    )
    kinds = ("qcow2", "iso", "recipe", "report", "manifest", "log", "evidence")
    artifacts = tuple(
        Artifact.model_validate({"kind": k, "name": f"{k}.bin", "blob": {"digest": "ab" * 32, "bytes": 1 << 30}})
        for k in kinds
    )
    happened = {"build_id": build_id, "org_id": "local", "at": NOW, "generation": 0}
    world.build(
        e.BuildVerified.model_validate({**happened, "reports": reports}),
        e.ArtifactsPublished.model_validate({**happened, "artifacts": artifacts}),
        *ends,
        build_id=build_id,
    )


def huge_run(world: World) -> None:
    names = [f"case-{number}" for number in range(MANY)]
    asked_run(world.tests, ID, plan_of_cases(*names, target=ID))
    result = StepResult(
        suite="s", description=LONG, type="x", passed=False, expected=LONG, found=LONG, command=LONG, slot="primary"
    )
    for name in names:
        world.tests.tell(
            ID, StartCase(case=name), FinishCase(case=name, status="failed", seconds=1.0, results=(result,) * 40)
        )
    world.tests.tell(ID, FinishRun())
