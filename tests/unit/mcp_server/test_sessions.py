"""Sessions of older clients: bound to their caller, and remembered by nobody."""

import pytest

from mcp_server.stream import STREAM_PATH
from service.admission.credentials import OPERATOR
from service.client_sessions import seal_session
from tests.fakes.factory import STRANGER, World
from tests.unit.mcp_server.http import answered, begin, hello, key, message, served

HANDSHAKES = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")
PING = message("ping")


async def test_a_session_of_every_version_goes_on_after_a_restart(world: World) -> None:
    async with served(world) as http:
        sessions = [await begin(http, version) for version in HANDSHAKES]
    assert len(set(sessions)) == len(HANDSHAKES)
    async with served(world) as http:
        for session in sessions:
            answer = await http.post(STREAM_PATH, json=message("tools/list"), headers=key(Mcp_Session_Id=session))
            assert answer.status_code == 200
            assert '"whoami"' in answer.text


async def test_an_unknown_version_is_answered_with_the_newest_that_has_a_handshake(world: World) -> None:
    async with served(world) as http:
        answer = await http.post(STREAM_PATH, json=hello("1999-01-01"), headers=key())
    assert '"protocolVersion":"2025-11-25"' in answer.text
    assert answer.headers["Mcp-Session-Id"]


async def test_another_callers_session_is_one_that_never_was(world: World) -> None:
    async with served(world) as http:
        session = await begin(http)
        for who in ("stranger-key", "reader-key"):
            foreign = await http.post(STREAM_PATH, json=PING, headers=key(who, Mcp_Session_Id=session))
            forged = await http.post(STREAM_PATH, json=PING, headers=key(who, Mcp_Session_Id="a" * 32))
            assert foreign.status_code == forged.status_code == 404
            assert foreign.json() == forged.json()
            assert "initialize" in foreign.json()["error"]["message"]


async def test_an_initialize_that_is_refused_opens_no_session(world: World) -> None:
    async with served(world) as http:
        refused = await http.post(STREAM_PATH, json=message("initialize"), headers=key())
    assert (refused.status_code, answered(refused)["error"]["code"]) == (200, -32602)
    assert "Mcp-Session-Id" not in refused.headers


async def test_who_wants_no_session_needs_none(world: World) -> None:
    async with served(world) as http:
        answer = await http.post(STREAM_PATH, json=PING, headers=key())
    assert answer.status_code == 200
    assert "Mcp-Session-Id" not in answer.headers


async def test_there_is_no_stream_to_open_and_no_session_to_end(world: World) -> None:
    async with served(world) as http:
        session = await begin(http)
        for method in ("GET", "DELETE"):
            answer = await http.request(method, STREAM_PATH, headers=key(Mcp_Session_Id=session))
            assert (answer.status_code, answer.headers["Allow"]) == (405, "POST")


async def test_a_stream_that_is_closed_is_away_and_a_foreign_one_never_was(world: World) -> None:
    stream = "0" * 32
    seals = {caller: seal_session(world.factory, caller, "sse", stream) for caller in (OPERATOR, STRANGER)}
    other_kind = seal_session(world.factory, OPERATOR, "stream", stream)
    async with served(world) as http:

        async def post(seal: str, session: str = stream) -> int:
            answer = await http.post(
                "/mcp/messages", params={"session_id": session, "seal": seal}, json=PING, headers=key()
            )
            if answer.status_code == 503:
                assert answer.headers["Retry-After"] == "1"
            return answer.status_code

        assert await post(seals[OPERATOR]) == 503
        assert await post(seals[STRANGER]) == 404
        assert await post(seals[OPERATOR], "1" * 32) == 404
        assert await post(other_kind) == 404
        assert await post("") == 404


async def test_every_door_asks_for_the_key_and_knows_its_name(world: World) -> None:
    params = {"session_id": "0" * 32, "seal": seal_session(world.factory, OPERATOR, "sse", "0" * 32)}
    async with served(world) as http:
        for method, path in (("GET", "/mcp/sse"), ("POST", "/mcp/messages"), ("POST", STREAM_PATH)):
            body = PING if method == "POST" else None
            assert (await http.request(method, path, params=params, json=body)).status_code == 401
            for name, value, status in (("Host", "evil.example", 421), ("Origin", "https://evil.example", 403)):
                answer = await http.request(method, path, params=params, json=body, headers=key(**{name: value}))
                assert answer.status_code == status, path
                assert answer.json()["code"] == ("host.not_allowed" if name == "Host" else "origin.not_allowed")


async def test_names_are_known_by_any_case_and_addresses_by_any_spelling(world: World) -> None:
    async with served(world) as http:
        for names in ({"Host": "LocalHost:8080"}, {"Origin": "HTTP://LocalHost:8080"}, {"Host": "[0::1]:8080"}):
            answer = await http.post(STREAM_PATH, json=PING, headers=key(**names))
            assert answer.status_code == 200, names
        assert (await http.get("/healthz", headers={"Host": "anything"})).status_code == 200


@pytest.mark.parametrize("body", ["[]", "7", "{}", '{"jsonrpc": "1.0", "id": 1, "method": "ping"}', '{"method": 7}'])
async def test_json_that_is_no_message_is_answered_as_such_before_a_stream_sees_it(world: World, body: str) -> None:
    stream = "0" * 32
    address = {"session_id": stream, "seal": seal_session(world.factory, OPERATOR, "sse", stream)}
    async with served(world) as http:
        answer = await http.post("/mcp/messages", params=address, content=body, headers=key())
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, -32600)
        foreign = await http.post("/mcp/messages", params=address, content=body, headers=key("stranger-key"))
        assert foreign.status_code == 404
