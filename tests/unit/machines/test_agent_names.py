"""Names told to a guest by its agent alone."""

import base64
import json
from pathlib import Path
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

    def __init__(
        self, hosts: bytes | None, address: str = _ADDRESS, *, refuses: str = "", mute: str = "", odd: str = ""
    ) -> None:
        self.hosts = hosts
        self._address = address
        self._refuses = refuses
        self._mute = mute
        self._odd = odd
        self._at = 0
        self._open: set[int] = set()
        self._buffered: tuple[int, bytes] | None = None
        self.asked: list[str] = []

    @property
    def has_open(self) -> bool:
        """Whether a handle was left."""
        return bool(self._open)

    async def agent(self, _name: str, text: str, _seconds: int) -> str:
        asked = json.loads(text)
        return json.dumps({"return": self._answer(asked["execute"], asked.get("arguments", {}))})

    def _answer(self, command: str, arguments: dict[str, Any]) -> object:
        self.asked.append(command)
        if command == self._refuses or (command == "guest-file-open" and self.hosts is None):
            raise AgentError("no", silent=False)
        done = self._do(command, arguments)
        if command == self._mute:
            self._mute = ""
            raise AgentError("done, but nobody heard of it", silent=True)
        return "?" if command == self._odd else done

    def _do(self, command: str, arguments: dict[str, Any]) -> object:
        hosts = self.hosts or b""
        match command:
            case "guest-network-get-interfaces":
                bridge = {"hardware-address": _MAC.lower(), "ip-addresses": [{"ip-address": self._address}]}
                return [{"name": "lo"}, bridge, {"hardware-address": _MAC.lower()}]
            case "guest-file-open":
                self._at = 0
                self._open.add(1000)
                return 1000
            case "guest-file-read":
                data = hosts[self._at : self._at + arguments["count"]]
                self._at += len(data)
                return {"buf-b64": base64.b64encode(data).decode(), "eof": self._at == len(hosts)}
            case "guest-file-seek":
                self._at = arguments["offset"]
            case "guest-file-write":
                self._buffered = (self._at, base64.b64decode(arguments["buf-b64"]))
            case "guest-file-flush" if self._buffered is not None:
                at, data = self._buffered
                self.hosts = hosts[:at] + data + hosts[at + len(data) :]
            case "guest-file-close":
                self._open.discard(arguments["handle"])
            case _:
                pass
        return {}


def _guest(agent: Agent) -> LibvirtGuest:
    return LibvirtGuest(cast("Hypervisor", agent), "vm")


async def _introduced(agent: Agent, lines: str = _LINES) -> str:
    return await agent_names.introduce(_guest(agent), {_MAC: _ADDRESS}, lines)


async def test_names_are_written_behind_the_guests_own() -> None:
    agent = Agent(_HOSTS.encode())
    assert await _introduced(agent) == "done"
    assert agent.hosts is not None
    assert agent.hosts.startswith(_HOSTS.encode())
    assert agent.hosts.decode() == with_block(_HOSTS, _LINES)
    assert not agent.has_open


async def test_what_is_known_already_is_not_written_again() -> None:
    agent = Agent(with_block(_HOSTS, _LINES).encode())
    assert await _introduced(agent) == "done"
    assert "guest-file-write" not in agent.asked


async def test_fewer_names_leave_nothing_of_the_earlier_ones() -> None:
    agent = Agent(with_block(_HOSTS, _LINES * 3 + "10.212.0.9\tgone\n").encode())
    assert await _introduced(agent) == "done"
    assert agent.hosts is not None
    assert agent.hosts.decode().rstrip("\n") + "\n" == with_block(_HOSTS, _LINES)


_EVERY = ["guest-network-get-interfaces", "guest-file-open", "guest-file-read", "guest-file-write", "guest-file-flush"]


@pytest.mark.parametrize("command", _EVERY)
async def test_an_agent_that_may_not_leaves_it_to_the_program(command: str) -> None:
    agent = Agent(_HOSTS.encode(), refuses=command)
    assert await _introduced(agent) == "cannot"
    assert agent.hosts == _HOSTS.encode()
    assert not agent.has_open


@pytest.mark.parametrize("command", ["guest-network-get-interfaces", "guest-file-open", "guest-file-read"])
async def test_an_agent_that_answers_otherwise_leaves_it_to_the_program(command: str) -> None:
    agent = Agent(_HOSTS.encode(), odd=command)
    assert await _introduced(agent) == "cannot"
    assert agent.hosts == _HOSTS.encode()


@pytest.mark.parametrize("command", ["guest-file-open", "guest-file-read", "guest-file-seek", "guest-file-write"])
async def test_a_lost_answer_is_not_asked_for_again(command: str) -> None:
    agent = Agent(_HOSTS.encode(), mute=command)
    assert await _introduced(agent) == "cannot"
    assert agent.hosts == _HOSTS.encode()
    assert agent.asked.count(command) == 1


async def test_a_guest_without_the_file_leaves_it_to_the_program() -> None:
    assert await _introduced(Agent(None)) == "cannot"


async def test_a_file_that_is_too_long_is_left_alone() -> None:
    long = b"#" * (1 << 17)
    agent = Agent(long)
    assert await _introduced(agent) == "cannot"
    assert agent.hosts == long


async def test_a_card_that_gets_no_address_leaves_it_to_the_program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agent_names, "LEASE_SECONDS", 0.0)
    agent = Agent(_HOSTS.encode(), address="192.0.2.1")
    assert await _introduced(agent) == "no address"
    assert agent.hosts == _HOSTS.encode()


@pytest.mark.parametrize("text", ["", "\n\n", "127.0.0.1 localhost", _HOSTS, _HOSTS + "\n\n", "# a\x0cb\u2028c\n"])
def test_the_block_is_replaced_and_nothing_else(text: str) -> None:
    once = with_block(text, _LINES)
    assert with_block(once, _LINES) == once
    assert with_block(once, "10.0.0.1\tother\n").count("BEGIN") == 1
    assert once.startswith(text.rstrip("\n"))


def test_the_program_marks_its_block_as_the_agent_does() -> None:
    script = Path(agent_names.__file__).with_name("join_networks.sh").read_text(encoding="utf-8")
    assert f"begin='{agent_names.BEGIN}'" in script
    assert f"end='{agent_names.END}'" in script
