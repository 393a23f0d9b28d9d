"""Names told to a guest by its agent alone."""

import base64
import json
from typing import Any, cast

import pytest

from activities.machines import agent_names
from activities.machines.agent_names import with_block
from activities.machines.guest import LibvirtGuest
from activities.machines.hypervisor import AgentError, Hypervisor

_MAC, _ADDRESS = "52:54:00:AB:CD:EF", "10.212.0.2"
_HOSTS = "127.0.0.1\tlocalhost\n::1\tip6-localhost\n"
_LINES = "10.212.0.3\tserver server.suite\n"


class Agent:
    """A guest agent with one file, as much of one as is asked here."""

    def __init__(self, hosts: bytes | None, address: str = _ADDRESS, refuses: str = "") -> None:
        self.hosts = hosts
        self._address = address
        self._refuses = refuses
        self._at = 0
        self.asked: list[str] = []

    async def agent(self, _name: str, text: str, _seconds: int) -> str:
        asked = json.loads(text)
        return json.dumps({"return": self._answer(asked["execute"], asked.get("arguments", {}))})

    def _answer(self, command: str, arguments: dict[str, Any]) -> object:
        self.asked.append(command)
        if command == self._refuses or (command == "guest-file-open" and self.hosts is None):
            raise AgentError("no", silent=False)
        match command:
            case "guest-network-get-interfaces":
                card = {"hardware-address": _MAC.lower(), "ip-addresses": [{"ip-address": self._address}]}
                return [{"name": "lo"}, card]
            case "guest-file-open":
                return 1000
            case "guest-file-read":
                return {"buf-b64": base64.b64encode((self.hosts or b"")[: arguments["count"]]).decode()}
            case "guest-file-seek":
                self._at = arguments["offset"]
            case "guest-file-write":
                data = base64.b64decode(arguments["buf-b64"])
                self.hosts = data + (self.hosts or b"")[self._at + len(data) :]
            case _:
                pass
        return {}


def _guest(agent: Agent) -> LibvirtGuest:
    return LibvirtGuest(cast("Hypervisor", agent), "vm")


async def _introduced(agent: Agent, lines: str = _LINES) -> bool:
    return await agent_names.introduce(_guest(agent), {_MAC: _ADDRESS}, lines)


async def test_names_are_written_behind_the_guests_own() -> None:
    agent = Agent(_HOSTS.encode())
    assert await _introduced(agent)
    assert agent.hosts is not None
    assert agent.hosts.startswith(_HOSTS.encode())
    assert agent.hosts.decode() == with_block(_HOSTS, _LINES)
    assert agent.asked[-1] == "guest-file-close"


async def test_what_is_known_already_is_not_written_again() -> None:
    agent = Agent(with_block(_HOSTS, _LINES).encode())
    assert await _introduced(agent)
    assert "guest-file-write" not in agent.asked


async def test_fewer_names_leave_nothing_of_the_earlier_ones() -> None:
    agent = Agent(with_block(_HOSTS, _LINES * 3 + "10.212.0.9\tgone\n").encode())
    assert await _introduced(agent)
    assert agent.hosts is not None
    assert agent.hosts.decode().rstrip("\n") + "\n" == with_block(_HOSTS, _LINES)


@pytest.mark.parametrize("refuses", ["guest-network-get-interfaces", "guest-file-open", "guest-file-write"])
async def test_an_agent_that_may_not_leaves_it_to_the_program(refuses: str) -> None:
    agent = Agent(_HOSTS.encode(), refuses=refuses)
    assert not await _introduced(agent)
    assert agent.hosts == _HOSTS.encode()


async def test_a_guest_without_the_file_leaves_it_to_the_program() -> None:
    assert not await _introduced(Agent(None))


async def test_a_card_that_gets_no_address_leaves_it_to_the_program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agent_names, "_LEASE_SECONDS", 0.0)
    agent = Agent(_HOSTS.encode(), address="192.0.2.1")
    assert not await _introduced(agent)
    assert agent.hosts == _HOSTS.encode()


@pytest.mark.parametrize("text", ["", "\n\n", "127.0.0.1 localhost", _HOSTS, _HOSTS + "\n\n"])
def test_the_block_is_replaced_and_nothing_else(text: str) -> None:
    once = with_block(text, _LINES)
    assert with_block(once, _LINES) == once
    assert with_block(once, "10.0.0.1\tother\n").count("BEGIN") == 1
    assert [line for line in text.splitlines() if line] == [
        line for line in once.splitlines()[: -len(_LINES.splitlines()) - 2] if line
    ]
