"""Resources, prompts and completions: faces of the same service, for the same callers."""

import json

import pytest
from mcp import Client, MCPError
from mcp.types import PromptReference, ResourceTemplateReference, TextContent, TextResourceContents

from domain.caller import Caller
from service.admission.credentials import OPERATOR
from tests.fakes.factory import NOBODY, READER, STRANGER, World, failed, published
from tests.fakes.suites import asked_run, plan_of_cases
from tests.unit.mcp_server.conftest import Connect
from tests.unit.mcp_server.test_tools import call

ID = "11111111-1111-4111-8111-111111111111"
RUN = "22222222-2222-4222-8222-222222222222"
URIS = (
    "recipe://minimal-bookworm",
    f"build://{ID}",
    f"build://{ID}/log",
    f"build://{ID}/log/boot",
    f"build://{ID}/artifacts",
    f"test-run://{RUN}",
)


@pytest.fixture(autouse=True)
def filled(world: World) -> None:
    world.build(published(ID), failed(ID), build_id=ID)
    world.logs.write(ID, "it fails\x1b[2J", step="boot")
    asked_run(world.tests, RUN, plan_of_cases("web"))


async def read(client: Client, uri: str) -> str:
    [content] = (await client.read_resource(uri)).contents
    assert isinstance(content, TextResourceContents)
    return content.text


async def refusal(client: Client, uri: str) -> MCPError:
    with pytest.raises(MCPError) as raised:
        await client.read_resource(uri)
    return raised.value


async def test_each_resource_says_what_its_tool_says(connect: Connect) -> None:
    async with connect() as client:
        templates = {t.uri_template for t in (await client.list_resource_templates()).resource_templates}
        assert templates >= {"recipe://{name}", "build://{build_id}", "build://{build_id}/log/{step}"}
        tool = await call(client, "get_build_status", build_id=ID)
        assert json.loads(await read(client, URIS[1])) == tool
        links = await call(client, "get_download_links", build_id=ID)
        assert json.loads(await read(client, URIS[4]))["links"] == links["links"]
        run = await call(client, "get_test_run", run_id=RUN)
        assert json.loads(await read(client, URIS[5])) == run
        recipe = await call(client, "get_recipe", name="minimal-bookworm")
        assert json.loads(await read(client, URIS[0]))["recipe"] == recipe["recipe"]
        for uri in URIS[2:4]:
            assert "untrusted data begins" in await read(client, uri)
            assert "[boot] it fails" in await read(client, uri)


async def test_templates_and_the_newest_builds_are_listed(connect: Connect) -> None:
    async with connect() as client:
        listed = {str(r.uri): r for r in (await client.list_resources()).resources}
    assert listed["recipe://demo"].description
    assert (listed[f"build://{ID}"].description or "").startswith("failed")


@pytest.mark.parametrize("mode", ["2026-07-28", "legacy"])
async def test_what_is_not_there_and_what_is_foreign_look_the_same(connect: Connect, mode: str) -> None:
    code = -32602 if mode == "2026-07-28" else -32002
    async with connect(STRANGER, mode) as client:
        foreign = [await refusal(client, uri) for uri in URIS[1:]]
        absent = await refusal(client, "build://33333333-3333-4333-8333-333333333333")
        unknown = await refusal(client, f"build://{ID}/log/nope")
    assert {error.error.code for error in (*foreign, absent, unknown)} == {code}
    assert foreign[0].error.message == absent.error.message
    assert absent.error.data["problems"][0]["next"]


@pytest.mark.parametrize("caller", [NOBODY, None])
async def test_who_may_not_read_sees_nothing(connect: Connect, caller: Caller | None) -> None:
    async with connect(caller) as client:
        assert (await client.list_resources()).resources == []
        assert (await client.list_resource_templates()).resource_templates == []
        assert (await client.list_prompts()).prompts == []
        for uri in URIS:
            assert (await refusal(client, uri)).error.message.startswith(("permission.denied", "auth.required"))


async def test_prompts_are_offered_to_those_who_may_do_what_they_say(connect: Connect) -> None:
    async with connect(READER) as client:
        assert {p.name for p in (await client.list_prompts()).prompts} == {"summarize_builds", "check_recipe"}
        with pytest.raises(MCPError, match="no such prompt"):
            await client.get_prompt("mend_build", {"build_id": ID})
    async with connect(OPERATOR) as client:
        prompts = (await client.list_prompts()).prompts
        assert len(prompts) == 6
        for prompt in prompts:
            assert prompt.title
            assert all(argument.description for argument in prompt.arguments or [])
            given = {a.name: "demo" for a in prompt.arguments or [] if a.required}
            [message] = (await client.get_prompt(prompt.name, given)).messages
            assert isinstance(message.content, TextContent)
            assert all(text in message.content.text for text in given.values())


async def test_arguments_are_completed_from_what_is_there(connect: Connect, world: World) -> None:
    log = ResourceTemplateReference(type="ref/resource", uri="build://{build_id}/log/{step}")
    recipe = ResourceTemplateReference(type="ref/resource", uri="recipe://{name}")
    prompt = PromptReference(type="ref/prompt", name="check_recipe")
    async with connect() as client:

        async def complete(ref: PromptReference | ResourceTemplateReference, name: str, typed: str) -> list[str]:
            return (await client.complete(ref, {"name": name, "value": typed})).completion.values

        assert await complete(recipe, "name", "mini") == ["minimal-bookworm", "minimal-trixie"]
        assert await complete(prompt, "recipe", "de") == ["demo"]
        assert await complete(log, "step", "b") == ["base_layer", "boot"]
        assert await complete(log, "build_id", ID[:4]) == [ID]
        assert await complete(log, "build_id", "minimal") == [ID]
        assert await complete(prompt, "colour", "") == []
    async with connect(STRANGER) as client:
        assert (await client.complete(log, {"name": "build_id", "value": ""})).completion.values == []


async def test_answers_link_to_what_can_be_read_further_where_clients_know_links(connect: Connect) -> None:
    async with connect() as client:
        result = await client.call_tool("get_build_status", {"build_id": ID})
        links = [str(block.uri) for block in result.content if block.type == "resource_link"]
        assert links == [f"build://{ID}/log", f"build://{ID}/artifacts"]
        for uri in links:
            assert await read(client, uri)
