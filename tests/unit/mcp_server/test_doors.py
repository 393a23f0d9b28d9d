"""The door of the MCP server: who comes in by which header, who does not, and what is counted."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from domain.caller import Caller
from mcp_server.auth import BearerAuth
from mcp_server.callers import SCOPE_KEY
from service.guests import mint_guest
from service.limits import STRANGERS
from tests.fakes.factory import GUEST, OPERATOR, World
from tests.unit.mcp_server.conftest import Connect

HERE = "192.0.2.1"


class Answer:
    """What a request got: a status and headers, and who it was taken for."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.body = b""
        self.caller: Caller | None = None

    @property
    def problem(self) -> dict[str, Any]:
        return json.loads(self.body)


Ask = Callable[..., Any]


@pytest.fixture
def ask(world: World) -> Ask:
    async def asked(*, client: str = "127.0.0.1", **headers: str) -> Answer:
        answer = Answer()

        async def inside(scope: Scope, receive: Receive, send: Send) -> None:
            answer.status, answer.caller = 200, scope[SCOPE_KEY]

        async def send(message: Message) -> None:
            if message["type"] == "http.response.start":
                answer.status = message["status"]
                answer.headers = {name.decode(): value.decode() for name, value in message["headers"]}
            else:
                answer.body += message.get("body", b"")

        async def receive() -> Message:
            return {"type": "http.request", "body": b"", "more_body": False}

        raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
        scope = {"type": "http", "path": "/mcp-stream/mcp", "method": "POST", "headers": raw, "client": (client, 1)}
        await BearerAuth(inside, world.factory)(scope, receive, send)
        return answer

    return asked


async def test_a_key_and_a_guest_token_let_in_and_nothing_else_does(world: World, ask: Ask) -> None:
    token = (await mint_guest(world.factory, HERE)).token
    assert (await ask(authorization="Bearer operator-key")).caller == OPERATOR
    guest = (await ask(x_guest_id=token)).caller
    assert guest is not None
    assert guest.plan == "guest"
    for headers in ({}, {"x_guest_id": "x"}, {"authorization": f"Bearer {token}"}, {"authorization": "Basic x"}):
        answer = await ask(**headers)
        assert (answer.status, answer.caller) == (401, None)
        assert answer.problem["next"]
        assert token not in answer.body.decode()


async def test_a_revoked_guest_is_out_with_the_next_request(world: World, ask: Ask) -> None:
    made = await mint_guest(world.factory, HERE)
    assert (await ask(x_guest_id=made.token)).status == 200
    await world.guests.revoke(made.guest.guest_id)
    answer = await ask(x_guest_id=made.token)
    assert (answer.status, answer.problem["code"]) == (401, "guest.revoked")


async def test_too_many_wrong_keys_of_an_address_are_429_and_the_right_one_still_opens(world: World, ask: Ask) -> None:
    statuses = [
        (await ask(authorization="Bearer wrong", x_forwarded_for=HERE)).status for _ in range(STRANGERS.burst + 1)
    ]
    assert statuses == [*[401] * STRANGERS.burst, 429]
    limited = await ask(authorization="Bearer wrong", x_forwarded_for=HERE)
    assert limited.problem["code"] == "rate.limited"
    assert int(limited.headers["retry-after"]) == limited.problem["retry_after"] >= 1
    assert (await ask(authorization="Bearer operator-key", x_forwarded_for=HERE)).status == 200
    assert (await ask(authorization="Bearer wrong", x_forwarded_for="198.51.100.1")).status == 401
    counted = {(denial.code, denial.network): times for denial, times in world.denials.counted.items()}
    assert counted["auth.invalid", HERE] == STRANGERS.burst
    assert counted["rate.limited", HERE] == 2


async def test_only_the_gateway_on_this_machine_says_where_a_request_is_from(world: World, ask: Ask) -> None:
    await ask(client="203.0.113.9", x_forwarded_for=HERE)
    await ask(client="127.0.0.1", x_forwarded_for=HERE)
    assert {denial.network for denial in world.denials.counted} == {"203.0.113.9", HERE}


async def test_what_a_tool_denies_is_counted_with_who_asked(connect: Connect, world: World) -> None:
    async with connect(GUEST) as client:
        await client.call_tool("create_test_suite", {"suite": {}})
        await client.call_tool("get_build_status", {"build_id": "x"})
    [denial] = world.denials.counted
    assert (denial.code, denial.what, denial.org_id) == ("permission.denied", "create_test_suite", GUEST.org_id)


async def test_a_guest_is_shown_only_the_tools_it_may_use(connect: Connect) -> None:
    async with connect(GUEST) as client:
        shown = {tool.name for tool in (await client.list_tools()).tools}
    assert {"create_build", "create_vm", "whoami"} <= shown
    assert not {"create_test_suite", "run_test_suite", "create_image_upload", "run_verification"} & shown
