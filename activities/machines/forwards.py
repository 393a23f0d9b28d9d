"""Ports of guests on this host's loopback, on request.

The listener is this process's, on 127.0.0.1; each connection goes through the switchboard's socket into
libvirt's namespace and there to the guest's uplink. No guest can reach a forward, its own or another's: no
guest reaches the host's loopback at all.

What is open is written down, so that a worker that replaces a killed one opens the same ports again.
"""

import asyncio
import contextlib
import errno
import logging
from collections.abc import Awaitable, Callable, Collection
from pathlib import Path

from pydantic import Field, ValidationError

from domain.errors import FactoryError, Fault, Verdict
from domain.model import Value
from domain.vm.spec import PortForward
from infra.netns.relay import Stream, close, join

Dial = Callable[[str, int], Awaitable[Stream]]
_FIRST_PORT = 1024
_MOST_CONNECTIONS = 256
_log = logging.getLogger(__name__)


class _Kept(Value):
    """What is written down: the forwards of each machine."""

    machines: dict[str, tuple[PortForward, ...]] = Field(default_factory=dict[str, tuple[PortForward, ...]])


class _Listener:
    """One open port."""

    def __init__(self, machine: str, guest_port: int, dial: Dial) -> None:
        self._machine = machine
        self._guest_port = guest_port
        self._dial = dial
        self._server: asyncio.Server | None = None
        self._connections = set[asyncio.Task[None]]()

    async def open(self, port: int) -> PortForward:
        """Listen on the loopback's `port`, or on one that is free if it is 0; raises OSError."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", port)
        host_port = int(self._server.sockets[0].getsockname()[1])
        return PortForward(guest_port=self._guest_port, host_port=host_port)

    async def close(self) -> None:
        """Stop listening and cut what is connected."""
        if self._server is not None:
            self._server.close()
        for task in self._connections:
            task.cancel()
        if self._connections:
            await asyncio.wait(self._connections)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None or len(self._connections) >= _MOST_CONNECTIONS:
            await close(writer)
            return
        self._connections.add(task)
        try:
            await join((reader, writer), await self._dial(self._machine, self._guest_port))
        except FactoryError as error:
            _log.info("a connection to %s was not made: %s", self._machine, error)
        except asyncio.CancelledError:
            _log.debug("a connection to %s was cut", self._machine)  # by `close`, which waits for this task
        finally:
            self._connections.discard(task)
            await close(writer)


class PortForwards:
    """The forwards of this host. `file` says what is open; `dial` opens a stream to a guest's port."""

    def __init__(self, file: Path, dial: Dial) -> None:
        self._file = file
        self._dial = dial
        self._open: dict[tuple[str, int], tuple[PortForward, _Listener]] = {}
        self._lock = asyncio.Lock()

    async def open(self, machine: str, forward: PortForward) -> PortForward:
        """Open a forward and answer it with its host port; one that is open already is answered as it is.

        Raises:
            Verdict: `forward.port_taken`, or `forward.port_reserved` for a port below 1024.
            Fault: `forward.failed`.

        """
        async with self._lock:
            return await self._listen(machine, forward)

    def opened(self, machine: str) -> tuple[PortForward, ...]:
        """The machine's forwards."""
        return tuple(forward for (name, _), (forward, _) in self._open.items() if name == machine)

    async def close(self, machine: str, guest_port: int) -> bool:
        """Close one forward; answers whether it was open. Harmless to repeat."""
        async with self._lock:
            return await self._forget(lambda key: key == (machine, guest_port)) > 0

    async def close_all(self, machine: str) -> int:
        """Close all of a machine's forwards; answers how many there were. Harmless to repeat."""
        async with self._lock:
            return await self._forget(lambda key: key[0] == machine)

    async def restore(self, machines: Collection[str]) -> int:
        """Open again what an earlier worker had open for these machines; answers how many.

        A port that somebody else has taken meanwhile stays closed, and is said in the log.
        """
        restored = 0
        async with self._lock:
            for machine, forwards in self._read().machines.items():
                for forward in forwards if machine in machines else ():
                    try:
                        await self._listen(machine, forward)
                        restored += 1
                    except FactoryError as error:
                        _log.warning("a forward of %s could not be opened again: %s", machine, error)
            self._write()
        return restored

    async def shutdown(self) -> None:
        """Stop listening; what was open stays written down."""
        async with self._lock:
            for _, listener in self._open.values():
                await listener.close()
            self._open.clear()

    async def _listen(self, machine: str, forward: PortForward) -> PortForward:
        key = (machine, forward.guest_port)
        if (known := self._open.get(key)) is not None and forward.host_port in (None, known[0].host_port):
            return known[0]
        if forward.host_port is not None and forward.host_port < _FIRST_PORT:
            raise Verdict.because(
                "forward.port_reserved",
                f"host ports below {_FIRST_PORT} are not for forwards",
                value=str(forward.host_port),
                next="Ask for another port, or for none: the host then chooses one.",
            )
        listener = _Listener(machine, forward.guest_port, self._dial)
        try:
            opened = await listener.open(forward.host_port or 0)
        except OSError as error:
            raise _refused(forward, error) from error
        if known is not None:
            await known[1].close()
        self._open[key] = (opened, listener)
        self._write()
        return opened

    async def _forget(self, unwanted: Callable[[tuple[str, int]], bool]) -> int:
        keys = [key for key in self._open if unwanted(key)]
        for key in keys:
            _, listener = self._open.pop(key)
            await listener.close()
        if keys:
            self._write()
        return len(keys)

    def _read(self) -> _Kept:
        with contextlib.suppress(OSError, ValidationError):
            return _Kept.model_validate_json(self._file.read_bytes())
        return _Kept()

    def _write(self) -> None:
        machines = {machine: self.opened(machine) for machine, _ in self._open}
        self._file.parent.mkdir(parents=True, exist_ok=True)
        new = self._file.with_name(f"{self._file.name}.new")
        new.write_text(_Kept(machines=machines).model_dump_json(), encoding="utf-8")
        new.replace(self._file)


def _refused(forward: PortForward, error: OSError) -> FactoryError:
    if error.errno == errno.EADDRINUSE:
        return Verdict.because(
            "forward.port_taken",
            f"port {forward.host_port} of the host is taken",
            value=str(forward.host_port),
            next="Ask for another port, or for none: the host then chooses one.",
        )
    return Fault.because("forward.failed", f"the host cannot listen: {error}", next="Retry.")
