"""Requests that cannot be calls are answered before anything looks at them."""

import json
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from domain.caller import Caller
from domain.plan import PLANS
from mcp_server.bodies import LONGEST_BODY, SoundBodies
from mcp_server.callers import SCOPE_KEY
from tests.fakes.factory import GUEST, OPERATOR, World

CALL = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "whoami", "arguments": {"x": 1.5}}}


async def sent(
    *parts: bytes, method: str = "POST", caller: Caller = OPERATOR, world: World | None = None
) -> tuple[int, Any]:
    """Send a body in parts; answers the status and what the application read, or the refusal."""
    answer: dict[str, Any] = {"status": 200, "body": b""}
    waiting = list(parts)

    async def inside(_: Scope, receive: Receive, __: Send) -> None:
        message = await receive()
        answer["body"] += message.get("body", b"")
        assert not message.get("more_body")
        answer["after"] = (await receive())["type"]

    async def receive() -> Message:
        if not waiting:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": waiting.pop(0), "more_body": bool(waiting)}

    async def send(message: Message) -> None:
        answer["status"] = message.get("status", answer["status"])
        answer["body"] += message.get("body", b"")

    scope: Scope = {"type": "http", "method": method, "path": "/", "headers": [], SCOPE_KEY: caller}
    await SoundBodies(inside, (world or World()).factory)(scope, receive, send)
    return answer["status"], answer["body"]


async def test_a_call_passes_as_it_is_in_however_many_parts() -> None:
    body = json.dumps(CALL).encode()
    assert await sent(body) == (200, body)
    assert await sent(body[:5], body[5:6], b"", body[6:]) == (200, body)
    assert await sent(b"[]") == (200, b"[]")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"x",
        b"{",
        b"\xff\xfe{}",
        b'{"a": NaN}',
        b'{"a": -Infinity}',
        b'{"a": 1e400}',
        b'{"a": "\\ud800"}',
        b'{"a": "\x00"}',
        b'{"a": 1,}',
        b"[" * 100_000,
        b'{"a":' * 50_000,
        b"[" * 300 + b"]" * 300,
        b"{}{}",
    ],
)
async def test_what_is_no_json_is_told_with_a_way_out(body: bytes) -> None:
    status, answer = await sent(body)
    problem = json.loads(answer)["error"]
    assert (status, problem["code"], problem["data"]["code"]) == (400, -32700, "request.not_json")
    assert problem["data"]["next"]


async def test_a_body_without_end_is_cut() -> None:
    part = b" " * (LONGEST_BODY // 4)
    status, answer = await sent(*[part] * 5)
    assert (status, json.loads(answer)["error"]["data"]["code"]) == (413, "request.too_large")
    assert (await sent(b'"' + b"x" * (LONGEST_BODY - 2) + b'"'))[0] == 200


async def test_who_sent_too_much_is_refused_until_later_and_counted_and_nobody_else_is() -> None:
    world = World()
    body = b'"' + b"x" * (LONGEST_BODY - 2) + b'"'
    statuses = [(await sent(body, caller=GUEST, world=world))[0] for _ in range(3)]
    assert statuses == [200, 200, 429]
    _, answer = await sent(body, caller=GUEST, world=world)
    problem = json.loads(answer)
    assert (problem["code"], problem["retryable"]) == ("rate.limited", True)
    assert problem["retry_after"] > 1
    assert problem["next"]
    [(denial, times)] = world.denials.counted.items()
    assert (denial.code, denial.org_id, times) == ("rate.limited", GUEST.org_id, 2)
    assert (await sent(body, world=world))[0] == 200


@pytest.mark.parametrize("plan", PLANS)
def test_every_plan_takes_the_longest_body(plan: str) -> None:
    assert PLANS[plan].rate.burst_bytes >= LONGEST_BODY


async def test_what_has_no_body_passes() -> None:
    assert (await sent(b"not looked at", method="GET"))[0] == 200
