"""Resources, prompts and completions: faces of the same service, for the same callers."""

import json

import pytest
from mcp import Client, MCPError
from mcp.types import Completion, PromptReference, ResourceTemplateReference, TextContent, TextResourceContents

from domain.build import events as e
from domain.caller import Caller
from service.admission.credentials import OPERATOR
from service.recipe_commands import SaveWish, save_recipe
from tests.fakes.factory import NOBODY, NOW, READER, STRANGER, World, failed, published, recipe_document
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
        formless = await refusal(client, "https://elsewhere/" + "x" * 70_000)
    assert {error.error.code for error in (*foreign, absent, unknown, formless)} == {code}
    assert len(str(formless.error)) < 1_000
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


@pytest.mark.parametrize("mode", ["2026-07-28", "legacy"])
@pytest.mark.parametrize(
    ("prompt", "given", "codes"),
    [
        ("mend_build", {}, {"build_id": "argument.missing"}),
        ("mend_build", None, {"build_id": "argument.missing"}),
        ("mend_build", {"bild_id": ID, "": "x"}, {"build_id": "missing", "bild_id": "unknown", '""': "unknown"}),
        ("summarize_builds", {"colour": "red"}, {"colour": "unknown"}),
        ("check_recipe", {"recipe": "a\0b"}, {"recipe": "invalid"}),
        ("check_recipe", {"recipe": "x", "": "\0"}, {'""': "unknown"}),
        ("no_such_prompt", {}, {"name": "prompt.not_found"}),
    ],
)
async def test_wrong_arguments_of_a_prompt_are_invalid_params_each_with_a_way_out(
    connect: Connect, mode: str, prompt: str, given: dict[str, str] | None, codes: dict[str, str]
) -> None:
    async with connect(mode=mode) as client:
        with pytest.raises(MCPError) as refused:
            await client.get_prompt(prompt, given)
    error = refused.value.error
    assert error.code == -32602
    listed = {problem["path"]: problem for problem in error.data["problems"]}
    assert set(listed) == set(codes)
    for path, code in codes.items():
        assert listed[path]["code"].endswith(code)
        assert listed[path]["next"]
        assert f"{listed[path]['code']}: {listed[path]['message']}" in error.message


async def test_completions_find_what_begins_so_among_many_and_say_if_there_is_more(
    connect: Connect, world: World
) -> None:
    for number in range(60):
        document = {**recipe_document(), "name": f"r{number:02}"}
        await save_recipe(world.factory, OPERATOR, document, SaveWish())
        world.build(build_id=f"{number:08x}-1111-4111-8111-111111111111")
        asked_run(world.tests, f"{number:08x}-2222-4222-8222-222222222222", plan_of_cases("web"))
    recipe = ResourceTemplateReference(type="ref/resource", uri="recipe://{name}")
    build = ResourceTemplateReference(type="ref/resource", uri="build://{build_id}")
    run = ResourceTemplateReference(type="ref/resource", uri="test-run://{run_id}")
    async with connect() as client:

        async def complete(ref: ResourceTemplateReference, name: str, typed: str) -> Completion:
            return (await client.complete(ref, {"name": name, "value": typed})).completion

        assert (await complete(recipe, "name", "r59")).values == ["r59"]
        assert (await complete(build, "build_id", "00000000")).values == ["00000000-1111-4111-8111-111111111111"]
        assert (await complete(run, "run_id", "00000000")).values == ["00000000-2222-4222-8222-222222222222"]
        for ref, name, typed in ((recipe, "name", "r"), (build, "build_id", "minimal"), (run, "run_id", "0")):
            many = await complete(ref, name, typed)
            assert (len(many.values), many.has_more, many.total) == (50, True, None)
        few = await complete(recipe, "name", "r1")
        assert (few.values, few.has_more, few.total) == ([f"r1{n}" for n in range(10)], False, 10)
        assert (await complete(recipe, "name", "r\0")).values == []


async def test_arguments_are_completed_from_what_is_there(connect: Connect, world: World) -> None:
    log = ResourceTemplateReference(type="ref/resource", uri="build://{build_id}/log/{step}")
    recipe = ResourceTemplateReference(type="ref/resource", uri="recipe://{name}")
    prompt = PromptReference(type="ref/prompt", name="check_recipe")
    async with connect() as client:

        async def complete(ref: PromptReference | ResourceTemplateReference, name: str, typed: str) -> list[str]:
            return (await client.complete(ref, {"name": name, "value": typed})).completion.values

        assert await complete(recipe, "name", "mini") == ["minimal-bookworm", "minimal-trixie"]
        assert await complete(prompt, "recipe", "de") == ["demo"]
        console = PromptReference(type="ref/prompt", name="console_of_latest_build")
        assert await complete(console, "name", "de") == ["demo"]
        assert await complete(log, "step", "b") == ["base_layer", "boot"]
        assert await complete(log, "build_id", ID[:4]) == [ID]
        assert await complete(log, "build_id", "minimal") == [ID]
        assert await complete(prompt, "colour", "") == []
    async with connect(STRANGER) as client:
        assert (await client.complete(log, {"name": "build_id", "value": ""})).completion.values == []


async def test_only_prompts_and_templates_that_are_there_can_be_completed(connect: Connect) -> None:
    absent = PromptReference(type="ref/prompt", name="nope")
    hidden = PromptReference(type="ref/prompt", name="console_of_latest_build")
    form = ResourceTemplateReference(type="ref/resource", uri="nope://{build_id}")
    for caller, ref, code in (
        (OPERATOR, absent, "prompt.not_found"),
        (READER, hidden, "prompt.not_found"),
        (OPERATOR, form, "resource.not_found"),
    ):
        async with connect(caller) as client:
            for name in ("name", "build_id", "colour"):
                with pytest.raises(MCPError) as refused:
                    await client.complete(ref, {"name": name, "value": ""})
                assert refused.value.error.code == -32602
                assert refused.value.error.data["problems"][0]["code"] == code


async def test_tags_of_builds_are_completed_while_they_stand_for_one(connect: Connect, world: World) -> None:
    ref = ResourceTemplateReference(type="ref/resource", uri="build://{build_id}")

    async def complete(typed: str) -> list[str]:
        async with connect() as client:
            return (await client.complete(ref, {"name": "build_id", "value": typed})).completion.values

    assert await complete("lat") == ["latest"]
    assert (await complete(""))[:2] == ["latest", ID]
    other = "22222222-1111-4111-8111-111111111111"
    done = e.BuildCompleted(build_id=other, org_id="local", at=NOW, seconds=1)
    world.build(published(other), done, build_id=other)
    assert await complete("latest") == ["latest", "latest-verified"]
    assert await complete("latest-") == ["latest-verified"]


async def test_answers_link_to_what_can_be_read_further_where_clients_know_links(connect: Connect) -> None:
    async with connect() as client:
        result = await client.call_tool("get_build_status", {"build_id": ID})
        links = [str(block.uri) for block in result.content if block.type == "resource_link"]
        assert links == [f"build://{ID}/log", f"build://{ID}/artifacts"]
        for uri in links:
            assert await read(client, uri)
