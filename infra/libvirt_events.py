"""Tells that something happened to a domain or to the agent in it, as libvirt's lifecycle events say it.

libvirt delivers events to a thread that runs its event loop. There is one per process, made when it is first
needed; it must be there before the connections that are to have events are opened.
"""

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable

import libvirt

_CHECK_SECONDS = 1.0
_RETRY_SECONDS = 2.0
_KEEPALIVE_SECONDS, _KEEPALIVE_MISSES = 5, 3
_KINDS = (libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE, libvirt.VIR_DOMAIN_EVENT_ID_AGENT_LIFECYCLE)
_log = logging.getLogger(__name__)
_starting = threading.Lock()
_pump: threading.Thread | None = None


class LibvirtEvents:
    """The events of the daemon at `uri`. `happened` is called in the event loop, without what it was."""

    def __init__(self, uri: str, happened: Callable[[], None]) -> None:
        self._uri = uri
        self._happened = happened

    async def run(self) -> None:
        """Listen until cancelled, connecting anew when the daemon went away."""
        _start_pump()
        while True:
            with contextlib.suppress(libvirt.libvirtError):
                await self._listen()
            await asyncio.sleep(_RETRY_SECONDS)

    async def _listen(self) -> None:
        loop = asyncio.get_running_loop()

        def on_event(*_: object) -> None:
            with contextlib.suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(self._happened)

        def connect() -> libvirt.virConnect:
            connection = libvirt.open(self._uri)
            connection.setKeepAlive(_KEEPALIVE_SECONDS, _KEEPALIVE_MISSES)
            for kind in _KINDS:
                connection.domainEventRegisterAny(None, kind, on_event, None)  # pyright: ignore[reportUnknownMemberType] - partly typed
            return connection

        connection = await asyncio.to_thread(connect)
        try:
            self._happened()
            while connection.isAlive():  # noqa: ASYNC110 - no event tells of a daemon that died
                await asyncio.sleep(_CHECK_SECONDS)
        finally:
            self._happened()
            with contextlib.suppress(libvirt.libvirtError):
                connection.close()


def _start_pump() -> None:
    global _pump  # noqa: PLW0603 - libvirt has one event loop per process
    with _starting:
        if _pump is None:
            libvirt.virEventRegisterDefaultImpl()
            _pump = threading.Thread(target=_run_pump, name="libvirt-events", daemon=True)
            _pump.start()


def _run_pump() -> None:
    while True:
        try:
            libvirt.virEventRunDefaultImpl()
        except libvirt.libvirtError as error:
            _log.warning("libvirt's event loop: %s", error)
