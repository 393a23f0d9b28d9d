"""libvirt's blocking calls for asyncio: bounded in time and in number, with typed errors.

A call runs in a daemon thread of its own, not in an executor, because a thread that hangs in a dead
daemon's socket must stop neither the event loop nor the end of the process.
"""

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable
from typing import TypeVar

import libvirt

from domain.errors import Fault

T = TypeVar("T")

_CALL_SECONDS = 30.0
_MOST_CALLS = 32
_POLL_SECONDS = 0.1
_CONNECT_SECONDS = 5.0


class LibvirtClient:
    """One daemon, connected to when first needed and again after it went away."""

    def __init__(self, uri: str) -> None:
        self._uri = uri
        self._connection: libvirt.virConnect | None = None
        self._slots = threading.BoundedSemaphore(_MOST_CALLS)
        self._connecting = asyncio.Lock()

    async def call(self, work: Callable[[libvirt.virConnect], T], *, seconds: float = _CALL_SECONDS) -> T:
        """Run `work` with the connection in a thread.

        libvirt's own errors about the object asked for are raised as they are (`libvirt.libvirtError`).

        Raises:
            Fault: `hypervisor.unavailable` when the daemon cannot be reached or went away in the middle,
                `hypervisor.timeout` when it does not answer within `seconds`.

        """
        connection = await self._connected()
        try:
            return await self._in_thread(lambda: work(connection), seconds)
        except libvirt.libvirtError as error:
            if await self._alive(connection):
                raise
            self._forget(connection)
            raise _unavailable(str(error)) from error
        except TimeoutError:
            self._forget(connection)
            raise Fault.because(
                "hypervisor.timeout",
                f"libvirt did not answer within {seconds:.0f} s",
                next="Look at the host's libvirt log; restart the stack if this goes on.",
            ) from None

    async def close(self) -> None:
        """Let go of the connection; harmless to repeat."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(libvirt.libvirtError, TimeoutError, Fault):
                await self._in_thread(connection.close, _CONNECT_SECONDS)

    async def _connected(self) -> libvirt.virConnect:
        """The connection, made anew if the daemon behind it is not there any more.

        A client learns of a dead daemon only by asking, and what is asked may not be harmless to repeat.
        So something harmless is asked first.
        """
        async with self._connecting:
            known = self._connection
            if known is not None and not await self._alive(known):
                self._forget(known)
            if self._connection is None:
                try:
                    self._connection = await self._in_thread(lambda: libvirt.open(self._uri), _CONNECT_SECONDS)
                except (libvirt.libvirtError, TimeoutError) as error:
                    raise _unavailable(str(error) or "it does not answer") from error
            return self._connection

    async def _alive(self, connection: libvirt.virConnect) -> bool:
        try:
            await self._in_thread(connection.getLibVersion, _CONNECT_SECONDS)
        except (libvirt.libvirtError, TimeoutError):
            return False
        return True

    def _forget(self, connection: libvirt.virConnect) -> None:
        if self._connection is connection:
            self._connection = None

    async def _in_thread(self, work: Callable[[], T], seconds: float) -> T:
        if not self._slots.acquire(blocking=False):
            raise Fault.because("hypervisor.timeout", f"{_MOST_CALLS} calls wait for libvirt, and none is answered")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()

        def finish(result: T | None, error: BaseException | None) -> None:
            if future.done():
                return
            if error is not None:
                future.set_exception(error)
            else:
                future.set_result(result)  # type: ignore[arg-type] # there is a result where there is no error

        def body() -> None:
            result: T | None = None
            failure: BaseException | None = None
            try:
                result = work()
            except BaseException as error:  # noqa: BLE001 - carried to the caller
                failure = error
            finally:
                self._slots.release()
            with contextlib.suppress(RuntimeError):  # the loop has ended without waiting
                loop.call_soon_threadsafe(finish, result, failure)

        threading.Thread(target=body, name="libvirt-call", daemon=True).start()
        async with asyncio.timeout(seconds):
            return await future


def silence() -> None:
    """Keep libvirt from printing each error on standard error: they are raised, too."""
    libvirt.registerErrorHandler(lambda _context, _error: None, None)


def _unavailable(reason: str) -> Fault:
    return Fault.because(
        "hypervisor.unavailable",
        f"libvirt cannot be reached: {reason}",
        next="See whether the libvirt part of the stack runs (`openfactory status`); the step can be retried.",
    )


async def wait_ready(uri: str, deadline: float) -> None:
    """Wait until the daemon answers at `uri`, at most until `deadline` (of `time.monotonic`).

    Raises:
        Fault: `hypervisor.unavailable`, with the last try's error.

    """
    silence()
    while True:
        client = LibvirtClient(uri)
        try:
            await client.call(lambda connection: connection.getLibVersion())
        except Fault:
            if time.monotonic() >= deadline:
                raise
        else:
            return
        finally:
            await client.close()
        await asyncio.sleep(_POLL_SECONDS)


async def destroy_all(uri: str) -> int:
    """Stop every machine of the daemon at `uri` at once and answer how many there were; for a shutdown.

    Raises:
        Fault: `hypervisor.unavailable` or `hypervisor.timeout`.

    """
    silence()
    client = LibvirtClient(uri)

    def work(connection: libvirt.virConnect) -> int:
        domains = connection.listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_ACTIVE)
        for domain in domains:
            with contextlib.suppress(libvirt.libvirtError):  # it ended by itself meanwhile
                domain.destroy()
        return len(domains)

    try:
        return await client.call(work)
    finally:
        await client.close()
