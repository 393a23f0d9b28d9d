"""What the server costs a conversation: the list of tools, and the largest reply of every tool."""

import json
import random
import string
from typing import Any

import pytest
from mcp.types import CallToolResult, ImageContent, TextContent

from mcp_server.budget import LENGTHS
from mcp_server.render_words import FENCE_BEGIN, FENCE_END
from mcp_server.server import build_tools
from service.admission.credentials import OPERATOR
from tests.fakes.factory import World
from tests.fakes.plenty import MANY, fill
from tests.tokens import tokens
from tests.unit.mcp_server.conftest import Connect
from tests.unit.mcp_server.test_access import BUILT, ID, ROWS

MOST_TOKENS = 6_000
MOST_ASKED_TOKENS = 12_000
MOST_LIST_TOKENS = 12_000
WHOLE = {"get_test_suite"}  # with detail=full the document as it was sent, however long
LONG = "Zażółć gęślą jaźń 1234567890abcdef " * 60  # longer than any reply shows of one text
# What costs little, what costs twice as much, and what nobody writes but to cost even more.
TEXTS = {
    "plain": "the unit nginx.service failed with exit code 1, " * 45,
    "accents": LONG,
    "random": "".join(random.Random(4).choices(string.ascii_lowercase, k=2_100)),
}


async def test_the_list_of_tools_costs_less_than_12000_tokens(connect: Connect) -> None:
    async with connect() as client:
        listed = (await client.list_tools()).model_dump(mode="json", by_alias=True, exclude_none=True)
    assert tokens(json.dumps(listed, separators=(",", ":"))) < MOST_LIST_TOKENS


async def test_no_refusal_costs_more_than_6000_tokens_however_much_is_wrong(connect: Connect, world: World) -> None:
    async with connect() as client:
        for tool in build_tools(world.factory, lambda _: OPERATOR):
            wrong = {f"{LONG}{number}": LONG for number in range(MANY)}
            assert tokens(seen(await client.call_tool(tool.name, wrong))) < MOST_TOKENS, tool.name


@pytest.mark.parametrize("kind", TEXTS)
async def test_no_reply_costs_more_than_6000_tokens_unless_asked(connect: Connect, world: World, kind: str) -> None:
    fill(world, TEXTS[kind], failed_id=ID, completed_id=BUILT)
    dear: dict[str, int] = {}
    async with connect() as client:
        for tool in build_tools(world.factory, lambda _: OPERATOR):
            arguments = ROWS[tool.name][0]
            cost = tokens(seen(await client.call_tool(tool.name, arguments)))
            if cost > MOST_TOKENS:
                dear[tool.name] = cost
    assert dear == {}


@pytest.mark.parametrize("kind", TEXTS)
async def test_a_reply_of_a_length_that_was_asked_for_is_not_endless(connect: Connect, world: World, kind: str) -> None:
    fill(world, TEXTS[kind], failed_id=ID, completed_id=BUILT)
    dear: dict[str, int] = {}
    async with connect() as client:
        for tool in (tool for tool in build_tools(world.factory, lambda _: OPERATOR) if tool.name not in WHOLE):
            for length in lengths(tool.parameters["properties"]):
                cost = tokens(seen(await client.call_tool(tool.name, {**ROWS[tool.name][0], **length})))
                if cost > MOST_ASKED_TOKENS:
                    dear[f"{tool.name} {length}"] = cost
    assert dear == {}


async def test_a_text_that_is_cut_says_so_and_closes_its_fence(connect: Connect, world: World) -> None:
    fill(world, LONG, failed_id=ID, completed_id=BUILT)
    async with connect() as client:
        result = await client.call_tool("run_vm_command", {"vm_id": ID, "command": ["true"]})
    text = result.content[0]
    assert isinstance(text, TextContent)
    assert "characters more" in text.text
    assert text.text.count(FENCE_BEGIN) == text.text.count(FENCE_END) == 1


def lengths(properties: dict[str, Any]) -> list[dict[str, Any]]:
    """Ask in each way for as much as the tool gives."""
    return [
        {name: properties[name]["enum"][-1] if "enum" in properties[name] else properties[name]["maximum"]}
        for name in sorted(LENGTHS & properties.keys())
    ]


def seen(result: CallToolResult) -> str:
    """Return all that a client may show a model of it: the text and the data, without pictures."""
    blocks = [block for block in result.content if not isinstance(block, ImageContent)]
    shown = result.model_copy(update={"content": blocks})
    return json.dumps(shown.model_dump(mode="json", by_alias=True, exclude_none=True), ensure_ascii=False)
