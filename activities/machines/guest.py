"""Programs in a guest, run by its QEMU guest agent (guest-exec, guest-exec-status)."""

import asyncio
import base64
import json
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

from activities.machines.hypervisor import AgentError, Condition, Hypervisor
from activities.machines.ports import GuestExec
from domain.errors import Fault, Verdict

OUTPUT_BYTES = 1 << 20
_ANSWER_SECONDS = 10
_SILENCE_SECONDS = 20.0
_FIRST_PAUSE = 0.05
_LONGEST_PAUSE = 0.2
_SILENT_PAUSE = 1.0
_NOT_STARTED = 127  # as a shell says it


class LibvirtGuest:
    """The guest of the machine `name` (`ports.Guest`)."""

    def __init__(self, hypervisor: Hypervisor, name: str) -> None:
        self._hypervisor = hypervisor
        self._name = name

    async def run(self, argv: tuple[str, ...], *, timeout: float, stdin: bytes = b"") -> GuestExec:  # noqa: ASYNC109 - the port's
        """Run `argv` as root; `timeout` in seconds. Each output stream is cut at `OUTPUT_BYTES`.

        A program that cannot be started gives status 127, one that a signal ended 128 and the signal's number.

        Raises:
            Verdict: `guest.agent_silent`, `guest.timeout`, `guest.output_too_large`, `guest.panicked` or `guest.off`.
            Fault: `machine.lost`, `guest.interrupted`, `host.disk` or `hypervisor.…`.

        """
        arguments: dict[str, Any] = {"path": argv[0], "arg": list(argv[1:]), "capture-output": True}
        if stdin:
            arguments["input-data"] = base64.b64encode(stdin).decode()
        deadline = time.monotonic() + timeout
        try:
            pid = await self._start(arguments)
        except AgentError as error:
            return GuestExec(status=_NOT_STARTED, stdout=b"", stderr=str(error).encode())
        pause = _FIRST_PAUSE
        while True:
            status = await self._status(pid)
            if status["exited"]:
                return _result(status)
            if time.monotonic() >= deadline:
                await self._kill(pid)
                raise Verdict.because(
                    "guest.timeout",
                    f"{argv[0]} did not end within {timeout:.0f} s in the guest",
                    next="Look at the machine's serial log for what it waits for.",
                )
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, _LONGEST_PAUSE)

    async def ping(self) -> None:
        """Ask for a sign of life; raises like `run`."""
        await self.ask("guest-ping", {})

    async def cards(self) -> dict[str, tuple[str, ...]]:
        """Tell the addresses of the guest's network cards by their MAC address, in lower case; raises like `file`.

        A card and the bridge over it have the same one.
        """
        found: dict[str, tuple[str, ...]] = {}
        for card in await self.ask("guest-network-get-interfaces", {}):
            mac = str(card.get("hardware-address", "")).lower()
            found[mac] = (*found.get(mac, ()), *(a["ip-address"] for a in card.get("ip-addresses", ())))
        return found

    @asynccontextmanager
    async def file(self, path: str) -> AsyncGenerator["GuestFile"]:
        """Open a file that is there for reading and writing.

        Raises:
            AgentError: the agent cannot, or may not, or was silent: what it was asked may have been done or not.
            Verdict, Fault: as `run`.

        """
        handle = int(await self._once("guest-file-open", {"path": path, "mode": "r+"}))
        try:
            yield GuestFile(self._once, handle)
        finally:
            with suppress(AgentError):  # what was written has been flushed
                await self.ask("guest-file-close", {"handle": handle})

    async def _status(self, pid: int) -> dict[str, Any]:
        try:
            return await self.ask("guest-exec-status", {"pid": pid})
        except AgentError as error:
            # The agent lives, but libvirt cannot pass on an answer of more than 4 MiB.
            raise Verdict.because(
                "guest.output_too_large",
                f"the output of a program in the guest could not be read: {error}",
                next="Let the program write less, or write to a file.",
            ) from error

    async def _kill(self, pid: int) -> None:
        try:
            await self._once("guest-exec", {"path": "kill", "arg": ["-KILL", str(pid)]})
        except (AgentError, Verdict, Fault):
            return  # the caller learns of the timeout; the machine is thrown away later anyway

    async def _start(self, arguments: dict[str, Any]) -> int:
        """Start a program and answer its process id.

        It is asked for once, because a program may not be harmless to run twice; and only of an agent
        that has just answered, which one does not yet when libvirt has been started again.
        """
        await self.ping()
        try:
            return (await self._once("guest-exec", arguments))["pid"]
        except AgentError as error:
            if not error.silent:
                raise
            await self.ping()  # says why there was no answer, unless there is one again
            raise Fault.because(
                "guest.interrupted",
                f"the guest agent of {self._name} went away while a program was started, and is back",
                next="Retry: the machine is booted anew.",
            ) from error

    async def ask(self, command: str, arguments: dict[str, Any]) -> Any:  # noqa: ANN401 - as the command says
        """Ask something harmless to repeat, until there was no answer for `_SILENCE_SECONDS`; raises like `file`."""
        deadline = time.monotonic() + _SILENCE_SECONDS
        while True:
            try:
                return await self._once(command, arguments)
            except AgentError as error:
                if not error.silent:
                    raise
                raise_unless_running(self._name, await self._hypervisor.condition(self._name))
                if time.monotonic() >= deadline:
                    raise Verdict.because(
                        "guest.agent_silent",
                        f"the guest agent of {self._name} stopped answering: {error}",
                        next="Look at the machine's serial log and screenshot.",
                    ) from error
            await asyncio.sleep(_SILENT_PAUSE)

    async def _once(self, command: str, arguments: dict[str, Any]) -> Any:  # noqa: ANN401 - as the command says
        text = json.dumps({"execute": command, "arguments": arguments} if arguments else {"execute": command})
        return json.loads(await self._hypervisor.agent(self._name, text, _ANSWER_SECONDS))["return"]


class GuestFile:
    """An open file of a guest. Nothing is asked twice, for each answer depends on what was asked before."""

    def __init__(self, once: Callable[[str, dict[str, Any]], Awaitable[Any]], handle: int) -> None:
        self._once = once
        self._handle = handle

    async def read(self, most: int) -> bytes | None:
        """Read from the beginning, all of it; nothing if it has more than so many bytes."""
        answer = await self._once("guest-file-read", {"handle": self._handle, "count": most})
        return base64.b64decode(answer["buf-b64"]) if answer["eof"] else None

    async def overwrite(self, data: bytes) -> None:
        """Write from the beginning, so that it is with the guest's kernel; what lies behind stays."""
        await self._once("guest-file-seek", {"handle": self._handle, "offset": 0, "whence": "set"})
        await self._once("guest-file-write", {"handle": self._handle, "buf-b64": base64.b64encode(data).decode()})
        await self._once("guest-file-flush", {"handle": self._handle})


def raise_unless_running(name: str, condition: Condition) -> None:
    """Say why nothing can be asked of a machine in this condition; returns for a running one.

    Raises:
        Verdict: `guest.panicked` or `guest.off`: the guest did that.
        Fault: `machine.lost` or `host.disk`: the host did that.

    """
    again = "Retry: the machine is booted anew."
    if condition is Condition.PANICKED:
        raise Verdict.because(
            "guest.panicked", f"the kernel of {name} panicked", next="Read the end of the serial log for the panic."
        )
    if condition is Condition.OFF:
        raise Verdict.because(
            "guest.off", f"{name} switched itself off", next="Read the serial log for what shut the system down."
        )
    if condition is Condition.DISK_FULL:
        raise Fault.because(
            "host.disk", f"{name} was stopped because the host's disk is full", next="Free disk space, then retry."
        )
    if condition in (Condition.KILLED, Condition.GONE):
        raise Fault.because("machine.lost", f"the process of {name} ended on the host, not by the guest", next=again)


def _result(status: dict[str, Any]) -> GuestExec:
    number = int(status.get("exitcode", 0))
    if status.get("signal"):
        number = 128 + int(status["signal"])
    return GuestExec(status=number, stdout=_output(status, "out-data"), stderr=_output(status, "err-data"))


def _output(status: dict[str, Any], key: str) -> bytes:
    return base64.b64decode(status.get(key, ""))[:OUTPUT_BYTES]
