"""What the server costs a conversation: the list of tools, and the largest reply of every tool."""

import json

from mcp.types import CallToolResult, ImageContent

from mcp_server.server import build_tools
from service.admission.credentials import OPERATOR
from tests.fakes.factory import World
from tests.tokens import tokens
from tests.unit.mcp_server.conftest import Connect

MOST_TOKENS = 6_000
MOST_LIST_TOKENS = 12_000
LONG = "Zażółć gęślą jaźń 1234567890abcdef " * 60  # longer than any reply shows of one text
MANY = 120


async def test_the_list_of_tools_costs_less_than_12000_tokens(connect: Connect) -> None:
    async with connect() as client:
        listed = (await client.list_tools()).model_dump(mode="json", by_alias=True, exclude_none=True)
    assert tokens(json.dumps(listed, separators=(",", ":"))) < MOST_LIST_TOKENS


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
