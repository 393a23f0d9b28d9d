"""Programs in a guest without an agent, run over SSH (`ports.Guest`), and the way in (`vm_ports.Ssh`).

It is the OpenSSH client that speaks: nothing else is as sure to agree with the servers of all images, and it
is on every host already. Whose host key the guest shows is not asked: the wire is the hypervisor's own and
ends in this one machine, and what a guest says is untrusted anyway.
"""

import asyncio
import os
import re
import shlex
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Protocol

from activities.machines.guest import OUTPUT_BYTES, raise_unless_running
from activities.machines.hypervisor import Condition
from activities.machines.ports import Guest, GuestExec
from activities.machines.ssh_key import key_file, make_key, oem_strings
from domain.errors import Verdict
from domain.recipe.ssh_access import SshAccess
from domain.vm.spec import VmSpec
from infra.netns.relay import Stream, close, join
from infra.process import CommandError, run

_CONNECT_SECONDS = 20
_KILL_SECONDS = 2
_MARGIN_SECONDS = 30.0
_LOOK_SECONDS = 5.0
_MOST_BYTES = 4 * OUTPUT_BYTES
_TIMED_OUT = 124
_TOO_MUCH = frozenset({-25, 153})  # SIGXFSZ
_HELPER = Path(__file__).with_name("pass_wire.py")
# The exit status comes last on standard error: without it the connection broke, and ssh's own status tells less.
_SHELL = """PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin; export PATH
"$@"; printf '\\nopenfactory-status %s\\n' "$?" >&2; exit 0"""
_STATUS = re.compile(r"openfactory-status (\d{1,3})")
_OPTIONS = {
    "BatchMode": "yes",
    "IdentitiesOnly": "yes",
    "PreferredAuthentications": "publickey",
    "StrictHostKeyChecking": "no",
    "UserKnownHostsFile": "/dev/null",
    "GlobalKnownHostsFile": "/dev/null",
    "LogLevel": "ERROR",
    "ConnectTimeout": str(_CONNECT_SECONDS),
    "ServerAliveInterval": "5",
    "ServerAliveCountMax": "4",
    "ProxyUseFdpass": "yes",
}


class GuestPorts(Protocol):
    """Opens streams to guests; the host's networks do."""

    async def open_guest_port(self, machine: str, port: int) -> Stream:
        """Open a stream to a TCP port; `Verdict` (`guest.port_closed`) if nobody listens."""
        ...


class Conditions(Protocol):
    """Tells how a machine is; the hypervisor does."""

    async def condition(self, name: str) -> Condition:
        """Tell how the machine is, as far as a guest's silence is concerned."""
        ...


class GuestSsh:
    """The way into this host's guests without an agent (`vm_ports.Ssh`)."""

    def __init__(self, hypervisor: Conditions, ports: GuestPorts) -> None:
        self._hypervisor = hypervisor
        self._ports = ports

    async def prepare(self, folder: Path, spec: VmSpec) -> tuple[str, ...]:
        """Make the VM's key if it is entered by SSH; answers the SMBIOS strings that tell the guest of it.

        Raises:
            CommandError: ssh-keygen(1) failed.

        """
        if spec.image.ssh is None:
            return ()
        await make_key(folder)
        return oem_strings(folder, spec.image.ssh)

    async def reach(self, name: str, folder: Path, spec: VmSpec) -> Guest | None:
        """Reach the guest if it answers now; nothing if it does not, or was not made for that."""
        key = key_file(folder)
        if spec.image.ssh is None or not key.exists():
            return None
        guest = SshGuest(name, spec.image.ssh, key, self._ports, self._hypervisor)
        try:
            done = await guest.run(("true",), timeout=_LOOK_SECONDS)
        except Verdict:
            return None
        return guest if done.status == 0 else None


class SshGuest:
    """The guest of the machine `name`, entered as `access` says."""

    def __init__(self, name: str, access: SshAccess, key: Path, ports: GuestPorts, hypervisor: Conditions) -> None:
        self._name = name
        self._access = access
        self._key = key
        self._ports = ports
        self._hypervisor = hypervisor

    async def run(self, argv: tuple[str, ...], *, timeout: float, stdin: bytes = b"") -> GuestExec:  # noqa: ASYNC109 - the port's
        """Run `argv` as root; `timeout` in seconds. Output is cut at `OUTPUT_BYTES`, errors at their last 40 lines.

        Raises:
            Verdict: `guest.port_closed`, `guest.unreachable`, `guest.timeout` or `guest.output_too_large`; and
                `guest.panicked` or `guest.off`.
            Fault: `machine.lost`, `host.disk`, `network.…` or `hypervisor.…`.

        """
        began = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="of-ssh-") as folder:
            try:
                async with self._wire(Path(folder) / "wire") as wire:
                    status, out, err = await self._ssh(self._command(wire, argv, timeout), timeout, stdin)
            except CommandError as error:
                raise await self._explained(error, argv[0], timeout) from error
        if status == _TIMED_OUT and time.monotonic() - began >= timeout:
            raise _late(argv[0], timeout)
        return GuestExec(status=status, stdout=out, stderr=err)

    async def _ssh(self, command: Sequence[str], timeout: float, stdin: bytes) -> tuple[int, bytes, bytes]:  # noqa: ASYNC109
        environment = {"PATH": os.defpath, "LC_ALL": "C"}
        limit = timeout + _CONNECT_SECONDS + _MARGIN_SECONDS
        with tempfile.TemporaryFile() as output:
            done = await run(command, timeout=limit, stdin=stdin, stdout=output, env=environment)
            output.seek(0)
            out = output.read(OUTPUT_BYTES)
        found = next((m for line in reversed(done.tail) if (m := _STATUS.fullmatch(line))), None)
        if found is None:
            raise CommandError(command, "command.failed", "the connection ended early", done.tail, None)
        said = [line for line in done.tail if not _STATUS.fullmatch(line)]
        return int(found[1]), out, "\n".join(said).rstrip("\n").encode()

    def _command(self, wire: Path, argv: tuple[str, ...], timeout: float) -> list[str]:
        """Write the command line. The guest's shell gets one quoted text, which SSH has no other form for."""
        limit = ("timeout", "-k", str(_KILL_SECONDS), str(max(1, round(timeout))))
        become = () if self._access.user == "root" else ("sudo", "-n", "--")
        remote = shlex.join([*become, "sh", "-c", _SHELL, "sh", *limit, *argv])
        # ssh has a shell `exec` this: every word is quoted, and `%` is its own.
        proxy = shlex.join([sys.executable, "-I", "-S", str(_HELPER), str(wire)]).replace("%", "%%")
        options = [word for name, value in _OPTIONS.items() for word in ("-o", f"{name}={value}")]
        return [
            *("prlimit", f"--fsize={_MOST_BYTES}", "--", "ssh", "-F", "/dev/null", "-T", "-a", "-x"),
            *("-i", str(self._key), *options, "-o", f"ProxyCommand={proxy}"),
            *("-l", self._access.user, "--", self._name, remote),
        ]

    @asynccontextmanager
    async def _wire(self, path: Path) -> AsyncGenerator[Path]:
        """Serve the guest's port on a UNIX socket in a folder that is ours alone, for one connection."""
        guest = await self._ports.open_guest_port(self._name, self._access.port)
        taken: asyncio.Queue[Stream] = asyncio.Queue()
        server = await asyncio.start_unix_server(lambda r, w: taken.put_nowait((r, w)), path)
        relay = asyncio.create_task(_relay(taken, guest))
        try:
            yield path
        finally:
            server.close()
            relay.cancel()
            await asyncio.gather(relay, return_exceptions=True)
            await close(guest[1])

    async def _explained(self, error: CommandError, program: str, timeout: float) -> Verdict:  # noqa: ASYNC109
        """Tell whose fault it was: the host's raises, the guest's is returned."""
        raise_unless_running(self._name, await self._hypervisor.condition(self._name))
        if error.code == "command.timeout":
            return _late(program, timeout)
        if error.status in _TOO_MUCH:
            return Verdict.because(
                "guest.output_too_large",
                f"{program} writes more than {_MOST_BYTES >> 20} MiB in the guest",
                next="Let the program write less, or write to a file.",
            )
        said = next((line for line in reversed(error.tail) if line.strip()), str(error))
        return Verdict.because(
            "guest.unreachable",
            f"the guest of {self._name} cannot be asked over SSH: {said[:200]}",
            next="See that its SSH server runs and lets the account in; look at its console.",
        )


async def _relay(taken: asyncio.Queue[Stream], guest: Stream) -> None:
    await join(await taken.get(), guest)


def _late(program: str, timeout: float) -> Verdict:
    return Verdict.because(
        "guest.timeout",
        f"{program} did not end within {timeout:.0f} s in the guest",
        next="Look at the machine's serial log for what it waits for.",
    )
