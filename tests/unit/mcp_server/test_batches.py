"""Arrays of messages, which 2025-03-26 alone has."""

from contextlib import AbstractContextManager
from typing import Any

import pytest

from domain.caller import Caller
from domain.errors import Problem, RateLimited
from mcp_server.batches import MOST_MESSAGES
from mcp_server.stream import STREAM_PATH
from tests.fakes.factory import World
from tests.unit.mcp_server.http import ACCEPT, begin, hello, key, message, served

PING = message("ping")


async def asked(world: World, body: Any, **headers: str) -> tuple[int, Any]:
    async with served(world) as http:
        answer = await http.post(STREAM_PATH, json=body, headers={**ACCEPT, **key(), **headers})
        return answer.status_code, answer.json() if answer.content else None


async def test_each_request_has_its_answer_and_what_is_none_an_error(world: World) -> None:
    calls = [message("tools/call", number, name="whoami", arguments={}) for number in (1, 2)]
    status, found = await asked(
        world, [*calls, message("notifications/initialized", None), 5, message("no/such", 3), {}]
    )
    assert status == 200
    assert [one["id"] for one in found] == [1, 2, None, 3, None]
    assert [one["result"]["structuredContent"]["subject"] for one in found[:2]] == ["operator", "operator"]
    assert [one["error"]["code"] for one in found[2:4]] == [-32600, -32601]
    assert "error" in found[4]


async def test_notifications_alone_are_only_accepted(world: World) -> None:
    assert await asked(world, [message("notifications/initialized", None)] * 2) == (202, None)


@pytest.mark.parametrize("body", [[], [PING] * (MOST_MESSAGES + 1), [PING, hello("2025-03-26")]])
async def test_what_is_no_batch_is_refused(world: World, body: Any) -> None:
    status, answer = await asked(world, body)
    assert (status, answer["error"]["code"]) == (400, -32600)


@pytest.mark.parametrize("version", ["2024-11-05", "2025-06-18", "2025-11-25", "2026-07-28"])
async def test_other_versions_have_no_batches(world: World, version: str) -> None:
    status, answer = await asked(world, [PING], **{"MCP-Protocol-Version": version})
    assert status == 400
    assert "error" in answer


async def test_a_session_says_its_version(world: World) -> None:
    async with served(world) as http:
        for version, status in (("2025-03-26", 200), ("2025-06-18", 400)):
            session = {**key(), "Mcp-Session-Id": await begin(http, version)}
            assert (await http.post(STREAM_PATH, json=[PING], headers=session)).status_code == status


async def test_what_holds_for_the_whole_request_is_answered_once(world: World) -> None:
    status, answer = await asked(world, [PING, PING], Accept="application/json")
    assert status == 406
    assert "error" in answer


async def test_a_batch_counts_with_all_its_bytes(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []

    def counted(_caller: Caller, size: int, _network: str) -> None:
        sizes.append(size)

    monkeypatch.setattr(world.factory.limits, "sent", counted)
    status, _ = await asked(world, [message("ping", number, _meta={"x": "y" * 10_000}) for number in range(5)])
    assert status == 200
    [size] = sizes
    assert size > 50_000


async def test_each_message_counts_as_a_request(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    entries: list[str] = []
    limits = world.factory.limits
    enter = limits.entered

    def counted(caller: Caller, network: str) -> AbstractContextManager[None]:
        if len(entries) == 3:
            raise RateLimited(Problem(code="rate.limited", message="too many"))
        entries.append(network)
        return enter(caller, network)

    monkeypatch.setattr(limits, "entered", counted)
    status, found = await asked(world, [message("ping", number) for number in range(5)])
    assert status == 200
    assert len(entries) == 3
    assert [one.get("error", {}).get("message") for one in found] == [None] * 3 + ["too many"] * 2
