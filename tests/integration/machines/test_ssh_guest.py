"""Programs in a guest without an agent, over SSH, on a real Debian's server; it is told of the key as at a start."""

import asyncio
import base64
import ctypes
import os
import shutil
import socket
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from activities.machines.hypervisor import Condition
from activities.machines.ssh_guest import SshGuest
from activities.machines.ssh_key import key_file, make_key, oem_strings
from activities.verification.check import Probe
from activities.verification.driver import ask
from domain.errors import Fault, Verdict
from domain.recipe.ssh_access import SshAccess
from infra.netns.relay import Stream
from tests.integration.machines.conftest import blocking
from tests.integration.verification.debian_system import DebianSystem, debian_system

pytestmark = [
    pytest.mark.integration,
    pytest.mark.timeout(600),  # the first run makes the tree
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can start a system in namespaces"),
    pytest.mark.skipif(shutil.which("mmdebstrap") is None, reason="mmdebstrap is not installed"),
]
ROOT = SshAccess()
ANN = SshAccess(user="ann", home="/home/ann")
_NEWNET = 0x40000000  # setns(2)


class Ports:
    """Streams to ports of the system, opened inside its network namespace."""

    def __init__(self, pid: int) -> None:
        self._pid = pid

    async def open_guest_port(self, machine: str, port: int) -> Stream:
        with ThreadPoolExecutor(1) as thread:  # a namespace is a thread's: this one ends with the call
            try:
                wire = await asyncio.get_running_loop().run_in_executor(thread, self._connect, port)
            except ConnectionRefusedError as error:
                raise Verdict.because("guest.port_closed", str(error)) from error
        return await asyncio.open_connection(sock=wire)

    def _connect(self, port: int) -> socket.socket:
        with Path(f"/proc/{self._pid}/ns/net").open("rb") as namespace:
            assert ctypes.CDLL(None).setns(namespace.fileno(), _NEWNET) == 0
        return socket.create_connection(("127.0.0.1", port), 10)


class Running:
    """A hypervisor that says how the machine is."""

    def __init__(self, condition: Condition = Condition.RUNNING) -> None:
        self.is_so = condition

    async def condition(self, name: str) -> Condition:
        return self.is_so


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("vm")
    blocking(make_key(made))
    blocking(make_key(made))  # harmless to repeat
    return made


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory, folder: Path) -> Generator[DebianSystem]:
    with debian_system(tmp_path_factory.mktemp("system")) as started:
        started.shell("useradd -m -s /bin/bash ann; echo 'ann ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/ann")
        for access in (ROOT, ANN):
            _told(started, oem_strings(folder, access))
        yield started


def _told(system: DebianSystem, strings: tuple[str, ...]) -> None:
    """Hand credentials to systemd-tmpfiles as PID 1 does with those of SMBIOS (systemd.exec(5))."""
    for text in strings:
        kind, _, rest = text.partition(":")
        name, _, value = rest.partition("=")
        assert kind == "io.systemd.credential.binary"
        decoded = base64.b64decode(value).decode()
        system.shell(f"mkdir -p /run/told; cat > /run/told/{name} <<'END'\n{decoded}\nEND")
    system.shell("CREDENTIALS_DIRECTORY=/run/told systemd-tmpfiles --create; rm -r /run/told")


@pytest.fixture(params=[ROOT, ANN], ids=["root", "sudo"])
def guest(request: pytest.FixtureRequest, system: DebianSystem, folder: Path) -> SshGuest:
    return SshGuest("vm-test", request.param, key_file(folder), Ports(system.pid), Running())


async def test_a_program_runs_as_root_with_its_input_and_all_it_says(guest: SshGuest) -> None:
    done = await guest.run(("sh", "-c", "id -u; cat; echo wrong >&2; exit 7"), timeout=20, stdin=b"in\x00put")
    assert (done.status, done.stdout, done.stderr) == (7, b"0\nin\x00put", b"wrong")


async def test_every_argument_arrives_as_it_is(guest: SshGuest) -> None:
    words = ("a b", "", "'\"", "ä\n\tö", "$HOME", "`id`", "\\", "*", "-n", "%d;%%")
    done = await guest.run(("printf", "[%s]", *words), timeout=20)
    assert done.stdout.decode() == "".join(f"[{word}]" for word in words)


async def test_many_questions_are_asked_in_one_session(guest: SshGuest) -> None:
    answers = await ask(guest, [Probe(argv=("echo", str(i))) for i in range(30)])
    assert [answer.out for answer in answers] == [f"{i}\n" for i in range(30)]


async def test_a_program_that_is_not_there_has_the_shell_s_status(guest: SshGuest) -> None:
    assert (await guest.run(("no-such-program",), timeout=20)).status == 127


async def test_a_program_that_does_not_end_is_ended(guest: SshGuest) -> None:
    with pytest.raises(Verdict, match=r"guest\.timeout"):
        await guest.run(("sleep", "3217"), timeout=1)
    assert (await guest.run(("sh", "-c", "! pgrep -x -f 'sleep 3217'"), timeout=20)).status == 0


async def test_a_flood_is_refused(guest: SshGuest) -> None:
    with pytest.raises(Verdict, match=r"guest\.output_too_large"):
        await guest.run(("cat", "/dev/zero"), timeout=60)


async def test_the_account_s_own_keys_stay_as_they_were(system: DebianSystem) -> None:
    assert system.shell("ls -a /home/ann/.ssh; stat -c '%U %a' /home/ann/.ssh").split() == [
        *(".", "..", "authorized_keys2", "ann", "700")
    ]


async def test_another_key_is_not_let_in(system: DebianSystem, tmp_path: Path) -> None:
    await make_key(tmp_path)
    stranger = SshGuest("vm-test", ROOT, key_file(tmp_path), Ports(system.pid), Running())
    with pytest.raises(Verdict, match=r"guest\.unreachable.*Permission denied"):
        await stranger.run(("true",), timeout=20)


async def test_a_machine_that_was_lost_is_the_factory_s_fault(system: DebianSystem, tmp_path: Path) -> None:
    await make_key(tmp_path)
    lost = SshGuest("vm-test", ROOT, key_file(tmp_path), Ports(system.pid), Running(Condition.KILLED))
    with pytest.raises(Fault, match=r"machine\.lost"):
        await lost.run(("true",), timeout=20)


async def test_a_closed_port_is_said_at_once(system: DebianSystem, folder: Path) -> None:
    closed = SshGuest("vm-test", SshAccess(port=23), key_file(folder), Ports(system.pid), Running())
    with pytest.raises(Verdict, match=r"guest\.port_closed"):
        await closed.run(("true",), timeout=20)


async def test_nothing_is_left_on_the_host(guest: SshGuest) -> None:
    before = set(Path("/tmp").glob("of-ssh-*"))
    await guest.run(("true",), timeout=20)
    assert set(Path("/tmp").glob("of-ssh-*")) <= before
